"""Run a recorded run again from its record alone, and say whether the numbers are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from headstart.control.training import parts_of, train_seeds
from headstart.core.errors import UsageError
from headstart.runs import provenance
from headstart.runs.folder import RunFolder

COMPARED = ("name", "phase", "updates", "environment_steps", "value")
"""Columns of the metrics that have to be equal; how long things took need not be."""


@dataclass(frozen=True)
class Difference:
    """Where the numbers of a seed first differ.

    Attributes:
        seed: the seed.
        name: the metric; empty where one of the two logged nothing more.
        updates: gradient updates done by then.
        recorded: the value on record.
        found: the value found now.
    """

    seed: int
    name: str
    updates: int
    recorded: float
    found: float


@dataclass(frozen=True)
class Reproduction:
    """What came of running a recorded run again.

    Attributes:
        path: the new run.
        rows: values that were compared.
        differences: the first one of each seed that differs.
        circumstances: what is not as it was (code, package versions, processor), one line each.
    """

    path: Path
    rows: int
    differences: list[Difference]
    circumstances: list[str]

    @property
    def same(self) -> bool:
        """Whether every number is the same, bit for bit."""
        return not self.differences


def reproduce(
    run: Path | str,
    folder: Path | str | None = None,
    *,
    seeds: Sequence[int] | None = None,
    workers: int | None = None,
    show_progress: bool = True,
) -> Reproduction:
    """Run a recorded run again: the same configuration, data (checked by their digest) and seeds.

    Of a run that did not finish, what it had recorded is compared.

    Args:
        run: the recorded run.
        folder: where the new one is recorded; beside it, with ``-reproduced`` after its name, by default.
        seeds: which of its seeds; all by default.
        workers: as for ``train``.
        show_progress: whether to show progress bars.

    Raises:
        UsageError: there is no such run or seed, the new folder exists, its data have changed, or it was given a world
            or data as objects, which no record holds.
    """
    recorded = RunFolder.open(run)
    chosen = [recorded.seed(seed).seed for seed in (recorded.seeds if seeds is None else seeds)]
    place = Path(folder) if folder is not None else recorded.path.with_name(f"{recorded.path.name}-reproduced")
    if not chosen:
        raise UsageError("no seeds were given")
    parts = parts_of(recorded)
    again = RunFolder.create(place, recorded.config, chosen)
    train_seeds(again, chosen, parts, True, workers, show_progress)
    differences, rows = [], 0
    for seed in chosen:
        before, now = (folder.seed(seed).metrics().select(COMPARED) for folder in (recorded, again))
        if recorded.seed(seed).status().state != "finished":
            now = now.head(before.height)
        rows += before.height
        difference = _first_difference(seed, before, now)
        differences += [difference] if difference else []
    circumstances = provenance.differences(recorded.provenance, again.provenance)
    return Reproduction(place, rows, differences, circumstances)


def _first_difference(seed: int, recorded: pl.DataFrame, found: pl.DataFrame) -> Difference | None:
    count = min(recorded.height, found.height)
    one, other = recorded.head(count), found.head(count)
    unequal = ~one["value"].eq_missing(other["value"]).to_numpy()
    for column in COMPARED[:-1]:
        unequal |= (one[column] != other[column]).to_numpy()
    if unequal.any():
        row = int(np.argmax(unequal))
        value = recorded["value"][row], found["value"][row]
        return Difference(seed, recorded["name"][row], recorded["updates"][row], *value)
    if recorded.height == found.height:
        return None
    longer = recorded if recorded.height > found.height else found
    values = [float("nan") if table.height <= count else table["value"][count] for table in (recorded, found)]
    return Difference(seed, "", longer["updates"][count], *values)
