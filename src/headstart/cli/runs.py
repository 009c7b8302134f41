"""``headstart runs`` and ``headstart report``."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal


@dataclass
class ListOptions:
    """List recorded runs."""

    folders: tuple[Path, ...] = (Path("runs"),)
    """Where to look, at any depth."""
    where: tuple[str, ...] = ()
    """Filters such as method=iql or world='Hopper*'; * and ? stand for anything."""
    format: Literal["table", "json", "csv"] = "table"
    """How to print them."""


def runs(arguments: Sequence[str]) -> int:
    """Run ``headstart runs``."""
    import tyro

    options = tyro.cli(ListOptions, args=list(arguments), prog="headstart runs")
    from headstart.core.errors import UsageError
    from headstart.runs.query import runs_table

    filters = {}
    for condition in options.where:
        name, separator, pattern = condition.partition("=")
        if not separator:
            raise UsageError(f"filter {condition!r}; write it as column=pattern, for example method=iql")
        filters[name] = pattern
    missing = [str(folder) for folder in options.folders if not folder.is_dir()]
    if missing and options.folders != (Path("runs"),):
        raise UsageError(f"no folder {', '.join(missing)}; give folders that hold runs")
    table = runs_table(options.folders, filters)
    if options.format != "table":
        print(table.write_json() if options.format == "json" else table.write_csv(), end="")
        return 0
    if not table.height:
        print("no runs found; `headstart train` makes one", file=sys.stderr)
        return 0
    from rich.console import Console
    from rich.table import Table

    shown = Table(*("run", "method", "world", "data", "state", "seeds", "steps", "updates", "return", "score", "begun"))
    for row in table.iter_rows(named=True):
        cells = [row["path"], row["method"], row["world"], row["data"], row["state"], row["seeds"]]
        cells += [row["environment_steps"], row["updates"], row["last_return"], row["last_score"]]
        begun = row["created"] and time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created"]))
        shown.add_row(*map(_cell, cells), begun or "")
        if row["problem"]:
            shown.add_row(f"  [red]{row['problem']}[/red]")
    Console().print(shown)
    return 0


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


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
    overwrite: bool = True
    """Replace the file if it exists."""


def report(arguments: Sequence[str]) -> int:
    """Run ``headstart report``."""
    import tyro

    options = tyro.cli(
        Annotated[ReportOptions, tyro.conf.PositionalRequiredArgs], args=list(arguments), prog="headstart report"
    )
    from headstart.core.errors import UsageError
    from headstart.report.page import write_page

    if not options.runs:
        raise UsageError("no runs given; `headstart runs` lists them")
    if options.labels and len(options.labels) != len(options.runs):
        raise UsageError(f"{len(options.labels)} labels for {len(options.runs)} runs; give one for each")
    if options.out.exists() and not options.overwrite:
        raise UsageError(f"{options.out} exists already; give another --out, or --overwrite")
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
