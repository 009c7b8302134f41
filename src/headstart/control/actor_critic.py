"""What methods with a policy and an ensemble of Q functions share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from headstart.control.method import Method
from headstart.control.networks import (
    MLP,
    CategoricalActor,
    Critic,
    DeterministicActor,
    DiscreteCritic,
    GaussianActor,
    TanhGaussianActor,
    Value,
    ensemble,
)
from headstart.core.specs import Spec


@dataclass(frozen=True, kw_only=True)
class ActorCritic(Method):
    """A policy and an ensemble of critics, with the constructors that subclasses choose from."""

    policy: ClassVar[str] = "tanh-gaussian"  # or "deterministic", "gaussian"

    critics: int = 2
    """Size of the Q ensemble."""
    layer_norm: bool = False
    """Layer normalisation in the critics."""
    actor_layer_norm: bool = False
    """Layer normalisation in the policy."""

    def make_actor(self, spec: Spec, key: PRNGKeyArray) -> Any:
        """The policy of the kind that ``policy`` names; categorical for discrete actions."""
        observation, action = spec.observation_size, spec.action_size

        def mlp(outputs: int) -> MLP:
            return MLP(observation, outputs, self.hidden, key, layer_norm=self.actor_layer_norm)

        if spec.discrete:
            return CategoricalActor(mlp(action))
        if self.policy == "deterministic":
            return DeterministicActor(mlp(action))
        if self.policy == "gaussian":
            return GaussianActor(mlp(action), jnp.zeros(action))
        return TanhGaussianActor(mlp(2 * action), None)

    def make_critic(self, spec: Spec, key: PRNGKeyArray) -> Any:
        """One Q function."""
        if spec.discrete:
            mlp = MLP(spec.observation_size, spec.action_size, self.hidden, key, layer_norm=self.layer_norm)
            return DiscreteCritic(mlp)
        inputs = spec.observation_size + spec.action_size
        return Critic(MLP(inputs, 1, self.hidden, key, layer_norm=self.layer_norm))

    def make_value(self, spec: Spec, key: PRNGKeyArray) -> Value:
        """A state-value function."""
        return Value(MLP(spec.observation_size, 1, self.hidden, key, layer_norm=self.layer_norm))

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The policy and the critic ensemble."""
        actor_key, critic_key = jax.random.split(key)
        return {
            "actor": self.make_actor(spec, actor_key),
            "critic": ensemble(lambda k: self.make_critic(spec, k), self.critics, critic_key),
        }
