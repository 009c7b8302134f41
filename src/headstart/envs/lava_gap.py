"""A walled grid with a wall of lava and one gap in it: deterministic and small enough to count exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.envs.functional import FunctionalWorld

_INNER = 5  # 7 x 7 with its border
_HEADINGS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)], np.int32)  # right, down, left, up, as (row, column)
_GAP_COLUMNS = (1, 2, 3)


class LavaGapState(NamedTuple):
    """Cell (row and column, 0 to 4), heading (0 to 3), the gap's cell, and steps taken."""

    cell: Int[Array, "2"]
    heading: Int[Array, ""]
    gap: Int[Array, "2"]
    steps: Int[Array, ""]


@dataclass(frozen=True)
class LavaGap(FunctionalWorld):
    """Walk from the top left corner through the gap to the bottom right, as in MiniGrid's LavaGapS7.

    Actions: 0 turn left, 1 turn right, 2 step forward. Stepping into lava ends the episode with nothing; the goal ends
    it with 1 - 0.9 * steps / horizon. Observations are coordinates: own row and column, heading as a row and column
    step, the gap's row and column, scaled to [-1, 1].

    Attributes:
        gap: row and column of the gap (column 1, 2 or 3), or None: drawn at each reset.
    """

    gap: tuple[int, int] | None = None

    def __post_init__(self):
        if self.gap is not None and (self.gap[0] not in range(_INNER) or self.gap[1] not in _GAP_COLUMNS):
            raise UsageError(f"gap={self.gap}; expected a row from 0 to 4 and a column from 1 to 3")

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return "lava-gap"

    @property
    def horizon(self) -> int:
        """196 steps, as in MiniGrid."""
        return 4 * 7 * 7

    @property
    def spec(self) -> Spec:
        """Observations [6] within [-1, 1]; 3 actions."""
        return Spec(Box.uniform((6,), -1.0, 1.0), Discrete(3))

    def reset(self, key: PRNGKeyArray) -> LavaGapState:
        """In the top left corner, facing right."""
        if self.gap is None:
            row_key, column_key = jax.random.split(key)
            row = jax.random.randint(row_key, (), 0, _INNER)
            gap = jnp.stack([row, jax.random.choice(column_key, jnp.asarray(_GAP_COLUMNS))])
        else:
            gap = jnp.asarray(self.gap)
        zero = jnp.zeros((), jnp.int32)
        return LavaGapState(jnp.zeros(2, jnp.int32), zero, gap.astype(jnp.int32), zero)

    def observe(self, state: LavaGapState) -> Float[Array, "6"]:
        """(row, column, heading row step, heading column step, gap row, gap column)."""
        scale = 2.0 / (_INNER - 1)
        heading = jnp.asarray(_HEADINGS, jnp.float32)[state.heading]
        return jnp.concatenate([state.cell * scale - 1, heading, state.gap * scale - 1])

    def step(
        self, state: LavaGapState, action: Int[Array, ""]
    ) -> tuple[LavaGapState, Float[Array, ""], Bool[Array, ""]]:
        """Turn or step; walls hold."""
        turn = jnp.asarray([-1, 1, 0])[action]
        heading = (state.heading + turn) % 4
        ahead = jnp.clip(state.cell + jnp.asarray(_HEADINGS)[heading], 0, _INNER - 1)
        cell = jnp.where(action == 2, ahead, state.cell)
        lava = (cell[1] == state.gap[1]) & (cell[0] != state.gap[0])
        goal = jnp.all(cell == _INNER - 1)
        steps = state.steps + 1
        reward = jnp.where(goal, 1.0 - 0.9 * steps / self.horizon, 0.0)
        return LavaGapState(cell, heading, state.gap, steps), reward, lava | goal

    def controller(self, state: LavaGapState) -> Int[Array, ""]:
        """An action on a shortest safe way to the goal."""
        row, column = state.cell
        return jnp.asarray(_shortest_actions())[state.gap[0], state.gap[1], row, column, state.heading]


@cache
def _shortest_actions() -> np.ndarray:
    """int32 [gap row, gap column, row, column, heading], by relaxing distances to the goal until they settle."""
    actions = np.zeros((_INNER, _INNER, _INNER, _INNER, 4), np.int32)
    rows, columns, headings = np.indices((_INNER, _INNER, 4))
    ahead_rows = np.clip(rows + _HEADINGS[headings, 0], 0, _INNER - 1)
    ahead_columns = np.clip(columns + _HEADINGS[headings, 1], 0, _INNER - 1)
    for gap_row in range(_INNER):
        for gap_column in _GAP_COLUMNS:
            lava = (columns == gap_column) & (rows != gap_row)
            goal = (rows == _INNER - 1) & (columns == _INNER - 1)
            distance = np.where(goal, 0.0, np.inf)
            for _ in range(distance.size):
                options = np.stack(
                    [
                        distance[rows, columns, (headings - 1) % 4],
                        distance[rows, columns, (headings + 1) % 4],
                        distance[ahead_rows, ahead_columns, headings],
                    ]
                )
                relaxed = np.where(goal, 0.0, np.where(lava, np.inf, 1 + options.min(0)))
                if np.array_equal(relaxed, distance):
                    break
                distance = relaxed
            actions[gap_row, gap_column] = options.argmin(0)
    return actions
