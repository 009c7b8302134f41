"""The baselines that every comparison needs: epsilon-greedy, greedy at 0 and uniform at 1."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner, among_best
from headstart.bandits.ucb import Sums
from headstart.core.errors import UsageError


@dataclass(frozen=True)
class EpsilonGreedy(Learner):
    """The arm of best mean, but now and then an arm drawn evenly; ignores contexts."""

    epsilon: float = 0.1
    """Share of steps in which an arm is drawn evenly: 0 is greedy after one pull of each arm, 1 uniform."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> Sums:
        """Nothing seen yet."""
        if not 0 <= self.epsilon <= 1:
            raise UsageError(f"epsilon is a share and must lie in [0, 1]; given {self.epsilon}")
        return Sums.empty(spec)

    def probabilities(self, state: Sums, context: Context) -> Float[Array, " arms"]:
        """Of the best arm mostly; arms not yet pulled count as best."""
        best = among_best(jnp.where(state.count == 0, jnp.inf, state.mean))
        return (1 - self.epsilon) * best + self.epsilon / len(best)

    def observe(self, state: Sums, context, action, reward, propensity) -> Sums:
        """Count the reward."""
        return state.add(action, reward)
