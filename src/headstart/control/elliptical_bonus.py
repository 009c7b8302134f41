"""A bonus for what features have seen little of, for any agent that learns values.

The deep form of contrastive UCB (Qiu, Wang, Bai, Yang and Wang 2022, arXiv 2207.14800) adds it to the n-step return of
a self-predictive agent, with the probabilities of the value distribution's atoms as features.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from headstart.core.errors import UsageError


@dataclass(frozen=True)
class EllipticalBonus:
    """``factor sqrt(phi^T design^-1 phi)``, the design being ``ridge`` times the identity plus all ``phi phi^T`` added.

    Features longer than 1 are shortened to 1, so that the bonus has a bound. Where features change as they are learned,
    what was added before is of other features: begin a new design now and then, from a buffer.
    """

    factor: float = 1.0
    """Of the bonus; 1 in the official runs."""
    ridge: float = 1e-5
    """Small ones give a bonus of up to ``factor / sqrt(ridge)`` to a direction that was never seen."""

    def __post_init__(self) -> None:
        if not (self.factor >= 0 and self.ridge > 0):
            raise UsageError(f"factor is {self.factor} and ridge {self.ridge}; expected at least 0 and above 0")

    def init(self, dimension: int) -> Float[Array, "dimension dimension"]:
        """The design before anything is seen."""
        return self.ridge * jnp.eye(dimension)

    def add(
        self, design: Float[Array, "dimension dimension"], features: Float[Array, "*batch dimension"]
    ) -> Float[Array, "dimension dimension"]:
        """The design with more features, such as those of all steps of a sampled batch."""
        rows = _shortened(features).reshape(-1, len(design))
        return design + rows.T @ rows

    def bonus(
        self, design: Float[Array, "dimension dimension"], features: Float[Array, "*batch dimension"]
    ) -> Float[Array, "*batch"]:
        """The bonus of some features; not differentiated."""
        rows = _shortened(features).reshape(-1, len(design))
        factor = jnp.linalg.cholesky(design)
        whitened = jax.scipy.linalg.solve_triangular(factor, rows.T, lower=True)
        found = self.factor * jnp.linalg.norm(whitened, axis=0)
        return jax.lax.stop_gradient(found.reshape(features.shape[:-1]))


def n_step_bonus(
    bonuses: Float[Array, "*batch steps"], terminations: Float[Array, "*batch steps"], discount: float
) -> Float[Array, "*batch"]:
    """The discounted sum of bonuses up to an episode's end: what is added to an n-step return.

    ``terminations[..., j]`` is 1 if the episode ended with step j. (The official code looks at the first step's only.)
    """
    going_on = jnp.cumprod(1.0 - terminations[..., :-1], axis=-1)
    going_on = jnp.concatenate([jnp.ones_like(bonuses[..., :1]), going_on], axis=-1)
    return jnp.sum(bonuses * going_on * discount ** jnp.arange(bonuses.shape[-1]), axis=-1)


def _shortened(features: Float[Array, "*batch dimension"]) -> Float[Array, "*batch dimension"]:
    return features / jnp.maximum(jnp.linalg.norm(features, axis=-1, keepdims=True), 1.0)
