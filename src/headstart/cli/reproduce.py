"""``headstart reproduce``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any


@dataclass
class ReproduceOptions:
    """Run a recorded run again from its record alone; the exit status is 1 if a number differs."""

    run: Path
    """Folder of the run."""
    out: Path | None = None
    """Folder of the new run; the old one's name with -reproduced after it, by default."""
    seeds: tuple[int, ...] = ()
    """Which of its seeds; all by default."""
    workers: int | None = None
    """Processes that train seeds at the same time; one for each core by default. Language models train one by one."""
    quiet: bool = False
    """Show no progress bars."""


def reproduce(arguments: Sequence[str]) -> int:
    """Run ``headstart reproduce``."""
    import tyro

    kind: Any = Annotated[ReproduceOptions, tyro.conf.PositionalRequiredArgs]
    options = tyro.cli(kind, args=list(arguments), prog="headstart reproduce")
    from headstart.runs.folder import RunFolder

    outcome = (_language if RunFolder.open(options.run).config.get("wing") == "language" else _control)(options)
    if outcome.same:
        print(f"the same numbers, bit for bit: {outcome.rows:,} values, in {outcome.path}")
    for difference in outcome.differences:
        where = f"seed {difference.seed}, {difference.name or 'end'} at update {difference.updates:,}"
        print(f"other numbers from {where} on: {difference.recorded!r} recorded, {difference.found!r} now")
    for line in outcome.circumstances:
        print(f"  {line}", file=sys.stdout if outcome.differences else sys.stderr)
    return 0 if outcome.same else 1


def _control(options: ReproduceOptions) -> Any:
    from headstart.control.reproducing import reproduce as run_again
    from headstart.core.compilation import keep_compiled_programs

    keep_compiled_programs()
    return run_again(
        options.run,
        options.out,
        seeds=options.seeds or None,
        workers=options.workers,
        show_progress=not options.quiet,
    )


def _language(options: ReproduceOptions) -> Any:
    from headstart.language.reproducing import reproduce as run_again

    return run_again(options.run, options.out, seeds=options.seeds or None, show_progress=not options.quiet)
