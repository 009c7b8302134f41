"""Random ensemble mixture (Agarwal et al., 2020, arXiv 1907.04543)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.dqn import DQN
from headstart.control.networks import MultiHeadCritic
from headstart.core.specs import Spec


@dataclass(frozen=True, kw_only=True)
class REM(DQN):
    """DQN on a random convex mixture of many heads, drawn anew for every update; it acts on their mean."""

    name: ClassVar[str] = "rem"

    heads: int = 200
    """Q functions on the shared trunk (section 4.2)."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """A critic with many heads."""
        trunk = self.perceptron(spec.observation_size, spec.action_size * self.heads, key)
        return {"critic": MultiHeadCritic(trunk, self.heads)}

    def action_values(
        self, critic: Any, observations: Float[Array, "*batch observation"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch choices"]:
        """The heads' mean; within an update, the mixture that its key draws, the same for network and target."""
        if key is None:
            return jnp.mean(critic(observations), -2)
        weights = jax.random.uniform(key, (self.heads,))
        return jnp.einsum("h,...hc->...c", weights / jnp.sum(weights), critic(observations))
