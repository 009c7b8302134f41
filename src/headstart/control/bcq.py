"""Discrete batch-constrained Q-learning (Fujimoto et al., 2019, arXiv 1910.01708)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from headstart.control.dqn import DQN
from headstart.control.method import Metrics, State
from headstart.control.networks import CategoricalActor
from headstart.core.specs import Spec
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class BCQ(DQN):
    """DQN among the choices that the data's behaviour makes likely enough."""

    name: ClassVar[str] = "bcq"
    order: ClassVar[tuple[str, ...]] = ("critic", "behavior")

    threshold: float = 0.3
    """Least probability of a choice, as a part of the likeliest one's (the paper's τ): 0 is DQN, 1 imitates."""
    logit_penalty: float = 0.01
    """Weight of the behaviour model's mean squared logit (authors' code)."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The critic, and a model of the behaviour that made the data."""
        critic_key, behavior_key = jax.random.split(key)
        behavior = CategoricalActor(self.perceptron(spec.observation_size, spec.action_size, behavior_key))
        return super().networks(spec, critic_key) | {"behavior": behavior}

    def allowed(
        self, behavior: CategoricalActor, observations: Float[Array, "*batch observation"]
    ) -> Bool[Array, "*batch choices"]:
        """Which choices the behaviour makes likely enough."""
        log_probs = behavior(observations).log_probs()
        return jnp.exp(log_probs - jnp.max(log_probs, -1, keepdims=True)) >= self.threshold

    def next_choice(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Int[Array, " batch"]:
        """The best allowed choice at the next observation."""
        chooser = nets.critic if self.double else nets.target_critic
        values = self.action_values(chooser, batch.next_observations, key)
        return jnp.argmax(jnp.where(self.allowed(nets.behavior, batch.next_observations), values, -jnp.inf), -1)

    def behavior_loss(
        self, behavior: CategoricalActor, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Array, Metrics]:
        """Cross-entropy of the recorded choices, and a penalty on large logits."""
        distribution = behavior(batch.observations)
        penalty = self.logit_penalty * jnp.mean(jnp.square(distribution.logits))
        return penalty - jnp.mean(distribution.log_prob(batch.actions)), {}

    def preferences(
        self, state: State, observation: Float[Array, "*batch observation"]
    ) -> Float[Array, "*batch choices"]:
        """Values of allowed choices; minus infinity for others."""
        allowed = self.allowed(state.nets["behavior"], observation)
        return jnp.where(allowed, super().preferences(state, observation), -jnp.inf)
