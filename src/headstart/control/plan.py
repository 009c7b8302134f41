"""A plan: the phases that learning goes through, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from headstart.core.errors import UsageError

Kind = Literal["offline", "warmup", "online"]


@dataclass(frozen=True)
class Phase:
    """One phase. Use ``offline``, ``warmup`` or ``online`` to make one.

    Attributes:
        kind: "offline" learns from recorded data alone, "warmup" only collects, "online" collects and learns.
        steps: gradient updates (offline) or environment steps (warmup, online).
        updates_per_step: gradient updates for each environment step; below 1, one update every 1/x steps.
        data_ratio: part of each batch that is drawn from the recorded data while online, 0 to 1.
        policy: who acts in a warm-up: the policy as it is ("current") or uniform random actions ("random").
    """

    kind: Kind
    steps: int
    updates_per_step: float = 1.0
    data_ratio: float = 0.0
    policy: Literal["current", "random"] = "current"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UsageError(f"{self.kind} steps {self.steps} is negative; give 0 or more")
        if self.updates_per_step < 0:
            raise UsageError(f"updates_per_step {self.updates_per_step} is negative; give 0 or more")
        if 0 < self.updates_per_step < 1 and abs(1 / self.updates_per_step - round(1 / self.updates_per_step)) > 1e-6:
            raise UsageError(f"updates_per_step {self.updates_per_step} below 1 must be 1/k for a whole number k")
        if self.updates_per_step >= 1 and self.updates_per_step != int(self.updates_per_step):
            raise UsageError(f"updates_per_step {self.updates_per_step} above 1 must be a whole number")
        if not 0 <= self.data_ratio <= 1:
            raise UsageError(f"data_ratio {self.data_ratio} is outside 0 to 1")

    @property
    def updates(self) -> int:
        """Updates made at a time: at least one."""
        return max(1, round(self.updates_per_step))

    @property
    def period(self) -> int:
        """Environment steps between two groups of updates; 0 for never."""
        if self.kind != "online" or self.updates_per_step == 0:
            return 0
        return max(1, round(1 / self.updates_per_step))


def offline(steps: int) -> Phase:
    """Learn from recorded data for ``steps`` gradient updates."""
    return Phase("offline", steps)


def warmup(steps: int, policy: Literal["current", "random"] = "current") -> Phase:
    """Collect ``steps`` environment steps without learning: with the policy as it is, or at random."""
    return Phase("warmup", steps, policy=policy)


def online(steps: int, updates_per_step: float = 1.0, data_ratio: float = 0.0) -> Phase:
    """Act and learn for ``steps`` environment steps; ``data_ratio`` of every batch comes from the recorded data."""
    return Phase("online", steps, updates_per_step, data_ratio)


def check_plan(plan: Sequence[Phase], has_data: bool, has_world: bool, worlds: int = 1) -> None:
    """Refuse plans that cannot be carried out, with so many worlds acted in at once.

    Raises:
        UsageError: the plan is empty, or needs data or a world that was not given.
    """
    if not any(phase.steps for phase in plan):
        raise UsageError("the plan has no steps; give offline steps, online steps, or both")
    for phase in plan:
        replace(phase, updates_per_step=phase.updates_per_step * worlds)
        if phase.steps and phase.kind == "offline" and not has_data:
            raise UsageError(f"the plan learns offline for {phase.steps} updates but no data was given; give data")
        if phase.steps and phase.kind != "offline" and not has_world:
            raise UsageError(f"the plan acts for {phase.steps} steps but no world was given; give a world")
        if phase.steps and phase.data_ratio > 0 and not has_data:
            raise UsageError(f"data_ratio {phase.data_ratio} mixes in recorded data but no data was given; give data")


def plan_to_json(plan: Sequence[Phase]) -> list[dict[str, Any]]:
    """The plan as plain JSON values."""
    return [dict(vars(phase)) for phase in plan]


def plan_from_json(phases: Sequence[dict[str, Any]]) -> list[Phase]:
    """The plan that ``plan_to_json`` wrote."""
    return [Phase(**phase) for phase in phases]
