"""``headstart snapshots``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated


@dataclass
class Options:
    """Keep simulator states along a teacher's episodes, for `headstart train … --snapshots OUT` to start at."""

    teacher: str
    """Folder of a run, or the name of a world with a scripted controller."""
    out: Path
    """The file to write."""
    episodes: int = 10
    """Episodes to act in."""
    every: int = 10
    """Steps from one snapshot to the next."""
    best: int | None = None
    """Keep only so many episodes, those of highest return."""
    sampled: bool = False
    """Let the run's policy explore as in training."""
    seed: int | None = None
    """Which of the run's seeds; the first by default."""
    first_episode: int = 0
    """Seed of the first episode."""


def snapshots(arguments: Sequence[str]) -> int:
    """Run ``headstart snapshots``."""
    import tyro

    options = tyro.cli(
        Annotated[Options, tyro.conf.PositionalRequiredArgs], args=list(arguments), prog="headstart snapshots"
    )
    from headstart.control.starting import snapshots_of
    from headstart.core.errors import UsageError

    if options.out.exists():
        raise UsageError(f"{options.out} exists already; give another file")
    found = snapshots_of(
        options.teacher,
        seed=options.seed,
        sampled=options.sampled,
        first_episode=options.first_episode,
        episodes=options.episodes,
        every=options.every,
        best=options.best,
    )
    found.save(options.out)
    print(f"{len(found)} snapshots, of values {found.values.min():.4g} to {found.values.max():.4g}, in {options.out}")
    return 0
