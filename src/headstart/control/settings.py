"""How a run goes about its plan."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run goes about its plan, apart from method, world, data and plan themselves."""

    worlds: int = 1
    """Copies of the world acted in at once."""
    sampler: str = "uniform"
    """How data are drawn: uniform, or weighted by trajectory: advantage:ALPHA, return:ALPHA, top:FRACTION."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this for learning; reports stay in the world's own units."""
    reward_bias: float = 0.0
    """Added to rewards after scaling, for learning only."""
    replay_capacity: int | None = None
    """Transitions the online replay holds before the oldest are forgotten; all of the run's by default."""
    device_megabytes: int = 2048
    """Data larger than this stays on disk and is gathered batch by batch."""
    log_every: int = 1000
    """Steps (updates offline, environment steps online) between logged metrics."""
    evaluate_every: int = 5000
    """Steps between evaluations; a multiple of log_every."""
    evaluate_episodes: int = 10
    """Greedy episodes in each evaluation."""
    checkpoint_every: int = 10000
    """Steps between checkpoints; a multiple of log_every."""
    snapshots: str | None = None
    """File of snapshots (`headstart snapshots`) that early episodes start at; evaluations never do."""
    snapshot_steps: int = 100_000
    """Environment steps, of all copies together, after which episodes start as the world's own do."""
    snapshot_clusters: int = 6
    """Clusters of the snapshots' values that starts are drawn from evenly (6 for TD3, 4 for SAC); 1 is uniform."""
    snapshot_truncation: int | None = 100
    """Steps from a snapshot to a truncation; None for the world's own limit, counted anew."""

    def __post_init__(self) -> None:
        for name in ("worlds", "log_every", "evaluate_every", "evaluate_episodes", "checkpoint_every"):
            if getattr(self, name) < 1:
                advice = "; to do so only at the end, give as many steps as are planned" if "_every" in name else ""
                raise UsageError(f"{name} is {getattr(self, name)}; expected 1 or more{advice}")
        if self.replay_capacity is not None and self.replay_capacity < 1:
            raise UsageError(f"replay_capacity is {self.replay_capacity}; expected 1 or more transitions")
