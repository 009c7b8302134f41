"""The same learner with other constants, compiled once: what tuning over a grid needs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Choice, Context, Learner
from headstart.core.errors import UsageError


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Varied(Learner):
    """A learner some of whose numbers are arrays, so that simulating it with others compiles nothing anew.

    Only for numbers that its computations merely multiply with and the like, not for sizes or switches.
    """

    base: Learner = field(metadata={"static": True})
    """The learner."""
    values: dict[str, Float[Array, ""]]
    """What takes the place of its fields' values."""

    @classmethod
    def of(cls, learner: Learner, **values: float) -> Varied:
        """The learner with these numbers in place of its own.

        Raises:
            UsageError: it has no such field.
        """
        for name in values:
            if not hasattr(learner, name):
                raise UsageError(f"{type(learner).__name__} has no field {name}")
        return cls(learner, {name: jnp.float32(value) for name, value in values.items()})

    @property
    def changed(self) -> Any:
        """The learner, with arrays for numbers."""
        learner = copy.copy(self.base)
        for name, value in self.values.items():
            object.__setattr__(learner, name, value)
        return learner

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> Any:
        """As the learner does."""
        return self.changed.init(spec, key)

    def probabilities(self, state: Any, context: Context) -> Float[Array, " arms"] | None:
        """As the learner does."""
        return self.changed.probabilities(state, context)

    def choose(self, state: Any, context: Context, key: PRNGKeyArray) -> Choice:
        """As the learner does."""
        return self.changed.choose(state, context, key)

    def observe(self, state: Any, context, action, reward, propensity) -> Any:
        """As the learner does."""
        return self.changed.observe(state, context, action, reward, propensity)
