"""Soft actor-critic (Haarnoja et al., 2018, arXiv 1812.05905), with REDQ's ensembles (Chen et al., 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.actor_critic import ActorCritic
from headstart.control.method import Metrics, td_target
from headstart.control.networks import Scalar, TanhGaussianActor, evaluate, subset
from headstart.core.errors import UsageError
from headstart.core.specs import Spec
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class SAC(ActorCritic):
    """Soft actor-critic: maximise value plus entropy, with the entropy's weight learned."""

    name: ClassVar[str] = "sac"
    order: ClassVar[tuple[str, ...]] = ("critic", "actor", "temperature")

    initial_temperature: float = 1.0
    """Weight of the entropy before it is adapted."""
    target_entropy: float = -1.0
    """Entropy the policy is held at, in nats for each action dimension (section 5)."""
    entropy_backup: bool = True
    """Whether the critic's target includes the entropy of the next action (equation 3)."""
    critic_subset: int | None = None
    """Critics drawn at random for every target, of which the least counts (REDQ's M, 2); None takes all."""
    subset_replacement: bool = False
    """Whether that draw may take one critic twice."""
    backup_actions: int = 1
    """Next actions drawn for every target, of which the best counts; more than one is CQL's max-backup (10)."""
    actor_reduction: Literal["min", "mean"] = "min"
    """How critics are joined when improving the policy; REDQ takes the mean."""
    actor_hidden: tuple[int, ...] | None = None
    """Widths of the policy's hidden layers, where they are not those of the critics."""
    state_dependent_std: bool = True
    """Whether the policy's standard deviation depends on the observation, or is one learned vector."""

    def check(self, spec: Spec) -> None:
        """Refuse worlds that the method cannot act in, and subsets larger than the ensemble."""
        super().check(spec)
        if self.critic_subset is not None and self.critic_subset > self.critics and not self.subset_replacement:
            raise UsageError(
                f"critic_subset {self.critic_subset} is larger than the ensemble of critics, {self.critics}; "
                "give at most that many"
            )

    def make_actor(self, spec: Spec, key: PRNGKeyArray, policy: str | None = None) -> Any:
        """A tanh-Gaussian policy."""
        if self.actor_hidden is not None:
            return replace(self, hidden=self.actor_hidden, actor_hidden=None).make_actor(spec, key, policy)
        if self.state_dependent_std:
            return super().make_actor(spec, key, policy)
        trunk = self.perceptron(spec.observation_size, spec.action_size, key, self.actor_layer_norm)
        return TanhGaussianActor(trunk, jnp.zeros(spec.action_size))

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """Policy, critics and the entropy's weight."""
        return super().networks(spec, key) | {"temperature": Scalar.of(self.initial_temperature)}

    def draw_critics(self, critics: Any, key: PRNGKeyArray) -> Any:
        """The members of the ensemble that one target is taken from."""
        if self.critic_subset is None:
            return critics
        # Folded in, so that without a draw every other random number stays the same.
        return subset(critics, self.critic_subset, jax.random.fold_in(key, 1), self.subset_replacement)

    def next_value(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """Value of the next observation under the policy, from the target critics."""
        policy = nets.actor(batch.next_observations)
        actions, log_probs = policy.sample_and_log_prob(key, self.backup_actions)
        critics = self.draw_critics(nets.target_critic, key)
        value = jnp.min(evaluate(critics, batch.next_observations, actions), 0)
        if self.entropy_backup:
            value = value - nets.temperature() * log_probs
        return jnp.max(value, 0)

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Squared distance of every critic to the one target (equation 5)."""
        target = td_target(batch, self.next_value(nets, batch, key))
        values = evaluate(critic, batch.observations, batch.actions)
        return jnp.mean(jnp.sum(jnp.square(values - target), 0)), {"value/critic": jnp.mean(values)}

    def policy_value(self, values: Float[Array, "critics batch"]) -> Float[Array, " batch"]:
        """How the ensemble's opinions are joined when improving the policy."""
        return jnp.min(values, 0) if self.actor_reduction == "min" else jnp.mean(values, 0)

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
        gap = jax.lax.stop_gradient(-jnp.mean(log_probs) - self.target_entropy * actions.shape[-1])
        return temperature() * gap, {"policy/temperature": temperature()}
