"""Soft actor-critic (Haarnoja et al., 2018, arXiv 1812.05905)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.actor_critic import ActorCritic
from headstart.control.method import Metrics, td_target
from headstart.control.networks import Scalar, evaluate
from headstart.core.specs import Spec
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class SAC(ActorCritic):
    """Soft actor-critic: maximise value plus entropy, with the entropy's weight learned."""

    name: ClassVar[str] = "sac"
    order: ClassVar[tuple[str, ...]] = ("critic", "actor", "temperature")

    initial_temperature: float = 1.0
    """Weight of the entropy before it is adapted."""
    target_entropy: float | None = None
    """Entropy the policy is held at, in nats; minus the number of action dimensions by default (section 5)."""
    entropy_backup: bool = True
    """Whether the critic's target includes the entropy of the next action (equation 3)."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """Policy, critics and the entropy's weight."""
        return super().networks(spec, key) | {"temperature": Scalar.of(self.initial_temperature)}

    def next_value(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """Value of the next observation under the policy, from the target critics."""
        actions, log_probs = nets.actor(batch.next_observations).sample_and_log_prob(key)
        value = jnp.min(evaluate(nets.target_critic, batch.next_observations, actions), 0)
        return value - nets.temperature() * log_probs if self.entropy_backup else value

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Squared distance of every critic to the one target (equation 5)."""
        target = td_target(batch, self.next_value(nets, batch, key))
        values = evaluate(critic, batch.observations, batch.actions)
        return jnp.mean(jnp.sum(jnp.square(values - target), 0)), {"value/critic": jnp.mean(values)}

    def policy_value(self, values: Float[Array, "critics batch"]) -> Float[Array, " batch"]:
        """How the ensemble's opinions are joined when improving the policy."""
        return jnp.min(values, 0)

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Temperature-weighted log-probability minus value (equation 9)."""
        actions, log_probs = actor(batch.observations).sample_and_log_prob(key)
        value = self.policy_value(evaluate(nets.critic, batch.observations, actions))
        loss = jnp.mean(jax.lax.stop_gradient(nets.temperature()) * log_probs - value)
        return loss, {"policy/entropy": -jnp.mean(log_probs)}

    def temperature_loss(
        self, temperature: Scalar, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Array, Metrics]:
        """Raises the temperature while the entropy is below its target (equation 18)."""
        actions, log_probs = nets.actor(batch.observations).sample_and_log_prob(key)
        target = -float(actions.shape[-1]) if self.target_entropy is None else self.target_entropy
        gap = jax.lax.stop_gradient(-jnp.mean(log_probs) - target)
        return temperature() * gap, {"policy/temperature": temperature()}
