"""IMED, indexed minimum empirical divergence (Honda and Takemura, 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner, among_best
from headstart.bandits.kl_ucb import UnitSums
from headstart.bandits.ucb import Sums
from headstart.bandits.unit_rewards import UnitRewards, bernoulli_divergence


@dataclass(frozen=True)
class IMED(Learner):
    """Pull the arm of least n * divergence(mean, best mean) + log n; no confidence level and no search."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> UnitSums:
        """Nothing seen yet; needs bounded rewards."""
        return UnitSums(Sums.empty(spec), UnitRewards.of(spec))

    def probabilities(self, state: UnitSums, context: Context) -> Float[Array, " arms"]:
        """Even over the arms of least index; arms not yet pulled come first."""
        count, mean = state.sums.count, state.sums.mean
        best = jnp.max(jnp.where(count == 0, -jnp.inf, mean))
        index = count * bernoulli_divergence(mean, best) + jnp.log(jnp.maximum(count, 1.0))
        return among_best(jnp.where(count == 0, jnp.inf, -index))

    def observe(self, state: UnitSums, context, action, reward, propensity) -> UnitSums:
        """Count the reward."""
        return state._replace(sums=state.sums.add(action, state.unit(reward)))
