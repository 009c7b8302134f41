"""LinUCB (Li, Chu, Langford and Schapire, 2010; the radius of Abbasi-Yadkori, Pál and Szepesvári, 2011)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner, among_best
from headstart.bandits.linear_model import LinearModel
from headstart.bandits.ucb import noise_bound
from headstart.core.errors import UsageError


class LinearState(NamedTuple):
    """The regression, and the noise's deviation."""

    model: LinearModel
    deviation: Float[Array, ""]


@dataclass(frozen=True)
class LinUCB(Learner):
    """Pull the arm whose predicted reward could be largest."""

    alpha: float | None = None
    """Multiplies the width. None takes the radius of theory, which is wide; 0.1 to 1 is usual in practice."""
    ridge: float = 1.0
    """Weight of the squared norm of the parameter."""
    disjoint: bool = False
    """A parameter for each arm, in place of one that all share."""
    confidence: float = 0.95
    """Probability with which theory's bounds hold at all steps; used where alpha is None."""
    norm_bound: float = 1.0
    """Bound of the parameter's norm; used where alpha is None."""
    deviation: float | None = None
    """Standard deviation that bounds the noise; None takes half the range of bounded rewards. Used likewise."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> LinearState:
        """Nothing seen yet."""
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence must lie strictly between 0 and 1; given {self.confidence}")
        if self.alpha is not None and not 0 <= self.alpha < math.inf:
            raise UsageError(f"alpha must be a number of at least 0, or left out; given {self.alpha}")
        if not 0 < self.norm_bound < math.inf:
            raise UsageError(f"norm_bound must be a positive number; given {self.norm_bound}")
        deviation = noise_bound(spec, self.deviation) if self.alpha is None else 0.0
        return LinearState(LinearModel.empty(spec, self.ridge, self.disjoint), jnp.float32(deviation))

    def radius(self, state: LinearState) -> Float[Array, ""]:
        """Of the confidence ellipsoid: theorem 2 of the 2011 paper for features of norm at most 1, or alpha."""
        if self.alpha is not None:
            return jnp.float32(self.alpha)
        size = state.model.moment.shape[1]
        volume = size * jnp.log1p(state.model.steps / (self.ridge * size)) - 2 * math.log(1 - self.confidence)
        return state.deviation * jnp.sqrt(volume) + math.sqrt(self.ridge) * self.norm_bound

    def probabilities(self, state: LinearState, context: Context) -> Float[Array, " arms"]:
        """Even over the arms of largest bound."""
        mean, width = state.model.estimate(context)
        return among_best(mean + self.radius(state) * width)

    def observe(self, state: LinearState, context, action, reward, propensity) -> LinearState:
        """Add to the regression."""
        return state._replace(model=state.model.add(context, action, reward))
