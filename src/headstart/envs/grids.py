"""MiniGrid and BabyAI worlds with observations a perceptron can take; ``pip install 'headstart[grids]'``."""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float

from headstart.envs.registry import make_environment

# What MiniGrid encodes a cell with: object type, colour, state.
_LARGEST = np.array([10.0, 5.0, 2.0], np.float32)
_HEADINGS = 4
WORDS = ("red", "green", "blue", "purple", "yellow", "grey", "ball", "box", "key", "door")
"""The words of a mission that are told apart: colours, then kinds of objects."""


class EncodedGrid(gymnasium.ObservationWrapper):
    """The agent's view as one vector within [0, 1].

    That is object type, colour and state of each of the 7 x 7 cells in view (147 numbers), which way the agent faces
    (4), and which of ``WORDS`` the mission names (10).

    Args:
        name: a MiniGrid or BabyAI id.
        options: passed to the environment.
    """

    def __init__(self, name: str, **options: Any):
        super().__init__(make_environment(name, **options))
        size = 7 * 7 * 3 + _HEADINGS + len(WORDS)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, without the lines that BabyAI prints about missions it has drawn in vain."""
        with redirect_stdout(StringIO()):
            return super().reset(**options)

    def observation(self, observation: dict[str, Any]) -> Float[np.ndarray, "161"]:
        """The vector."""
        cells = np.asarray(observation["image"], np.float32) / _LARGEST
        heading = np.eye(_HEADINGS, dtype=np.float32)[int(observation["direction"])]
        said = str(observation["mission"]).split()
        words = np.array([word in said for word in WORDS], np.float32)
        return np.concatenate([cells.reshape(-1), heading, words])


four_rooms = partial(EncodedGrid, "MiniGrid-FourRooms-v0")
go_to_red_ball = partial(EncodedGrid, "BabyAI-GoToRedBall-v0")
go_to_local = partial(EncodedGrid, "BabyAI-GoToLocal-v0")
