"""A table with five things to switch on, whose demonstrations never show the whole task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError
from headstart.core.specs import Box, Spec
from headstart.envs.functional import FunctionalWorld

# Microwave, kettle, burner, light switch, slide cabinet.
SITES = ((1.0, 5.0), (3.0, 5.5), (5.0, 5.0), (5.0, 1.5), (1.0, 1.5))
DEMONSTRATED = ((0, 1, 3, 4), (0, 1, 2, 4), (4, 1, 2, 3), (0, 2, 3, 4))

_SIZE = 6.0
_TIME_STEP = 0.2
_ACCELERATION = 2.0
_DAMPING = 0.5
_MAXIMUM_SPEED = 1.5


class TableKitchenState(NamedTuple):
    """Position and velocity, which sites are on, and the sequence that the controller follows (an index)."""

    position: Float[Array, "2"]
    velocity: Float[Array, "2"]
    on: Bool[Array, "5"]
    sequence: Int[Array, ""]


@dataclass(frozen=True)
class TableKitchen(FunctionalWorld):
    """Slow down at sites to switch them on; the reward at every step is (targets on) / 4 - 1.

    Observations are position and velocity scaled to [-1, 1], and the five flags as 0 or 1; actions are a push along
    each axis in [-1, 1].

    Attributes:
        targets: the sites that count. (0, 1, 3, 4) is shown by one demonstrated sequence in four; of (0, 1, 2, 3)
            every demonstration completes three and none all four.
        sequences: site sequences; the scripted controller follows one drawn uniformly at each reset.
    """

    targets: tuple[int, ...] = (0, 1, 3, 4)
    sequences: tuple[tuple[int, ...], ...] = DEMONSTRATED

    def __post_init__(self):
        for indices in (self.targets, *self.sequences):
            if not set(indices) <= set(range(len(SITES))) or len(set(indices)) != len(indices):
                raise UsageError(f"sites {indices}; expected distinct numbers from 0 to {len(SITES) - 1}")
        if not self.sequences or len({len(sequence) for sequence in self.sequences}) != 1:
            raise UsageError("sequences must be one or more site sequences of equal length")

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return "table-kitchen"

    @property
    def horizon(self) -> int:
        """160 steps."""
        return 160

    @property
    def spec(self) -> Spec:
        """Observations [9] and actions [2], both within [-1, 1]."""
        return Spec(Box.uniform((9,), -1.0, 1.0), Box.uniform((2,), -1.0, 1.0))

    def reset(self, key: PRNGKeyArray) -> TableKitchenState:
        """At rest within 0.2 of the table's middle, everything off."""
        position_key, sequence_key = jax.random.split(key)
        position = _SIZE / 2 + jax.random.uniform(position_key, (2,), minval=-0.2, maxval=0.2)
        sequence = jax.random.randint(sequence_key, (), 0, len(self.sequences))
        return TableKitchenState(position, jnp.zeros(2), jnp.zeros(len(SITES), bool), sequence)

    def observe(self, state: TableKitchenState) -> Float[Array, "9"]:
        """(position, velocity, flags)."""
        scaled = [2 * state.position / _SIZE - 1, state.velocity / _MAXIMUM_SPEED, state.on * 1.0]
        return jnp.clip(jnp.concatenate(scaled), -1.0, 1.0)  # rounding may pass the bounds

    def step(
        self, state: TableKitchenState, action: Float[Array, "2"]
    ) -> tuple[TableKitchenState, Float[Array, ""], Bool[Array, ""]]:
        """Move, and switch on a site within 0.35 when slower than 0.6 along both axes; never terminates."""
        push = jnp.clip(action, -1.0, 1.0)
        velocity = state.velocity + _TIME_STEP * (_ACCELERATION * push - _DAMPING * state.velocity)
        velocity = jnp.clip(velocity, -_MAXIMUM_SPEED, _MAXIMUM_SPEED)
        moved = state.position + _TIME_STEP * velocity
        position = jnp.clip(moved, 0.0, _SIZE)
        velocity = jnp.where(position == moved, velocity, 0.0)
        near = jnp.linalg.norm(position - jnp.asarray(SITES), axis=1) < 0.35
        on = state.on | (near & (jnp.max(jnp.abs(velocity)) < 0.6))
        after = TableKitchenState(position, velocity, on, state.sequence)
        return after, self.completed(after) / 4 - 1.0, jnp.zeros((), bool)

    def completed(self, state: TableKitchenState) -> Int[Array, ""]:
        """How many targets are on."""
        return jnp.sum(state.on[jnp.asarray(self.targets, jnp.int32)])

    def controller(self, state: TableKitchenState) -> Float[Array, "2"]:
        """Steer for the first site of the sequence that is still off; at the end stay at the last."""
        sequence = jnp.asarray(self.sequences)[state.sequence]
        off = ~state.on[sequence]
        first = jnp.where(jnp.any(off), jnp.argmax(off), len(sequence) - 1)
        target = jnp.asarray(SITES)[sequence[first]]
        return jnp.clip(3.0 * (target - state.position) - 2.0 * state.velocity, -1.0, 1.0)
