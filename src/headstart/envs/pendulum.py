"""Pendulum swing-up, with physics that can be altered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from headstart.core.specs import Box, Spec
from headstart.envs.functional import FunctionalWorld

_TIME_STEP = 0.05
_MAXIMUM_SPEED = 8.0


class PendulumState(NamedTuple):
    """Angle from upright (rad, not wrapped), angular velocity (rad/s), and the key of the action noise."""

    angle: Float[Array, ""]
    velocity: Float[Array, ""]
    key: PRNGKeyArray


@dataclass(frozen=True)
class Pendulum(FunctionalWorld):
    """Swing a rod up and hold it; the reward is -(angle^2 + 0.1 velocity^2 + 0.001 torque^2).

    The defaults are Gymnasium's Pendulum-v1 but for the start, the scaled velocity and actions in [-1, 1].
    Observations are (cos angle, sin angle, velocity / 8).

    Attributes:
        gravity: m/s^2.
        mass: kg.
        length: m.
        maximum_torque: N m, of action 1.
        action_noise: standard deviation of Gaussian noise that the world adds to each action.
    """

    gravity: float = 10.0
    mass: float = 1.0
    length: float = 1.0
    maximum_torque: float = 2.0
    action_noise: float = 0.0

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return "pendulum"

    @property
    def horizon(self) -> int:
        """200 steps."""
        return 200

    @property
    def spec(self) -> Spec:
        """Observations [3] and actions [1], both within [-1, 1]."""
        return Spec(Box.uniform((3,), -1.0, 1.0), Box.uniform((1,), -1.0, 1.0))

    def reset(self, key: PRNGKeyArray) -> PendulumState:
        """Any angle, velocity within 1 rad/s."""
        key, start_key = jax.random.split(key)
        angle, velocity = jax.random.uniform(start_key, (2,), minval=-1.0, maxval=1.0)
        return PendulumState(jnp.pi * angle, velocity, key)

    def observe(self, state: PendulumState) -> Float[Array, "3"]:
        """(cos angle, sin angle, velocity / 8)."""
        return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.velocity / _MAXIMUM_SPEED])

    def step(
        self, state: PendulumState, action: Float[Array, "1"]
    ) -> tuple[PendulumState, Float[Array, ""], Bool[Array, ""]]:
        """Integrate one time step of 0.05 s; never terminates."""
        key, push = state.key, action[0]
        if self.action_noise:
            key, noise_key = jax.random.split(key)
            push = push + self.action_noise * jax.random.normal(noise_key)
        torque = self.maximum_torque * jnp.clip(push, -1.0, 1.0)
        reward = -(_wrap(state.angle) ** 2 + 0.1 * state.velocity**2 + 0.001 * torque**2)
        fall = 3 * self.gravity / (2 * self.length) * jnp.sin(state.angle)
        drive = 3 * torque / (self.mass * self.length**2)
        velocity = jnp.clip(state.velocity + _TIME_STEP * (fall + drive), -_MAXIMUM_SPEED, _MAXIMUM_SPEED)
        return PendulumState(state.angle + _TIME_STEP * velocity, velocity, key), reward, jnp.zeros((), bool)

    def controller(self, state: PendulumState) -> Float[Array, "1"]:
        """Pump energy until the rod is nearly upright, then hold it with proportional-derivative torque."""
        angle, velocity = _wrap(state.angle), state.velocity
        inertia = self.mass * self.length**2
        energy = inertia * velocity**2 / 6 + self.mass * self.gravity * self.length / 2 * (jnp.cos(angle) - 1)
        pump = jnp.where(jnp.abs(velocity) < 1e-3, 1.0, jnp.sign(-energy * velocity))
        hold = -(12.0 * angle + 3.5 * velocity) * inertia / 1.5 / self.maximum_torque
        return jnp.clip(jnp.where(jnp.abs(angle) < 0.5, hold, pump), -1.0, 1.0)[None]


def _wrap(angle: Float[Array, ""]) -> Float[Array, ""]:
    return (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
