"""Implicit Q-learning (Kostrikov et al., 2021, arXiv 2110.06169)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.actor_critic import ActorCritic
from headstart.control.method import Metrics, td_target
from headstart.control.networks import MLP
from headstart.core.specs import Spec
from headstart.data.batch import Batch

if TYPE_CHECKING:
    from headstart.control.plan import Phase


@dataclass(frozen=True, kw_only=True)
class IQL(ActorCritic):
    """Implicit Q-learning: never queries actions outside the data. Continuous or discrete actions.

    Defaults are those of the authors' code for locomotion, where rewards are also multiplied by 1000 / (largest -
    smallest return in the data); ant mazes subtract 1 from rewards, and Adroit and kitchen add dropout of 0.1 to the
    policy, which is not offered here.
    """

    name: ClassVar[str] = "iql"
    policy: ClassVar[str] = "gaussian"
    order: ClassVar[tuple[str, ...]] = ("value", "actor", "critic")
    discrete: ClassVar[bool] = True

    expectile: float = 0.7
    """Of the value regression; 0.7 for locomotion, 0.9 for ant mazes (table in appendix B)."""
    temperature: float = 3.0
    """Weight of the advantage in the policy regression; 10 for ant mazes."""
    advantage_clip: float = 100.0
    """Largest weight of one transition in the policy regression."""
    actor_decay_steps: int | Literal["plan"] | None = "plan"
    """Updates over which the policy's learning rate falls to zero on a cosine (appendix B: 1000000). None keeps it
    constant, as the authors do where learning goes on online; "plan" is the plan's offline updates, or None if the
    plan goes online."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """Policy, critics and a state-value function."""
        rest_key, value_key = jax.random.split(key)
        return super().networks(spec, rest_key) | {"value": self.make_value(spec, value_key)}

    def perceptron(self, inputs: int, outputs: int, key: PRNGKeyArray, layer_norm: bool = False) -> MLP:
        """Orthogonal weights with gain √2 in every layer, the last one too, and zero biases (authors' code)."""
        return MLP(
            inputs, outputs, self.hidden, key, layer_norm=layer_norm, initializer="orthogonal", final_scale=2**0.5
        )

    def for_plan(self, plan: Sequence[Phase], worlds: int) -> IQL:
        """The method with the length of the policy's schedule filled in."""
        if self.actor_decay_steps != "plan":
            return self
        goes_online = any(phase.steps for phase in plan if phase.kind == "online")
        return replace(self, actor_decay_steps=None if goes_online else sum(phase.steps for phase in plan))

    def optimizer(self, name: str) -> optax.GradientTransformation:
        """Adam; a cosine schedule for the policy, where its length is known."""
        if name == "actor" and isinstance(self.actor_decay_steps, int) and self.actor_decay_steps:
            return optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.actor_decay_steps))
        return super().optimizer(name)

    def data_value(self, critics: Any, batch: Batch) -> Float[Array, "critics batch"]:
        """Q of the recorded actions."""
        return self.q_values(critics, batch.observations, batch.actions)

    def advantage(self, nets: SimpleNamespace, batch: Batch) -> Float[Array, " batch"]:
        """How much better the recorded action is than the state's value, by the target critics' minimum."""
        return jnp.min(self.data_value(nets.target_critic, batch), 0) - nets.value(batch.observations)

    def value_loss(self, value: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Expectile regression of V on Q (equation 5)."""
        target = jnp.min(self.data_value(nets.target_critic, batch), 0)
        gap = jax.lax.stop_gradient(target) - value(batch.observations)
        weight = jnp.where(gap > 0, self.expectile, 1 - self.expectile)
        return jnp.mean(weight * jnp.square(gap)), {"value/state": jnp.mean(target - gap)}

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Advantage-weighted log-likelihood of the recorded actions (equation 7)."""
        weight = jnp.minimum(jnp.exp(self.temperature * self.advantage(nets, batch)), self.advantage_clip)
        log_prob = actor(batch.observations).log_prob(batch.actions)
        return -jnp.mean(jax.lax.stop_gradient(weight) * log_prob), {"policy/log_prob": jnp.mean(log_prob)}

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Temporal-difference regression towards V of the next observation (equation 6)."""
        target = td_target(batch, nets.value(batch.next_observations))
        values = self.data_value(critic, batch)
        return jnp.mean(jnp.sum(jnp.square(values - target), 0)), {"value/critic": jnp.mean(values)}
