"""Visits counted while acting: what every tabular learner of an unknown world keeps."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteSpec


class Visits(NamedTuple):
    """Sums over the transitions seen, at each step or (stationary worlds) over all steps: then ``steps`` is 1."""

    transitions: Float[Array, "steps states actions next"]
    rewards: Float[Array, "steps states actions"]
    count: Float[Array, "steps states actions"]

    @classmethod
    def none(cls, spec: FiniteSpec) -> Visits:
        """Before the first step."""
        pairs = (1 if spec.stationary else spec.horizon, spec.states, spec.actions)
        return cls(jnp.zeros((*pairs, spec.states)), jnp.zeros(pairs), jnp.zeros(pairs))

    def at(self, step: Int[Array, ""]) -> Visits:
        """The sums that tell of a step, without the axis of steps."""
        index = step if len(self.count) > 1 else 0
        return Visits(self.transitions[index], self.rewards[index], self.count[index])

    def add(
        self,
        step: Int[Array, ""],
        state: Int[Array, ""],
        action: Int[Array, ""],
        reward: Float[Array, ""],
        following: Int[Array, ""],
    ) -> Visits:
        """With one more transition."""
        where = (step if len(self.count) > 1 else 0, state, action)
        return Visits(
            self.transitions.at[(*where, following)].add(1),
            self.rewards.at[where].add(reward),
            self.count.at[where].add(1),
        )


def most_to_come(spec: FiniteSpec) -> Float[Array, "horizon states actions"]:
    """The largest sum of rewards from each step on: what an optimist expects of the unknown."""
    left = spec.horizon - jnp.arange(spec.horizon, dtype=jnp.float32)
    return jnp.broadcast_to(left[:, None, None], (spec.horizon, spec.states, spec.actions))


def check_constants(scale: float, confidence: float) -> None:
    """Refuse a negative bonus and a confidence that is not a probability.

    Raises:
        UsageError: ``scale`` is below 0, or ``confidence`` outside (0, 1).
    """
    if not scale >= 0:
        raise UsageError(f"scale is {scale}; a bonus needs a factor of at least 0")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; expected a probability in (0, 1), such as 0.95")
