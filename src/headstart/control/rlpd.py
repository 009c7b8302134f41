"""Reinforcement learning with prior data (Ball et al., 2023, arXiv 2302.02948)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar, Literal

import jax
from jaxtyping import Array, PRNGKeyArray

from headstart.control.method import Metrics, State
from headstart.control.networks import Scalar
from headstart.control.sac import SAC
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class RLPD(SAC):
    """SAC on batches that are half recorded data, with a large layer-normalised ensemble and many updates a step.

    Defaults are those of the authors' code for locomotion; for ant mazes it sets ``entropy_backup=False``,
    ``critic_subset=1`` and three hidden layers.
    """

    name: ClassVar[str] = "rlpd"
    default_data_ratio: ClassVar[float] = 0.5
    default_updates_per_step: ClassVar[float] = 20
    learns_offline_first: ClassVar[bool] = False

    critics: int = 10
    """Size of the Q ensemble (table 1)."""
    critic_subset: int | None = 2
    """Critics drawn without replacement for every target (authors' code)."""
    layer_norm: bool = True
    """Layer normalisation in the critics, which keeps values of unseen actions bounded (section 4.2)."""
    actor_reduction: Literal["min", "mean"] = "mean"
    """How critics are joined when improving the policy (algorithm 1, line 18)."""
    target_entropy: float = -0.5
    """Entropy the policy is held at, in nats for each action dimension (authors' code)."""
    actor_batch: Literal["last", "all"] = "last"
    """Whether the one policy step of a round takes the last of its batches (authors' code) or all of them."""
    temperature_observations: Literal["current", "next"] = "current"
    """Where the entropy that adapts the temperature is measured."""

    def temperature_loss(
        self, temperature: Scalar, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Array, Metrics]:
        """Raises the temperature while the entropy is below its target."""
        if self.temperature_observations == "next":
            batch = batch._replace(observations=batch.next_observations)
        return super().temperature_loss(temperature, nets, batch, key)

    def learn(self, state: State, batches: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """A critic and target step for each batch along the leading axis, then one policy and one temperature step."""
        count = batches.rewards.shape[0]
        critic_key, *other_keys = jax.random.split(key, len(self.order))
        critic_keys = critic_key[None] if count == 1 else jax.random.split(critic_key, count)

        def body(state: State, inputs: tuple[Batch, PRNGKeyArray]) -> tuple[State, Metrics]:
            state, metrics = self.step(state, "critic", *inputs)
            return self.move_targets(state.replace(updates=state.updates + 1)), metrics

        state, metrics = jax.lax.scan(body, state, (batches, critic_keys))
        metrics = jax.tree.map(lambda x: x[-1], metrics)
        batch = jax.tree.map(self._actor_rows, batches)
        for name, step_key in zip(self.order[1:], other_keys, strict=True):
            state, more = self.step(state, name, batch, step_key)
            metrics |= more
        return state, metrics

    def _actor_rows(self, column: Array) -> Array:
        return column[-1] if self.actor_batch == "last" else column.reshape(-1, *column.shape[2:])
