"""What methods for discrete actions share that act on the values of actions."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.method import Method, Metrics, State, td_target
from headstart.control.networks import MLP, DiscreteCritic, chosen
from headstart.core.specs import Spec
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class ActionValueMethod(Method):
    """Q(s, ·) learned with the Huber loss from one bootstrapped choice, and acted on ε-greedily.

    A subclass says with ``next_choice`` which choice that is. Defaults are those of the code of "A dataset perspective
    on offline reinforcement learning" (Schweighofer et al., 2021, arXiv 2111.04714), one setting for all its methods.
    """

    order: ClassVar[tuple[str, ...]] = ("critic",)
    continuous: ClassVar[bool] = False
    discrete: ClassVar[bool] = True

    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of the hidden layers of every network."""
    activation: str = "selu"
    """Between layers: selu, relu, tanh, elu or gelu."""
    learning_rate: float = 1e-4
    """Adam's step size."""
    batch_size: int = 128
    """Transitions per update offline; the same code takes 32 online."""
    target_rate: float = 1.0
    """1 copies the network to its target whole; smaller with ``target_period=1`` moves it slowly (Polyak)."""
    target_period: int = 100
    """Updates between two copies."""
    huber_delta: float = 1.0
    """Temporal difference beyond which the loss is linear."""
    initial_epsilon: float = 1.0
    """Probability of a random choice while exploring, before any update."""
    final_epsilon: float = 0.01
    """The same, once ``epsilon_decay_updates`` updates have been made."""
    epsilon_decay_updates: int = 1000
    """Updates, offline ones included, over which it falls on a straight line."""

    def perceptron(self, inputs: int, outputs: int, key: PRNGKeyArray, layer_norm: bool = False) -> MLP:
        """Gaussian weights of variance 1/inputs and zero biases, which keep selu's outputs standardised."""
        return MLP(
            inputs,
            outputs,
            self.hidden,
            key,
            layer_norm=layer_norm,
            activation=self.activation,
            initializer="lecun",
        )

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The critic."""
        return {"critic": DiscreteCritic(self.perceptron(spec.observation_size, spec.action_size, key))}

    def action_values(
        self, critic: Any, observations: Float[Array, "*batch observation"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch choices"]:
        """The value of every choice; ``key`` is that of the update under way, where there is one."""
        return critic(observations)

    def next_choice(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Int[Array, " batch"]:
        """The choice at the next observation whose target value is bootstrapped from."""
        raise NotImplementedError

    def target(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """What the recorded choice's value is regressed on: the temporal-difference target."""
        values = self.action_values(nets.target_critic, batch.next_observations, key)
        return td_target(batch, chosen(values, self.next_choice(nets, batch, key)))

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Huber loss between the recorded choice's value and its target."""
        values = chosen(self.action_values(critic, batch.observations, key), batch.actions)
        loss = jnp.mean(optax.losses.huber_loss(values, self.target(nets, batch, key), delta=self.huber_delta))
        return loss, {"value/critic": jnp.mean(values)}

    def preferences(
        self, state: State, observation: Float[Array, "*batch observation"]
    ) -> Float[Array, "*batch choices"]:
        """What the greedy choice is the largest of."""
        return self.action_values(state.nets["critic"], observation)

    def epsilon(self, updates: Int[Array, ""]) -> Float[Array, ""]:
        """Probability of a random choice while exploring after so many updates."""
        left = jnp.clip(1 - updates / max(self.epsilon_decay_updates, 1), 0, 1)
        return self.final_epsilon + left * (self.initial_epsilon - self.final_epsilon)

    def act(
        self, state: State, observation: Float[Array, "*batch observation"], key: PRNGKeyArray, explore: bool
    ) -> Int[Array, "*batch"]:
        """The greedy choice; when exploring, sometimes a random one."""
        preferences = self.preferences(state, observation)
        greedy = jnp.argmax(preferences, -1)
        if not explore:
            return greedy
        coin_key, choice_key = jax.random.split(key)
        random = jax.random.randint(choice_key, greedy.shape, 0, preferences.shape[-1])
        return jnp.where(jax.random.uniform(coin_key, greedy.shape) < self.epsilon(state.updates), random, greedy)
