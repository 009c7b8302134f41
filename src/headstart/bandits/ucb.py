"""Upper confidence bounds for arms without context (Auer, Cesa-Bianchi and Fischer, 2002)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner, among_best
from headstart.core.errors import UsageError


class Sums(NamedTuple):
    """What has been seen of each arm.

    Attributes:
        count: how often it was pulled.
        total: sum of its rewards.
    """

    count: Float[Array, " arms"]
    total: Float[Array, " arms"]

    @classmethod
    def empty(cls, spec: BanditSpec) -> Sums:
        """Nothing seen yet."""
        return cls(jnp.zeros(spec.arms), jnp.zeros(spec.arms))

    def add(self, action: Int[Array, ""], reward: Float[Array, ""]) -> Sums:
        """One more reward."""
        return Sums(self.count.at[action].add(1.0), self.total.at[action].add(reward))

    @property
    def mean(self) -> Float[Array, " arms"]:
        """Mean reward of each arm; 0 where it was never pulled."""
        return self.total / jnp.maximum(self.count, 1.0)


class UCBState(NamedTuple):
    """What has been seen, and the rewards' deviation."""

    sums: Sums
    deviation: Float[Array, ""]


@dataclass(frozen=True)
class UCB(Learner):
    """UCB1: pull the arm whose mean could be largest; every arm once first, ties drawn evenly."""

    scale: float = 1.0
    """Multiplies the confidence width. 1 is the analysed one; 0.5 is often better in practice."""
    deviation: float | None = None
    """Standard deviation that bounds the noise (sub-Gaussian); None takes half the range of bounded rewards."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> UCBState:
        """Nothing seen yet."""
        if self.scale < 0:
            raise UsageError(f"scale must not be negative; given {self.scale}")
        return UCBState(Sums.empty(spec), jnp.float32(noise_bound(spec, self.deviation)))

    def probabilities(self, state: UCBState, context: Context) -> Float[Array, " arms"]:
        """Even over the arms of largest bound: mean + scale * deviation * sqrt(8 log t / n), the paper's sqrt(2 log t
        / n) for rewards in [0, 1]."""
        sums = state.sums
        width = state.deviation * jnp.sqrt(8.0 * jnp.log(jnp.sum(sums.count) + 1.0) / jnp.maximum(sums.count, 1.0))
        return among_best(jnp.where(sums.count == 0, jnp.inf, sums.mean + self.scale * width))

    def observe(self, state: UCBState, context, action, reward, propensity) -> UCBState:
        """Count the reward."""
        return state._replace(sums=state.sums.add(action, reward))


def noise_bound(spec: BanditSpec, deviation: float | None) -> float:
    """The given standard deviation, or half the rewards' range, which bounds any noise within it (Hoeffding).

    Raises:
        UsageError: rewards are unbounded and no deviation is given, or it is not positive.
    """
    if deviation is not None:
        if not deviation > 0:
            raise UsageError(f"deviation must be positive; given {deviation}")
        return deviation
    if not spec.bounded:
        raise UsageError("rewards are unbounded here: give the learner the noise's standard deviation (deviation=…)")
    return (spec.reward_high - spec.reward_low) / 2
