"""What a bandit is, and what a learner of one does.

Rewards, not losses, everywhere. A context is one row of features for each arm; where there is none it has no columns,
so that every world and every learner share one shape.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError

Context = Float[Array, "arms features"]
"""Features of each arm at one step; ``[arms, 0]`` without context."""


@dataclass(frozen=True)
class BanditSpec:
    """What a learner is told beforehand. Hashable, so it can be static under jit.

    Attributes:
        arms: how many choices there are, numbered from 0.
        features: length of each arm's feature vector; None without context.
        reward_low: least possible reward; -inf where unbounded.
        reward_high: largest possible reward; inf where unbounded.

    Raises:
        UsageError: fewer than one arm or feature, or bounds that are not in order.
    """

    arms: int
    features: int | None = None
    reward_low: float = 0.0
    reward_high: float = 1.0

    def __post_init__(self) -> None:
        if self.arms < 1:
            raise UsageError(f"a bandit needs at least one arm; given {self.arms}")
        if self.features is not None and self.features < 1:
            raise UsageError(f"features must be 1 or more, or None without context; given {self.features}")
        if not self.reward_low < self.reward_high:
            raise UsageError(f"reward_low must be below reward_high; given {self.reward_low} and {self.reward_high}")

    @property
    def context_shape(self) -> tuple[int, int]:
        """Shape of every context: ``(arms, features)``, with 0 columns where there are no features."""
        return self.arms, self.features or 0

    @property
    def bounded(self) -> bool:
        """Whether rewards have finite bounds."""
        return math.isfinite(self.reward_low) and math.isfinite(self.reward_high)

    @property
    def no_context(self) -> Context:
        """The context of a world that has none."""
        return jnp.zeros((self.arms, 0))


class Bandit(eqx.Module):
    """A world in which each step stands alone: a context is shown, an arm is pulled, its reward is seen."""

    @property
    @abstractmethod
    def spec(self) -> BanditSpec:
        """What learners are told of this world."""

    def context(self, step: Int[Array, ""], key: PRNGKeyArray) -> Context:
        """What is shown at ``step`` (counted from 0); nothing by default."""
        return self.spec.no_context

    @abstractmethod
    def means(self, context: Context) -> Float[Array, " arms"]:
        """Mean reward of each arm in this context; what regret is measured by."""

    @abstractmethod
    def reward(self, context: Context, action: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """A reward of pulling arm ``action``."""


class Choice(NamedTuple):
    """An arm, and the probability with which it was chosen; the latter is what makes logged feedback reusable."""

    action: Int[Array, ""]
    propensity: Float[Array, ""]


@dataclass(frozen=True)
class Learner(ABC):
    """Pure functions over a state, which is a pytree of arrays. Fields are constants, and hashable."""

    @abstractmethod
    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> Any:
        """The state before anything is seen.

        Raises:
            UsageError: the learner cannot work with such a bandit.
        """

    def probabilities(self, state: Any, context: Context) -> Float[Array, " arms"] | None:
        """With which probability each arm is chosen; None where that is not known. Sums to one."""
        return None

    def choose(self, state: Any, context: Context, key: PRNGKeyArray) -> Choice:
        """Draw an arm from ``probabilities``."""
        probabilities = self.probabilities(state, context)
        if probabilities is None:
            raise NotImplementedError(f"{type(self).__name__} gives neither probabilities nor choose")
        return draw(probabilities, key)

    @abstractmethod
    def observe(
        self,
        state: Any,
        context: Context,
        action: Int[Array, ""],
        reward: Float[Array, ""],
        propensity: Float[Array, ""],
    ) -> Any:
        """The state after seeing the reward of ``action``, chosen in ``context`` with probability ``propensity``."""


def draw(probabilities: Float[Array, " arms"], key: PRNGKeyArray) -> Choice:
    """An arm drawn with these probabilities, one uniform number spent."""
    cumulative = jnp.cumsum(probabilities)
    threshold = jax.random.uniform(key) * cumulative[-1]
    action = jnp.argmax(cumulative > threshold)  # the first; rounding up to the sum itself would find none
    action = jnp.where(threshold < cumulative[-1], action, jnp.argmax(probabilities))
    return Choice(action, probabilities[action])


def among_best(index: Float[Array, " arms"]) -> Float[Array, " arms"]:
    """Probabilities of an arm drawn evenly from those of largest index."""
    best = index == jnp.max(index)
    return best / jnp.sum(best)
