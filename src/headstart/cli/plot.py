"""``headstart plot``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from headstart.report.selection import Arm


@dataclass
class PlotOptions:
    """Compare recorded runs: learning curves, aggregates with intervals, performance profile, who beats whom.

    Without --filters every method is one arm. With it each text is one: `wsrl?tag=v1&discount=0.99&seed=1&seed=2&cl=A`
    takes the runs of that name for which all conditions hold (the same key twice: either; tags: all) and calls them A.
    A first text such as `?metric=evaluation/score&xaxis=updates` says what is drawn. --filters may be repeated.

    Written are figures, the table as .md and .csv, and everything as one .html page on which numbers can be pointed at.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Where the runs are, at any depth."""
    filters: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction] = ()
    """A header and the arms; see above."""
    worlds: Annotated[
        tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(aliases=("--env-ids",))
    ] = ()
    """Only these worlds; all that every arm has by default. Given once for each --filters where libraries have other
    names for one world: those at the same place are one, called as the first calls it."""
    metric: str | None = None
    """What is compared, where no header says it; evaluation/return by default."""
    xaxis: Literal["environment_steps", "updates", "time"] | None = None
    """What curves are drawn against, where no header says it; environment_steps by default."""
    normalize: Literal["none", "reference", "maxmin"] = "none"
    """reference: percentages of the worlds' reference returns; maxmin: between the extremes of each world."""
    last: int = 10
    """Logged values whose mean is a seed's final score."""
    max_x: float | None = None
    """Leave out what comes later."""
    out: Path = Path("comparison")
    """Name of the files, without ending."""
    format: Literal["svg", "png", "pdf"] = "svg"
    """Of the figures."""


def plot(arguments: Sequence[str]) -> int:
    """Run ``headstart plot``."""
    options = tyro.cli(PlotOptions, args=list(arguments), prog="headstart plot")
    from headstart.report.comparison import compare, markdown, write
    from headstart.report.comparison_page import write_page
    from headstart.report.curves import AXES
    from headstart.report.selection import Filters, select

    defaults = [f"{key}={value}" for key in ("metric", "xaxis") if (value := getattr(options, key)) is not None]
    arms, metrics, axes = [], set(), set()
    chosen = options.filters or ((),)
    for texts, worlds in zip(chosen, _worlds(options.worlds, len(chosen)), strict=True):
        headed = texts if texts and texts[0].startswith("?") else (f"?{'&'.join(defaults)}", *texts)
        filters = Filters.parse(headed)
        metrics.add(filters.header["metric"])
        axes.update(label for axis, label in AXES.items() if axis == filters.header["xaxis"])
        names = dict(zip(worlds, options.worlds[0] if options.worlds else (), strict=True))
        arms += [_called(arm, names) for arm in select(options.folders, filters, worlds)]
    for line in (line for arm in arms for line in arm.skipped):
        print(f"left out {line}", file=sys.stderr)
    comparison = compare(arms, " / ".join(sorted(metrics)), options.normalize, options.last, options.max_x)
    print(markdown(comparison))
    page = options.out.with_name(f"{options.out.name}.html")
    for path in (
        *write(comparison, options.out, options.format),
        write_page(comparison, page, " / ".join(sorted(axes))),
    ):
        print(path)
    return 0


def _worlds(given: Sequence[tuple[str, ...]], filters: int) -> Sequence[tuple[str, ...]]:
    """The worlds of each --filters."""
    from headstart.core.errors import UsageError

    if len(given) <= 1:
        return [given[0] if given else ()] * filters
    if len(given) != filters or len({len(worlds) for worlds in given}) > 1:
        raise UsageError(
            f"--worlds is given {len(given)} times, for {', '.join(str(len(worlds)) for worlds in given)} worlds; "
            f"give it once, or once for each of the {filters} --filters with as many worlds each"
        )
    return given


def _called(arm: Arm, names: Mapping[str, str]) -> Arm:
    return replace(arm, curves={names.get(world, world): curves for world, curves in arm.curves.items()})
