"""EXP3 and EXP4 (Auer, Cesa-Bianchi, Freund and Schapire, 2002): regret bounds against any sequence of rewards.

Both estimate losses, 1 - reward on the scale [0, 1], by inverse propensity, which needs no forced exploration in
expectation, and let the learning rate fall as sqrt(log / (arms * t)) (Bubeck and Cesa-Bianchi, 2012, section 3.1), so
that the horizon need not be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner
from headstart.bandits.unit_rewards import UnitRewards
from headstart.core.errors import UsageError


class Losses(NamedTuple):
    """Estimated cumulative losses, of arms (EXP3) or experts (EXP4), and how many steps went into them."""

    estimate: Float[Array, " candidates"]
    steps: Float[Array, ""]
    unit: UnitRewards

    def weights(self, rate: float | None, arms: int) -> Float[Array, " candidates"]:
        """Probabilities proportional to exp(-rate * loss); None takes the rate that falls with time."""
        candidates = len(self.estimate)
        falling = jnp.sqrt(math.log(max(candidates, 2)) / (arms * (self.steps + 1.0)))
        return jax.nn.softmax(-(falling if rate is None else rate) * self.estimate)

    def add(self, loss: Float[Array, " candidates"]) -> Losses:
        """One more step's estimates; the least sum is kept at zero, which changes no probability."""
        estimate = self.estimate + loss
        return self._replace(estimate=estimate - jnp.min(estimate), steps=self.steps + 1.0)


@dataclass(frozen=True)
class EXP3(Learner):
    """Exponential weights over arms; no assumption on how rewards come about but their bounds."""

    learning_rate: float | None = None
    """None lets it fall with time; a horizon T known beforehand admits sqrt(2 log(arms) / (arms * T))."""
    exploration: float = 0.0
    """Share of steps in which an arm is drawn evenly; bounds the inverse propensities by arms / exploration."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> Losses:
        """Nothing seen yet; needs bounded rewards."""
        _check(self.learning_rate, self.exploration)
        return Losses(jnp.zeros(spec.arms), jnp.zeros(()), UnitRewards.of(spec))

    def probabilities(self, state: Losses, context: Context) -> Float[Array, " arms"]:
        """Exponential weights, mixed with even ones."""
        arms = len(state.estimate)
        return (1 - self.exploration) * state.weights(self.learning_rate, arms) + self.exploration / arms

    def observe(self, state: Losses, context, action, reward, propensity) -> Losses:
        """Add the loss of the arm pulled, divided by its probability."""
        return state.add(jnp.zeros_like(state.estimate).at[action].set((1.0 - state.unit(reward)) / propensity))


@dataclass(frozen=True)
class EXP4(Learner):
    """Exponential weights over experts. Column ``e`` of a context is expert ``e``'s probability of each arm."""

    learning_rate: float | None = None
    """None lets it fall with time; a horizon T known beforehand admits sqrt(2 log(experts) / (arms * T))."""
    exploration: float = 0.0
    """Share of steps in which an arm is drawn evenly."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> Losses:
        """Nothing seen yet; needs bounded rewards and at least one expert."""
        _check(self.learning_rate, self.exploration)
        if spec.features is None:
            raise UsageError("exp4 needs experts' advice as context, one column an expert; this bandit has no context")
        return Losses(jnp.zeros(spec.features), jnp.zeros(()), UnitRewards.of(spec))

    def probabilities(self, state: Losses, context: Context) -> Float[Array, " arms"]:
        """The experts' advice, mixed by their weights."""
        arms = len(context)
        return (1 - self.exploration) * context @ state.weights(self.learning_rate, arms) + self.exploration / arms

    def observe(self, state: Losses, context, action, reward, propensity) -> Losses:
        """Charge each expert the loss in proportion to its advice for the arm."""
        return state.add(context[action] * (1.0 - state.unit(reward)) / propensity)


def _check(learning_rate: float | None, exploration: float) -> None:
    if learning_rate is not None and not learning_rate > 0:
        raise UsageError(f"learning_rate must be positive, or None; given {learning_rate}")
    if not 0 <= exploration <= 1:
        raise UsageError(f"exploration is a share and must lie in [0, 1]; given {exploration}")
