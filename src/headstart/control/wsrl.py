"""Warm-start reinforcement learning (Zhou et al., 2024, arXiv 2412.07762)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from headstart.control.cal_ql import CalQL
from headstart.control.cql import CQL
from headstart.control.method import Method
from headstart.control.rlpd import RLPD


@dataclass(frozen=True, kw_only=True)
class WSRL(RLPD):
    """Learn offline, forget the data, let the policy collect a few thousand steps unchanged, then go on as RLPD.

    Defaults are those of the authors' code for locomotion. For ant mazes: ``backup_actions=10``, four hidden
    layers in the critics beside ``actor_hidden=(256, 256)``, ``state_dependent_std=False``. For Adroit and kitchens:
    three hidden layers of 512, with ``actor_hidden=(512, 512)`` for Adroit.
    """

    name: ClassVar[str] = "wsrl"
    default_data_ratio: ClassVar[float] = 0.0
    default_updates_per_step: ClassVar[float] = 4
    default_warmup_steps: ClassVar[int] = 5000
    learns_offline_first: ClassVar[bool] = True

    actor_layer_norm: bool = True
    """Layer normalisation in the policy."""
    actor_learning_rate: float = 1e-4
    """Adam's step size for the policy."""
    temperature_learning_rate: float = 1e-4
    """Adam's step size for the entropy's weight."""
    target_entropy: float = -1.0
    """Entropy the policy is held at, in nats for each action dimension."""
    entropy_backup: bool = False
    """Whether the critic's target includes the entropy of the next action."""
    subset_replacement: bool = True
    """Whether the critics of a target may be one critic twice."""
    actor_reduction: Literal["min", "mean"] = "min"
    """How critics are joined when improving the policy; the paper's text says the mean."""
    actor_batch: Literal["last", "all"] = "all"
    """Whether the one policy step of a round takes the last of its batches or all of them."""
    temperature_observations: Literal["current", "next"] = "next"
    """Where the entropy that adapts the temperature is measured."""
    pretraining: CQL = field(default_factory=CalQL)
    """What learns offline: Cal-QL, or CQL where returns are hard to estimate, as the authors do for locomotion. Its
    networks, discount and observation scaling are made this method's own."""

    def for_phase(self, kind: str) -> Method:
        """The pretraining method while offline, this one afterwards."""
        if kind != "offline":
            return self
        shared = (
            "hidden actor_hidden state_dependent_std layer_norm actor_layer_norm critics critic_subset "
            "subset_replacement discount n_step normalize_observations"
        )
        return replace(self.pretraining, **{name: getattr(self, name) for name in shared.split()})
