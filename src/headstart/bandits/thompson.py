"""Thompson sampling for arms without context: rewards in a bounded range, and normal ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context
from headstart.bandits.beta_draws import draw_beta
from headstart.bandits.posterior_sampling import PosteriorSampling
from headstart.bandits.ucb import Sums, noise_bound
from headstart.bandits.unit_rewards import UnitRewards
from headstart.core.errors import UsageError


class BetaState(NamedTuple):
    """Successes and failures, the prior's among them, and how rewards map to [0, 1]."""

    successes: Float[Array, " arms"]
    failures: Float[Array, " arms"]
    unit: UnitRewards


@dataclass(frozen=True)
class BetaThompson(PosteriorSampling):
    """Thompson sampling with a Beta posterior on each arm (Chapelle and Li, 2011).

    A reward between the bounds counts as that fraction of a success. Exact for rewards of 0 or 1.
    """

    prior_successes: float = 1.0
    """Of the Beta prior; 1 and 1 is uniform."""
    prior_failures: float = 1.0
    """Of the Beta prior."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> BetaState:
        """The prior; needs bounded rewards."""
        if not (self.prior_successes > 0 and self.prior_failures > 0):
            raise UsageError("the prior's successes and failures must be positive")
        ones = jnp.ones(spec.arms)
        return BetaState(self.prior_successes * ones, self.prior_failures * ones, UnitRewards.of(spec))

    def sample(self, state: BetaState, context: Context, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """One draw of each arm's posterior."""
        return draw_beta(key, state.successes, state.failures)

    def observe(self, state: BetaState, context, action, reward, propensity) -> BetaState:
        """Count a success, a failure, or some of both."""
        success = state.unit(reward)
        return state._replace(
            successes=state.successes.at[action].add(success), failures=state.failures.at[action].add(1.0 - success)
        )


class NormalState(NamedTuple):
    """What has been seen, and the rewards' deviation."""

    sums: Sums
    deviation: Float[Array, ""]


@dataclass(frozen=True)
class GaussianThompson(PosteriorSampling):
    """Thompson sampling with a normal posterior on each arm's mean, for normal noise of known deviation."""

    deviation: float | None = None
    """Standard deviation of the noise; None takes half the range of bounded rewards."""
    prior_mean: float = 0.0
    """Mean of the normal prior."""
    prior_deviation: float = 1.0
    """Standard deviation of the normal prior."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> NormalState:
        """Nothing seen yet."""
        if not self.prior_deviation > 0:
            raise UsageError(f"prior_deviation must be positive; given {self.prior_deviation}")
        return NormalState(Sums.empty(spec), jnp.float32(noise_bound(spec, self.deviation)))

    def sample(self, state: NormalState, context: Context, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """One draw of each arm's posterior."""
        sums, weight = state.sums, (state.deviation / self.prior_deviation) ** 2  # of the prior, in observations
        mean = (sums.total + weight * self.prior_mean) / (sums.count + weight)
        return mean + state.deviation / jnp.sqrt(sums.count + weight) * jax.random.normal(key, mean.shape)

    def observe(self, state: NormalState, context, action, reward, propensity) -> NormalState:
        """Count the reward."""
        return state._replace(sums=state.sums.add(action, reward))
