"""Rewards mapped to [0, 1], where a method is stated for that range, and the divergence it measures them by."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from headstart.bandits.bandit import BanditSpec
from headstart.core.errors import UsageError


class UnitRewards(NamedTuple):
    """Maps the declared range of rewards to [0, 1]; called with a reward."""

    low: Float[Array, ""]
    width: Float[Array, ""]

    @classmethod
    def of(cls, spec: BanditSpec) -> UnitRewards:
        """For the bounds of ``spec``.

        Raises:
            UsageError: rewards are unbounded.
        """
        if not spec.bounded:
            raise UsageError(
                "this learner needs rewards within known bounds, and they are unbounded here; declare reward_low and "
                "reward_high, or take a learner for unbounded noise: ucb, gaussian-thompson, lin-ucb, lin-thompson"
            )
        return cls(jnp.float32(spec.reward_low), jnp.float32(spec.reward_high - spec.reward_low))

    def __call__(self, reward: Float[Array, "..."]) -> Float[Array, "..."]:
        """The reward's place between the bounds."""
        return (reward - self.low) / self.width


def bernoulli_divergence(p: Float[Array, "..."], q: Float[Array, "..."]) -> Float[Array, "..."]:
    """Kullback-Leibler divergence of Bernoulli distributions of means ``p`` and ``q``, in nats."""
    tiny = 1e-7
    p, q = jnp.clip(p, tiny, 1 - tiny), jnp.clip(q, tiny, 1 - tiny)
    return p * jnp.log(p / q) + (1 - p) * jnp.log((1 - p) / (1 - q))
