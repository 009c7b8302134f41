"""Critic-regularised regression (Wang et al., 2020, arXiv 2006.15134), for discrete actions."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.action_value import ActionValueMethod
from headstart.control.method import Method, Metrics, State
from headstart.control.networks import CategoricalActor, chosen
from headstart.core.specs import Spec
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class CRR(ActionValueMethod):
    """Behavioural cloning of the recorded choices that beat the policy's own: the binary filter."""

    name: ClassVar[str] = "crr"
    order: ClassVar[tuple[str, ...]] = ("actor", "critic")
    targeted: ClassVar[tuple[str, ...]] = ("critic", "actor")

    advantage_samples: int = 4
    """The policy's choices whose mean value a recorded choice must exceed (the paper's m)."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The policy and the critic."""
        critic_key, actor_key = jax.random.split(key)
        actor = CategoricalActor(self.perceptron(spec.observation_size, spec.action_size, actor_key))
        return super().networks(spec, critic_key) | {"actor": actor}

    def next_choice(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Int[Array, " batch"]:
        """A sample of the target policy."""
        return nets.target_actor(batch.next_observations).sample(key)

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Minus the log-likelihood of recorded choices with a positive advantage."""
        distribution = actor(batch.observations)
        values = self.action_values(nets.critic, batch.observations)
        shape = (self.advantage_samples, *batch.actions.shape)
        samples = jax.random.categorical(key, jax.lax.stop_gradient(distribution.logits), shape=shape)
        kept = chosen(values, batch.actions) > jnp.mean(chosen(values, samples), 0)
        return -jnp.mean(kept * distribution.log_prob(batch.actions)), {"policy/kept": jnp.mean(kept)}

    def act(
        self, state: State, observation: Float[Array, "*batch observation"], key: PRNGKeyArray, explore: bool
    ) -> Int[Array, "*batch"]:
        """The policy's likeliest choice; when exploring, a sample of it."""
        return Method.act(self, state, observation, key, explore)
