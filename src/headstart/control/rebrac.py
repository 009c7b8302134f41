"""ReBRAC: behaviour-regularised actor-critic, revisited (Tarasov et al., 2023, arXiv 2305.09836)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.method import Metrics, recorded
from headstart.control.networks import MLP, evaluate
from headstart.control.td3 import TD3
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class ReBRAC(TD3):
    """TD3+BC with separate penalties for policy and critic, deeper networks, layer norm and large batches.

    Defaults are those of the authors' code for locomotion; ant mazes take batches of 256, discount 0.999 and step sizes
    3e-4 (policy) and 5e-5 (critic). Layer norm stands before each activation, where the authors' stands after it.
    """

    name: ClassVar[str] = "rebrac"
    needs_next_actions: ClassVar[bool] = True

    actor_penalty: float = 0.01
    """Weight of the squared distance to the recorded action (β₁); tuned for each dataset in 0.001 to 0.1, and 0.01 is
    the commonest choice (authors' configurations)."""
    critic_penalty: float = 0.01
    """Weight of the same distance at the next observation, taken off its value (β₂); tuned in 0 to 0.5, and 0.01 is
    the commonest choice."""
    normalize_values: bool = True
    """Divide the value in the policy's loss by its mean absolute value, as TD3+BC does."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of the hidden layers of every network."""
    layer_norm: bool = True
    """Layer normalisation in the critics."""
    learning_rate: float = 1e-3
    """Adam's step size, for policy and critics."""
    batch_size: int = 1024
    """Transitions per update."""

    def perceptron(self, inputs: int, outputs: int, key: PRNGKeyArray, layer_norm: bool = False) -> MLP:
        """PyTorch's initialisation, but a last layer within ±3e-3 (the authors' critic; their policy's is ±1e-3)."""
        scale = 3e-3 * (inputs, *self.hidden)[-1] ** 0.5
        return MLP(inputs, outputs, self.hidden, key, layer_norm=layer_norm, final_scale=scale)

    def next_value(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """The lower target value of the next action, less its distance to the recorded one."""
        actions = self.next_actions(nets, batch, key)
        values = jnp.min(evaluate(nets.target_critic, batch.next_observations, actions), 0)
        distance = jnp.sum(jnp.square(actions - recorded(batch, "next_actions")), -1)
        return values - self.critic_penalty * distance

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Penalised distance to the recorded action, minus the lower value of the policy's own."""
        actions = actor(batch.observations).mode()
        values = jnp.min(evaluate(nets.critic, batch.observations, actions), 0)
        scale = jax.lax.stop_gradient(1 / jnp.mean(jnp.abs(values))) if self.normalize_values else 1.0
        distance = jnp.mean(jnp.sum(jnp.square(actions - batch.actions), -1))
        return self.actor_penalty * distance - scale * jnp.mean(values), {"policy/distance": distance}
