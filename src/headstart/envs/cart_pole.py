"""A pole on a cart (Barto, Sutton and Anderson, 1983), with the constants of Gymnasium's CartPole-v1."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from headstart.core.specs import Box, Discrete, Spec
from headstart.envs.functional import FunctionalWorld

_GRAVITY, _CART, _POLE, _HALF_LENGTH, _FORCE, _SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
_FARTHEST, _STEEPEST = 2.4, 12 * 2 * np.pi / 360


@dataclass(frozen=True)
class CartPole(FunctionalWorld):
    """Keep a pole upright by pushing its cart left or right: reward 1 a step, until it falls or the cart leaves.

    The state is (position, velocity, angle, angular velocity), and is what is observed.
    """

    @property
    def name(self) -> str:
        """Its name."""
        return "cart-pole"

    @property
    def horizon(self) -> int:
        """500 steps."""
        return 500

    @property
    def spec(self) -> Spec:
        """Observations [4]; 2 choices."""
        low, high = (-4.8, -np.inf, -2 * _STEEPEST, -np.inf), (4.8, np.inf, 2 * _STEEPEST, np.inf)
        return Spec(Box((4,), low, high), Discrete(2))

    def reset(self, key: PRNGKeyArray) -> Float[Array, "4"]:
        """Within 0.05 of rest, upright, in the middle."""
        return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)

    def observe(self, state: Float[Array, "4"]) -> Float[Array, "4"]:
        """The state."""
        return state

    def step(
        self, state: Float[Array, "4"], action: Shaped[Array, "..."]
    ) -> tuple[Float[Array, "4"], Float[Array, ""], Bool[Array, ""]]:
        """One step of explicit Euler."""
        velocity, angle, spin = state[1:]
        push = jnp.where(action == 1, _FORCE, -_FORCE)
        sine, cosine, whole = jnp.sin(angle), jnp.cos(angle), _CART + _POLE
        pressed = (push + _POLE * _HALF_LENGTH * spin**2 * sine) / whole
        spinning = (_GRAVITY * sine - cosine * pressed) / (_HALF_LENGTH * (4 / 3 - _POLE * cosine**2 / whole))
        moving = pressed - _POLE * _HALF_LENGTH * spinning * cosine / whole
        state = state + _SECONDS * jnp.stack([velocity, moving, spin, spinning])
        fallen = (jnp.abs(state[0]) > _FARTHEST) | (jnp.abs(state[2]) > _STEEPEST)
        return state, jnp.ones(()), fallen

    def controller(self, state: Float[Array, "4"]) -> Shaped[Array, "..."]:
        """Push to where the pole is falling."""
        return jnp.asarray(0.05 * state[0] + 0.2 * state[1] + state[2] + 0.5 * state[3] > 0, jnp.int32)
