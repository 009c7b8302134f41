"""Ridge regression of rewards on features, one observation at a time: what the linear learners share."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from headstart.bandits.bandit import BanditSpec, Context
from headstart.core.errors import UsageError


class LinearModel(NamedTuple):
    """Sufficient statistics of one regression for all arms, or of one for each.

    Attributes:
        inverse: inverse of ridge * I + sum of outer products of features, kept by the Sherman-Morrison formula.
        moment: sum of features times rewards.
        steps: how many observations went in.
    """

    inverse: Float[Array, "models features features"]
    moment: Float[Array, "models features"]
    steps: Float[Array, ""]

    @classmethod
    def empty(cls, spec: BanditSpec, ridge: float, disjoint: bool) -> LinearModel:
        """Nothing seen yet.

        Raises:
            UsageError: no context, or a ridge that is not a positive number; with 0 a rank-deficient design cannot be
                inverted.
        """
        if spec.features is None:
            raise UsageError("linear learners need features as context, one row an arm; this bandit has no context")
        if not 0 < ridge < float("inf"):
            raise UsageError(
                f"ridge must be a positive number; given {ridge}. Without it the design is rank-deficient until the "
                "features seen span all directions, and has no inverse"
            )
        models, size = spec.arms if disjoint else 1, spec.features
        return cls(jnp.tile(jnp.eye(size) / ridge, (models, 1, 1)), jnp.zeros((models, size)), jnp.zeros(()))

    @property
    def parameters(self) -> Float[Array, "models features"]:
        """The estimates."""
        return jnp.einsum("mij,mj->mi", self.inverse, self.moment)

    def estimate(self, context: Context) -> tuple[Float[Array, " arms"], Float[Array, " arms"]]:
        """Each arm's predicted reward, and the norm of its features under the inverse: the width of uncertainty."""
        mean = jnp.sum(context * self.parameters, axis=1)  # a single model is broadcast over arms
        shared = len(self.inverse) == 1
        gain = context @ self.inverse[0] if shared else jnp.einsum("ai,aij->aj", context, self.inverse)
        return mean, jnp.sqrt(jnp.maximum(jnp.sum(gain * context, axis=1), 0.0))

    def add(self, context: Context, action: Int[Array, ""], reward: Float[Array, ""]) -> LinearModel:
        """One more observation."""
        model = action if len(self.inverse) > 1 else 0
        features = context[action]
        gain = self.inverse[model] @ features
        inverse = self.inverse.at[model].add(-jnp.outer(gain, gain) / (1.0 + features @ gain))
        return LinearModel(inverse, self.moment.at[model].add(features * reward), self.steps + 1.0)
