"""What methods with a policy, and with an ensemble of Q functions beside it, share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.method import Method
from headstart.control.networks import (
    CategoricalActor,
    Critic,
    DeterministicActor,
    DiscreteCritic,
    GaussianActor,
    TanhGaussianActor,
    Value,
    chosen,
    ensemble,
    evaluate,
)
from headstart.core.specs import Spec


@dataclass(frozen=True, kw_only=True)
class PolicyMethod(Method):
    """A method with a network for its policy."""

    policy: ClassVar[str] = "tanh-gaussian"  # or "deterministic", "gaussian"

    actor_layer_norm: bool = False
    """Layer normalisation in the policy."""

    def make_actor(self, spec: Spec, key: PRNGKeyArray, policy: str | None = None) -> Any:
        """The policy of the kind that ``policy`` names; categorical for discrete actions."""
        observation, action = spec.observation_size, spec.action_size
        kind = policy or self.policy
        outputs = 2 * action if kind == "tanh-gaussian" and not spec.discrete else action
        trunk = self.perceptron(observation, outputs, key, self.actor_layer_norm)
        if spec.discrete:
            return CategoricalActor(trunk)
        if kind == "deterministic":
            return DeterministicActor(trunk)
        if kind == "gaussian":
            return GaussianActor(trunk, jnp.zeros(action))
        return TanhGaussianActor(trunk, None)


@dataclass(frozen=True, kw_only=True)
class ActorCritic(PolicyMethod):
    """A policy and an ensemble of critics, with the constructors that subclasses choose from."""

    critics: int = 2
    """Size of the Q ensemble."""
    layer_norm: bool = False
    """Layer normalisation in the critics."""

    def make_critic(self, spec: Spec, key: PRNGKeyArray) -> Any:
        """One Q function."""
        if spec.discrete:
            return DiscreteCritic(self.perceptron(spec.observation_size, spec.action_size, key, self.layer_norm))
        inputs = spec.observation_size + spec.action_size
        return Critic(self.perceptron(inputs, 1, key, self.layer_norm))

    def make_value(self, spec: Spec, key: PRNGKeyArray) -> Value:
        """A state-value function."""
        return Value(self.perceptron(spec.observation_size, 1, key, self.layer_norm))

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The policy and the critic ensemble."""
        actor_key, critic_key = jax.random.split(key)
        return {
            "actor": self.make_actor(spec, actor_key),
            "critic": ensemble(lambda k: self.make_critic(spec, k), self.critics, critic_key),
        }

    def q_values(
        self, critics: Any, observations: Float[Array, "batch observation"], actions: Array
    ) -> Float[Array, "critics batch"]:
        """Every critic's value of actions, continuous or discrete."""
        if jnp.issubdtype(actions.dtype, jnp.integer):
            return chosen(evaluate(critics, observations), actions)
        return evaluate(critics, observations, actions)
