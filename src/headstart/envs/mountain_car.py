"""A car that must rock out of a valley: continuous with a bonus at the goal, or discrete with a cost a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from headstart.core.specs import Box, Discrete, Spec
from headstart.envs.functional import FunctionalWorld

_LEFT, _RIGHT = -1.2, 0.6
_MAXIMUM_SPEED = 0.07


class MountainCarState(NamedTuple):
    """Position along the valley (its floor near -0.52) and velocity per step."""

    position: Float[Array, ""]
    velocity: Float[Array, ""]


@dataclass(frozen=True)
class MountainCar(FunctionalWorld):
    """Reach the hilltop. Observations are position and velocity, scaled to [-1, 1].

    Attributes:
        continuous: True: push in [-1, 1] with power 0.0015, goal 0.45, reward 100 at the goal - 0.1 push^2.
            False: push left, not, or right with force 0.001, goal 0.5, reward -1 a step.
    """

    continuous: bool = False

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return "mountain-car-continuous" if self.continuous else "mountain-car"

    @property
    def horizon(self) -> int:
        """200 steps."""
        return 200

    @property
    def spec(self) -> Spec:
        """Observations [2] within [-1, 1]; actions [1] within [-1, 1], or 3 choices."""
        return Spec(Box.uniform((2,), -1.0, 1.0), Box.uniform((1,), -1.0, 1.0) if self.continuous else Discrete(3))

    def reset(self, key: PRNGKeyArray) -> MountainCarState:
        """At rest between -0.6 and -0.4."""
        return MountainCarState(jax.random.uniform(key, minval=-0.6, maxval=-0.4), jnp.zeros(()))

    def observe(self, state: MountainCarState) -> Float[Array, "2"]:
        """(position, velocity), scaled to [-1, 1]."""
        middle, half = (_LEFT + _RIGHT) / 2, (_RIGHT - _LEFT) / 2
        scaled = jnp.stack([(state.position - middle) / half, state.velocity / _MAXIMUM_SPEED])
        return jnp.clip(scaled, -1.0, 1.0)  # rounding may pass the bounds

    def step(
        self, state: MountainCarState, action: Shaped[Array, "..."]
    ) -> tuple[MountainCarState, Float[Array, ""], Bool[Array, ""]]:
        """One step; terminates at the goal."""
        if self.continuous:
            push = jnp.clip(action[0], -1.0, 1.0)
            force, goal = 0.0015 * push, 0.45
        else:
            push = jnp.asarray(action, jnp.float32) - 1.0
            force, goal = 0.001 * push, 0.5
        velocity = state.velocity + force - 0.0025 * jnp.cos(3 * state.position)
        velocity = jnp.clip(velocity, -_MAXIMUM_SPEED, _MAXIMUM_SPEED)
        position = jnp.clip(state.position + velocity, _LEFT, _RIGHT)
        velocity = jnp.where((position <= _LEFT) & (velocity < 0), 0.0, velocity)
        reached = position >= goal
        reward = 100.0 * reached - 0.1 * push**2 if self.continuous else jnp.full((), -1.0)
        return MountainCarState(position, velocity), reward, reached

    def controller(self, state: MountainCarState) -> Shaped[Array, "..."]:
        """Push along the velocity (to the right when at rest)."""
        direction = jnp.where(state.velocity >= 0, 1.0, -1.0)
        return direction[None] if self.continuous else (direction + 1).astype(jnp.int32)


continuous = partial(MountainCar, continuous=True)
discrete = partial(MountainCar, continuous=False)
