"""TD3+BC (Fujimoto & Gu, 2021, arXiv 2106.06860)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from headstart.control.method import Metrics
from headstart.control.networks import member
from headstart.control.td3 import TD3
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class TD3BC(TD3):
    """TD3 whose policy also stays near the data: one added term, and standardised observations."""

    name: ClassVar[str] = "td3-bc"

    alpha: float = 2.5
    """Weight of the value against the imitation, after dividing by the mean absolute value (section 4)."""
    normalize_observations: bool = True
    """Standardise observations with the dataset's mean and standard deviation (section 4)."""

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Squared distance to the recorded action, minus the scaled value of the policy's own."""
        actions = actor(batch.observations).mode()
        values = member(nets.critic, 0)(batch.observations, actions)
        scale = jax.lax.stop_gradient(self.alpha / jnp.mean(jnp.abs(values)))
        distance = jnp.mean(jnp.square(actions - batch.actions))
        return distance - scale * jnp.mean(values), {"policy/distance": distance}
