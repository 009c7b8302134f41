"""One learner for each interval of a one-dimensional context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner
from headstart.core.errors import UsageError


@dataclass(frozen=True)
class Binned(Learner):
    """Cuts the context into equal bins, each with a copy of ``base`` that sees no context.

    With Tsallis-INF as base it is Tsallis-INF-CB of Khodak et al. (arXiv 2310.02246, theorem 2.2). A context outside
    the interval belongs to the nearest bin.
    """

    base: Learner
    """What learns in each bin."""
    bins: int
    """How many."""
    low: float = 0.0
    """Where the first bin begins."""
    high: float = 1.0
    """Where the last one ends."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> Any:
        """A state of the base learner for each bin, stacked."""
        if self.bins < 1 or not self.low < self.high:
            raise UsageError(
                f"bins need a count of 1 or more and low < high; given {self.bins} in {self.low, self.high}"
            )
        if spec.features != 1:
            raise UsageError(f"bins need one number as context (features=1); given features={spec.features}")
        inner = BanditSpec(spec.arms, None, spec.reward_low, spec.reward_high)
        return jax.vmap(lambda key: self.base.init(inner, key))(jax.random.split(key, self.bins))

    def probabilities(self, state: Any, context: Context) -> Float[Array, " arms"] | None:
        """Those of the context's bin."""
        return self.base.probabilities(self._state(state, context), context[:, :0])

    def choose(self, state: Any, context: Context, key: PRNGKeyArray) -> Any:
        """As the learner of the context's bin does."""
        return self.base.choose(self._state(state, context), context[:, :0], key)

    def observe(self, state: Any, context: Context, action, reward, propensity) -> Any:
        """Only the context's bin learns."""
        seen = self.base.observe(self._state(state, context), context[:, :0], action, reward, propensity)
        chosen = self._bin(context)
        return jax.tree.map(lambda all_bins, one: all_bins.at[chosen].set(one), state, seen)

    def _bin(self, context: Context) -> Int[Array, ""]:
        share = (context[0, 0] - self.low) / (self.high - self.low)
        return jnp.clip(jnp.floor(share * self.bins), 0, self.bins - 1).astype(int)

    def _state(self, state: Any, context: Context) -> Any:
        return jax.tree.map(lambda leaf: leaf[self._bin(context)], state)
