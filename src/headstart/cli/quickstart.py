"""``headstart quickstart``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Options:
    """The main job on a dataset that ships with the package: describe it, learn offline, go online, report."""

    out: Path | None = None
    """Folder for the runs, the page and the figure; a new one under runs/ by default."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of each of the three runs."""
    quiet: bool = False
    """Show no progress bars."""


def quickstart(arguments: Sequence[str]) -> int:
    """Run ``headstart quickstart``."""
    import tyro

    options = tyro.cli(Options, args=list(arguments), prog="headstart quickstart")
    from headstart.core.compilation import keep_compiled_programs

    keep_compiled_programs()
    from headstart.report.quickstart import quickstart as run_quickstart

    run_quickstart(options.out, options.seeds, show_progress=not options.quiet)
    return 0
