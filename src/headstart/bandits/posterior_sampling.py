"""What learners share that draw a guess from what they believe and pull its best arm (Thompson, 1933)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import Choice, Context, Learner


@dataclass(frozen=True)
class PosteriorSampling(Learner):
    """Pulls the arm that is best in one draw of all arms' values.

    The probability of that arm has no closed form, and is estimated from ``propensity_draws`` further draws as (1 +
    those that agree) / (1 + all). If the arm's probability is p and there are N draws, the mean of 1 / estimate is
    exactly (1 - (1 - p)^(N + 1)) / p: inverse weights are unbiased but for arms much rarer than 1 / N. Where nobody
    asks for the propensity, as in ``simulate``, compilation leaves the further draws out.
    """

    propensity_draws: int = 200
    """How many draws estimate a propensity."""

    @abstractmethod
    def sample(self, state: Any, context: Context, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """Each arm's mean reward, drawn from what is believed."""

    def choose(self, state: Any, context: Context, key: PRNGKeyArray) -> Choice:
        """The best arm of one draw."""
        first, others = jax.random.split(key)
        action = jnp.argmax(self.sample(state, context, first))
        draws = jax.vmap(lambda key: self.sample(state, context, key))(jax.random.split(others, self.propensity_draws))
        agree = jnp.sum(jnp.argmax(draws, axis=1) == action)
        return Choice(action, (1 + agree) / (1 + self.propensity_draws))
