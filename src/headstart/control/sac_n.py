"""SAC with a large ensemble, and with a diversified one (An et al., 2021, arXiv 2110.01548)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.method import Metrics
from headstart.control.networks import MLP, Linear
from headstart.control.sac import SAC
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class SACN(SAC):
    """SAC whose targets are the least of many critics, which is pessimistic wherever they disagree."""

    name: ClassVar[str] = "sac-n"

    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of the hidden layers of every network (authors' code)."""
    critics: int = 10
    """Size of the Q ensemble: 10 for halfcheetah, about 20 for walker2d, hundreds for hopper (the paper's appendix)."""

    def perceptron(self, inputs: int, outputs: int, key: PRNGKeyArray, layer_norm: bool = False) -> MLP:
        """Biases of 0.1 in the hidden layers and a last layer within ±0.003 (authors' code)."""
        net = super().perceptron(inputs, outputs, key, layer_norm)
        hidden = [Linear(layer.weight, jnp.full_like(layer.bias, 0.1)) for layer in net.layers[:-1]]
        last = jax.tree.map(lambda leaf: leaf * 0.003 * self.hidden[-1] ** 0.5, net.layers[-1])
        return eqx.tree_at(lambda net: net.layers, net, [*hidden, last])


@dataclass(frozen=True, kw_only=True)
class EDAC(SACN):
    """SAC-N whose critics are kept from agreeing on how values change with actions, so that few of them suffice."""

    name: ClassVar[str] = "edac"

    critics: int = 10
    """Size of the Q ensemble: 10 for halfcheetah and walker2d, 50 for hopper (the paper's appendix)."""
    diversity: float = 1.0
    """Weight η of the diversity term: 1 for most of locomotion, up to 5 for medium-expert data."""

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Temporal differences plus the similarity of the critics' gradients (equation 5)."""
        loss, metrics = super().critic_loss(critic, nets, batch, key)
        similarity = jnp.mean(self.similarity(critic, batch))
        return loss + self.diversity * similarity, metrics | {"value/gradient_similarity": similarity}

    def similarity(self, critics: Any, batch: Batch) -> Float[Array, " batch"]:
        """Mean cosine between one critic's gradient with respect to the action and all others', times the ensemble."""

        def direction(critic: Any) -> Float[Array, "batch action"]:
            slope = jax.grad(lambda actions: jnp.sum(critic(batch.observations, actions)))(batch.actions)
            return slope * jax.lax.rsqrt(jnp.sum(jnp.square(slope), -1, keepdims=True) + 1e-20)

        directions = jax.vmap(direction)(critics)
        # Σᵢ≠ⱼ dᵢ·dⱼ = |Σᵢ dᵢ|² - Σᵢ |dᵢ|²: no product of every pair.
        together = jnp.sum(jnp.square(jnp.sum(directions, 0)), -1)
        return (together - jnp.sum(jnp.square(directions), (0, 2))) / (directions.shape[0] - 1)
