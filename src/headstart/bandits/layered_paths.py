"""Online shortest paths: a path through layers of nodes is chosen before the edges' losses are known.

NumPy: the state holds a generator, since every decision of this learner needs fresh noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from headstart.core.errors import DataError


class PathState(NamedTuple):
    """Sum of each edge's losses, for every copy, and where the noise comes from."""

    totals: Float[np.ndarray, "copies layers from to"]
    generator: np.random.Generator


@dataclass(frozen=True)
class PerturbedShortestPath:
    """Follow the perturbed leader (Kalai and Vempala 2005): the shortest path under all losses so far and fresh noise.

    A path is one node of each of ``layers + 1`` levels, the first chosen freely; every node leads to all nodes of the
    next level. Its loss is the mean of its edges'.
    """

    layers: int
    """Edges of a path."""
    width: int
    """Nodes of a level."""
    noise: float
    """Mean of the exponential noise taken off every edge; theory asks for the order of sqrt(rounds)."""
    seed: int = 0
    """Of the noise."""

    def init(self, copies: int, features: int) -> PathState:
        """No losses seen. Nothing is predicted from, so that ``features`` does not matter."""
        return PathState(np.zeros((copies, self.layers, self.width, self.width)), np.random.default_rng(self.seed))

    def predict(self, state: PathState, x: object) -> Int[np.ndarray, "copies levels"]:
        """A path for each copy, as the nodes it goes through."""
        noise = state.generator.exponential(self.noise, state.totals.shape) if self.noise else 0.0
        return shortest_paths(state.totals - noise)

    def losses(
        self, predictions: Int[np.ndarray, "copies levels"], outcome: Float[np.ndarray, "layers from to"]
    ) -> Float[np.ndarray, " copies"]:
        """Mean loss of each path's edges.

        Raises:
            DataError: an edge's loss is outside [0, 1].
        """
        if not np.all((outcome >= 0) & (outcome <= 1)):
            raise DataError(f"edges' losses must lie in [0, 1]; given {outcome.min():g} to {outcome.max():g}")
        return outcome[np.arange(self.layers), predictions[:, :-1], predictions[:, 1:]].mean(1)

    def observe(
        self,
        state: PathState,
        x: object,
        outcome: Float[np.ndarray, "layers from to"],
        awake: Bool[np.ndarray, " copies"],
    ) -> PathState:
        """Add the edges' losses, for the copies that are awake. The totals are changed in place."""
        state.totals[awake] += outcome
        return state


def shortest_paths(lengths: Float[np.ndarray, "copies layers from to"]) -> Int[np.ndarray, "copies levels"]:
    """The path of least total length for each copy, by dynamic programming from the last level back."""
    copies, layers, _, width = lengths.shape
    ahead = np.zeros((copies, width))
    following = np.empty((copies, layers, width), int)
    for layer in reversed(range(layers)):
        through = lengths[:, layer] + ahead[:, None, :]
        following[:, layer] = through.argmin(-1)
        ahead = through.min(-1)
    path = np.empty((copies, layers + 1), int)
    path[:, 0] = ahead.argmin(-1)
    for layer in range(layers):
        path[:, layer + 1] = following[np.arange(copies), layer, path[:, layer]]
    return path
