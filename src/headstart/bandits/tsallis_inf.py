"""Tsallis-INF: one learner for adversarial and for stochastic losses (Zimmert and Seldin 2021, arXiv 1807.07623)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner
from headstart.core.errors import UsageError


class TsallisINFState(NamedTuple):
    """What has been lost so far.

    Attributes:
        rounds: how many losses were seen.
        estimates: for each arm the sum of its losses, each divided by the probability of its choice.
        total: sum of the losses seen.
        highest: the reward that counts as no loss.
        range: difference of the largest and the least reward.
    """

    rounds: Float[Array, ""]
    estimates: Float[Array, " arms"]
    total: Float[Array, ""]
    highest: Float[Array, ""]
    range: Float[Array, ""]


@dataclass(frozen=True)
class TsallisINF(Learner):
    """Follow the regularised leader with the Tsallis entropy of power 1/2 and importance-weighted losses.

    A loss is the largest possible reward less the one received, in units of ``scale``.
    """

    learning_rate: float = 2.0
    """At round t it is this over sqrt(t): 2 is the paper's for importance-weighted losses."""
    scale: Literal["range", "running"] = "range"
    """What losses are divided by: the rewards' range, which theory asks for, or the mean loss so far, for losses whose
    bound is unknown or far off (Khodak et al., arXiv 2310.02246, their code; estimates are rescaled all at once)."""
    newton_steps: int = 20
    """Steps of the search for the normaliser; each at least doubles the digits near the end, and 20 reach 32 bits."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> TsallisINFState:
        """Nothing lost yet."""
        if self.scale == "range" and not spec.bounded:
            raise UsageError("rewards are unbounded here: TsallisINF needs their bounds, or scale='running'")
        if spec.reward_high == float("inf"):
            raise UsageError("TsallisINF measures losses from the largest reward, which is not bounded here")
        zero = jnp.zeros(())
        high, width = jnp.float32(spec.reward_high), jnp.float32(spec.reward_high - spec.reward_low)
        return TsallisINFState(zero, jnp.zeros(spec.arms), zero, high, width)

    def probabilities(self, state: TsallisINFState, context: Context) -> Float[Array, " arms"]:
        """``4 / (eta (L_i - x))^2`` with the x below all L_i that makes them sum to one."""
        scale = state.range
        if self.scale == "running":
            scale = jnp.where(state.total > 0, state.total / jnp.maximum(state.rounds, 1.0), 1.0)
        eta = self.learning_rate / jnp.sqrt(state.rounds + 1.0)
        # Only differences matter: with the least estimate at 0 large ones lose no digits of the small.
        losses = (state.estimates - jnp.min(state.estimates)) / scale

        def newton(_, x):
            weights = 4.0 / (eta * (losses - x)) ** 2
            return x - (jnp.sum(weights) - 1.0) / (eta * jnp.sum(weights**1.5))

        # At -2/eta the best arm alone weighs one. The sum grows with x and is convex, so Newton comes down to the root
        # and never passes it; from anywhere further left it could leap over 0 into the wrong branch.
        x = jax.lax.fori_loop(0, self.newton_steps, newton, -2.0 / eta)
        weights = 4.0 / (eta * (losses - x)) ** 2
        return weights / jnp.sum(weights)

    def observe(self, state: TsallisINFState, context, action, reward, propensity) -> TsallisINFState:
        """Add the loss, weighted by importance."""
        loss = state.highest - reward
        return state._replace(
            rounds=state.rounds + 1.0,
            estimates=state.estimates.at[action].add(loss / propensity),
            total=state.total + loss,
        )
