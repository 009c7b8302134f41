"""``headstart bandit plan``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass
class PlanOptions:
    """Schedule arms whose rewards recover while they rest: at most K a period, each at a period of its own.

    Reads recovery curves, prints each arm's period and offset, and how far from the best possible the schedule is.
    """

    curves: Path
    """CSV file, one line an arm: its name, then its mean reward within [0, 1] after 1, 2, ... idle periods. Short lines
    go on level. A first line whose name is "arm" holds column names and is skipped."""
    capacity: Annotated[int, tyro.conf.arg(aliases=["-K"])]
    """Arms that may be pulled in one period."""
    rounding: Literal["restricted", "paper"] = "restricted"
    """How periods are chosen."""
    resolution: int | None = None
    """Allow periods q 2^l with q odd and at most 2 a - 1; by default the best a is searched for."""
    repair: bool = False
    """Replace curves that fall somewhere by the nearest ones that do not."""
    output: Path | None = None
    """Write the schedule to this CSV file instead of printing it."""


def plan(arguments: Sequence[str]) -> int:
    """Run ``headstart bandit plan``."""
    options = tyro.cli(PlanOptions, args=list(arguments), prog="headstart bandit plan")
    from headstart.bandits.periodic_plan import PeriodicPlanner
    from headstart.bandits.recovery_curves import check_curves
    from headstart.core.errors import UsageError
    from headstart.core.files import write_atomically

    planner = PeriodicPlanner(options.capacity, options.rounding, options.resolution)
    if options.output is not None and options.output.exists():
        raise UsageError(f"{options.output} exists already; name another file or remove it")
    names, curves = read_curves(options.curves)
    found = planner.plan(check_curves(curves, options.repair))
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["arm", "period", "offset", "slot"])
    for arm in found.periods.nonzero()[0]:
        writer.writerow([names[arm], found.periods[arm], found.offsets[arm], found.slots[arm]])
    if options.output is not None:
        write_atomically(options.output, lines.getvalue().encode())
    else:
        print(lines.getvalue(), end="")
    share = f" ({100 * found.value / found.upper_bound:.1f} %)" if found.upper_bound else ""
    print(
        f"earns {found.value:.4g} a period; no schedule earns more than {found.upper_bound:.4g}{share}; "
        f"{(found.periods > 0).sum()} of {len(names)} arms are used"
    )
    return 0


def read_curves(path: Path) -> tuple[list[str], list[list[float]]]:
    """Names and recovery curves, all of one length.

    Raises:
        DataError: there is no such file, it has no lines, or a value is not a number; says where.
    """
    from headstart.core.errors import DataError

    if not path.is_file():
        raise DataError(f"there is no file {path}; give a CSV file of recovery curves")
    with open(path, newline="") as file:
        lines = [
            (number, line) for number, line in enumerate(csv.reader(file), 1) if any(field.strip() for field in line)
        ]
    if lines and lines[0][1][0].strip().lower() == "arm":
        del lines[0]
    names, curves = [], []
    for number, line in lines:
        try:
            curve = [float(field) for field in line[1:]]
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; expected a name and then numbers") from error
        if not curve:
            raise DataError(f"{path}, line {number}: an arm's name without rewards")
        names.append(line[0].strip())
        curves.append(curve)
    if not curves:
        raise DataError(f"{path} has no curves; expected one line an arm: its name, then its mean rewards")
    longest = max(map(len, curves))
    return names, [curve + [curve[-1]] * (longest - len(curve)) for curve in curves]
