"""``headstart report``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated


@dataclass
class ReportOptions:
    """Write one self-contained page about one or more runs: learning curves, statistics, differences, provenance."""

    runs: tuple[Path, ...]
    """Folders of the runs."""
    out: Path = Path("report.html")
    """File to write."""
    title: str | None = None
    """Heading of the page."""
    labels: tuple[str, ...] = field(default=())
    """Names of the runs on the page, in the same order."""
    figure: Path | None = None
    """Also write the learning curves as a figure: a name that ends in .svg or .png."""
    overwrite: bool = False
    """Replace the file whatever it is; without it, only a page that headstart wrote is replaced."""


def report(arguments: Sequence[str]) -> int:
    """Run ``headstart report``."""
    import tyro

    options = tyro.cli(
        Annotated[ReportOptions, tyro.conf.PositionalRequiredArgs], args=list(arguments), prog="headstart report"
    )
    from headstart.core.errors import UsageError
    from headstart.report.document import is_own_page
    from headstart.report.page import write_page

    if not options.runs:
        raise UsageError("no runs given; `headstart runs` lists them")
    if options.labels and len(options.labels) != len(options.runs):
        raise UsageError(f"{len(options.labels)} labels for {len(options.runs)} runs; give one for each")
    if options.out.exists() and not options.overwrite and not is_own_page(options.out):
        raise UsageError(
            f"{options.out} exists already and is no page that headstart wrote; give another --out, or --overwrite"
        )
    if not re.search(r"\.html?$", options.out.name):
        raise UsageError(f"{options.out}: the page is HTML; give a name that ends in .html")
    path = write_page(options.runs, options.out, options.title, options.labels or None)
    print(f"page written to {path}")
    if options.figure is not None:
        from headstart.report.figures import draw_runs
        from headstart.runs.folder import RunFolder

        folders = [RunFolder.open(run) for run in options.runs]
        print(f"figure written to {draw_runs(folders, options.figure, labels=options.labels or None)}")
    return 0
