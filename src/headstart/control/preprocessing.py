"""What stands between a world's own units and what networks see; it travels with the policy."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from headstart.core.errors import UsageError
from headstart.core.specs import Box, Spec
from headstart.data.batch import Batch
from headstart.data.experience import Experience

ACTION_MARGIN = 1e-5
"""Recorded actions are kept this far inside ±1, where the density of a squashed Gaussian is still finite."""


class Preprocessor(eqx.Module):
    """Observations standardised, actions scaled to [-1, 1].

    Attributes:
        mean: subtracted from observations.
        scale: what they are then divided by.
        spec: the world's own shapes and bounds.
    """

    mean: Float[Array, " observation"]
    scale: Float[Array, " observation"]
    spec: Spec = eqx.field(static=True)

    @classmethod
    def identity(cls, spec: Spec) -> Preprocessor:
        """Observations as they are."""
        return cls(jnp.zeros(spec.observation_size), jnp.ones(spec.observation_size), spec)

    @classmethod
    def standardizing(cls, experience: Experience, rows: int = 1_000_000) -> Preprocessor:
        """Mean 0, deviation 1 over (at most ``rows`` evenly spaced rows of) the data; divides by σ + 1e-3 as TD3+BC."""
        step = max(1, len(experience) // rows)
        chosen = np.arange(0, len(experience), step)
        observations = experience.take("observations", chosen).astype(np.float64)
        observations = observations.reshape(-1, experience.spec.observation_size)
        mean, scale = observations.mean(0), observations.std(0) + 1e-3
        return cls(jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32), experience.spec)

    def observation(self, observations: Float[Array, "*batch"]) -> Float[Array, "*batch observation"]:
        """Flattened and standardised observations; any number of leading axes."""
        leading = observations.shape[: observations.ndim - len(self.spec.observation.shape)]
        return (observations.reshape(*leading, -1) - self.mean) / self.scale

    @staticmethod
    def _middle_and_half(box: Box) -> tuple[Array, Array]:
        low, high = jnp.asarray(box.low, jnp.float32), jnp.asarray(box.high, jnp.float32)
        return (high + low) / 2, (high - low) / 2

    def to_world(self, actions: Array) -> Array:
        """Actions in [-1, 1] in the world's own units and shape; choices as they are."""
        box = self.spec.action
        if not isinstance(box, Box):
            return actions
        middle, half = self._middle_and_half(box)
        return (middle + half * actions).reshape(*actions.shape[:-1], *box.shape)

    def from_world(self, actions: Array) -> Array:
        """The world's actions in [-1, 1], kept ``ACTION_MARGIN`` inside; choices as they are."""
        box = self.spec.action
        if not isinstance(box, Box):
            return actions
        middle, half = self._middle_and_half(box)
        flat = actions.reshape(*actions.shape[: actions.ndim - len(box.shape)], -1)
        return jnp.clip((flat - middle) / half, -1 + ACTION_MARGIN, 1 - ACTION_MARGIN)

    def batch(self, batch: Batch) -> Batch:
        """A batch in the networks' units."""
        return batch._replace(
            observations=self.observation(batch.observations),
            next_observations=self.observation(batch.next_observations),
            actions=self.from_world(batch.actions),
            next_actions=None if batch.next_actions is None else self.from_world(batch.next_actions),
        )


def with_transformed_rewards(experience: Experience, scale: float, bias: float) -> Experience:
    """The same experience with rewards ``scale * reward + bias``; other columns are shared, not copied."""
    if scale == 1.0 and bias == 0.0:
        return experience
    if not (np.isfinite(scale) and np.isfinite(bias)) or scale == 0.0:
        raise UsageError(f"reward scale {scale} and bias {bias}: both must be finite, and the scale not 0")
    return experience.with_rewards((experience.read("rewards") * scale + bias).astype(np.float32))
