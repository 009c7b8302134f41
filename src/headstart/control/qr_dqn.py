"""Distributional reinforcement learning with quantile regression (Dabney et al., 2018, arXiv 1710.10044)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.dqn import DQN
from headstart.control.method import Metrics, td_target
from headstart.control.networks import MultiHeadCritic, chosen
from headstart.core.specs import Spec
from headstart.data.batch import Batch


def quantile_huber_loss(
    quantiles: Float[Array, "batch quantiles"], samples: Float[Array, "batch samples"], delta: float
) -> Float[Array, " batch"]:
    """Sum over quantiles of the mean over samples of ``|τ - 1[u < 0]| Huber(u) / delta``, u = sample - quantile.

    The τ are the midpoints (2i - 1) / 2N, at which the quantiles are nearest in Wasserstein distance (lemma 2).
    """
    count = quantiles.shape[-1]
    levels = (jnp.arange(count) + 0.5) / count
    errors = samples[:, None, :] - quantiles[:, :, None]
    weights = jnp.abs(levels[:, None] - (errors < 0))
    huber = optax.losses.huber_loss(errors, delta=delta) / delta
    return jnp.sum(jnp.mean(weights * huber, -1), -1)


@dataclass(frozen=True, kw_only=True)
class QRDQN(DQN):
    """DQN that learns quantiles of the return instead of its mean, and acts on their mean."""

    name: ClassVar[str] = "qr-dqn"

    quantiles: int = 50
    """Of each choice's return; the paper takes 200 on Atari."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """A critic with one head a quantile."""
        trunk = self.perceptron(spec.observation_size, spec.action_size * self.quantiles, key)
        return {"critic": MultiHeadCritic(trunk, self.quantiles)}

    def action_values(
        self, critic: Any, observations: Float[Array, "*batch observation"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch choices"]:
        """The mean over quantiles for every choice."""
        return jnp.mean(critic(observations), -2)

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Quantile regression on the target's quantiles of the next choice (algorithm 1)."""
        choice = self.next_choice(nets, batch, key)[:, None]
        later = chosen(nets.target_critic(batch.next_observations), choice)
        quantiles = chosen(critic(batch.observations), batch.actions[:, None])
        loss = jnp.mean(quantile_huber_loss(quantiles, td_target(batch, later.T).T, self.huber_delta))
        return loss, {"value/critic": jnp.mean(quantiles)}
