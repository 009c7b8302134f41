"""Extreme Q-learning (Garg et al., 2023, arXiv 2301.02328)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.iql import IQL
from headstart.control.method import Metrics, td_target
from headstart.control.networks import Value
from headstart.core.specs import Spec
from headstart.data.batch import Batch


def gumbel_loss(z: Float[Array, " batch"], clip: float) -> Float[Array, ""]:
    """Mean of ``exp(z) - z - 1``, scaled by ``exp(-max z)`` so that it cannot overflow.

    The scale is constant within a batch, so the minimiser over v of the loss at z = (q - v) / β stays that of the
    unscaled one: β log mean exp(q / β).

    Args:
        z: errors in units of the temperature.
        clip: larger errors count as this one.
    """
    z = jnp.minimum(z, clip)
    largest = jax.lax.stop_gradient(jnp.maximum(jnp.max(z), -1.0))
    return jnp.mean(jnp.exp(z - largest) - (z + 1) * jnp.exp(-largest))


@dataclass(frozen=True, kw_only=True)
class XQL(IQL):
    """IQL with Gumbel regression in place of the expectile: V becomes the soft maximum of Q over the data's actions.

    Defaults are those of the authors' code with the one setting they share among locomotion datasets. Their optional
    mixing of uniformly random actions into the value regression is not offered.
    """

    name: ClassVar[str] = "xql"

    gumbel_temperature: float = 2.0
    """Of the soft maximum (the paper's β): smaller is greedier. 0.6 for ant mazes; tuned for each dataset it is
    0.5 to 10."""
    gumbel_clip: float = 7.0
    """Errors beyond this many temperatures count as this."""
    huber_delta: float = 20.0
    """Error beyond which the critic's loss is linear."""

    def make_value(self, spec: Spec, key: PRNGKeyArray) -> Value:
        """A state-value function with layer normalisation (authors' configuration for locomotion)."""
        return Value(self.perceptron(spec.observation_size, 1, key, layer_norm=True))

    def value_loss(self, value: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Gumbel regression of V on Q."""
        target = jax.lax.stop_gradient(jnp.min(self.data_value(nets.target_critic, batch), 0))
        values = value(batch.observations)
        loss = gumbel_loss((target - values) / self.gumbel_temperature, self.gumbel_clip)
        return loss, {"value/state": jnp.mean(values)}

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Huber regression towards V of the next observation."""
        target = td_target(batch, nets.value(batch.next_observations))
        values = self.data_value(critic, batch)
        loss = jnp.mean(jnp.sum(optax.losses.huber_loss(values, target, delta=self.huber_delta), 0))
        return loss, {"value/critic": jnp.mean(values)}
