"""KL-UCB (Garivier and Cappé, 2011): confidence bounds as tight as the divergence between rewards allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner, among_best
from headstart.bandits.ucb import Sums
from headstart.bandits.unit_rewards import UnitRewards, bernoulli_divergence

HALVINGS = 24
"""Of the interval in which a bound is sought: the precision of 32-bit numbers."""


class UnitSums(NamedTuple):
    """What has been seen, on the scale [0, 1]."""

    sums: Sums
    unit: UnitRewards


@dataclass(frozen=True)
class KLUCB(Learner):
    """Pull the arm with the largest mean that the Bernoulli divergence leaves plausible; optimal for rewards of 0 or
    1, valid for any within bounds."""

    c: float = 0.0
    """Weight of log log t in the bound: 3 in the analysis, 0 in the paper's experiments."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> UnitSums:
        """Nothing seen yet; needs bounded rewards."""
        return UnitSums(Sums.empty(spec), UnitRewards.of(spec))

    def probabilities(self, state: UnitSums, context: Context) -> Float[Array, " arms"]:
        """Even over the arms of largest bound; arms not yet pulled come first."""
        sums = state.sums
        log_time = jnp.log(jnp.maximum(jnp.sum(sums.count), 2.0))
        budget = (log_time + self.c * jnp.log(jnp.maximum(log_time, 1.0))) / jnp.maximum(sums.count, 1.0)
        bound = largest_plausible(sums.mean, budget)
        return among_best(jnp.where(sums.count == 0, jnp.inf, bound))

    def observe(self, state: UnitSums, context, action, reward, propensity) -> UnitSums:
        """Count the reward."""
        return state._replace(sums=state.sums.add(action, state.unit(reward)))


def largest_plausible(mean: Float[Array, " arms"], budget: Float[Array, " arms"]) -> Float[Array, " arms"]:
    """Largest q in [mean, 1] whose divergence from ``mean`` is at most ``budget``, by bisection."""
    low, high = mean, jnp.ones_like(mean)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        plausible = bernoulli_divergence(mean, middle) <= budget
        low, high = jnp.where(plausible, middle, low), jnp.where(plausible, high, middle)
    return low
