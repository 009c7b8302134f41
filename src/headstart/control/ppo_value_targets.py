"""PPO whose value is regressed on λ-returns with a λ of their own, apart from that of the advantages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from headstart.control.method import Metrics, State
from headstart.control.ppo import PPO, Rollout
from headstart.core.errors import UsageError


class TargetedRollout(NamedTuple):
    """A ``Rollout``, field by field, and what values are regressed on."""

    observations: Float[Array, "time worlds observation"]
    actions: Array
    log_probs: Float[Array, "time worlds"]
    values: Float[Array, "time worlds"]
    rewards: Float[Array, "time worlds"]
    terminations: Bool[Array, "time worlds"]
    truncations: Bool[Array, "time worlds"]
    next_values: Float[Array, "time worlds"]
    targets: Float[Array, "time worlds"]


@dataclass(frozen=True, kw_only=True)
class PPOWithValueTargets(PPO):
    """PPO that chooses its value targets: 0 is one step of TD, 1 Monte Carlo, ``trace_decay`` is plain PPO."""

    name: ClassVar[str] = "ppo-value-targets"

    value_trace_decay: float = 0.95
    """λ of the returns that values are regressed on."""
    running_reward_scale: bool = False
    """Has to stay False: targets are computed from the rewards as they come."""

    def __post_init__(self) -> None:
        if self.running_reward_scale:
            raise UsageError("value targets need running_reward_scale=False; scale rewards with reward_scale instead")
        if not 0 <= self.value_trace_decay <= 1:
            raise UsageError(f"value_trace_decay {self.value_trace_decay} is outside 0 to 1")

    def targets(self, rollout: Rollout) -> Float[Array, "time worlds"]:
        """λ-returns that values are regressed on."""
        return rollout.values + replace(self, trace_decay=self.value_trace_decay).advantages(rollout)

    def update_from_rollout(self, state: State, rollout: Rollout, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """As PPO, the targets carried along with the rollout."""
        carried: Any = TargetedRollout(*rollout, self.targets(rollout))
        return super().update_from_rollout(state, carried, key)

    def loss(
        self, learned: dict[str, Any], rows: Any, advantages: Float[Array, " rows"], returns: Float[Array, " rows"]
    ) -> tuple[Array, Metrics]:
        """As PPO, with the targets in place of ``returns``."""
        total, metrics = super().loss(learned, rows, advantages, rows.targets)
        return total, metrics | {"value/target_change": jnp.mean(jnp.abs(rows.targets - returns))}
