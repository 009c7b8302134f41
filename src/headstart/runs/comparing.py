"""Two records of what should be the same training: whether their numbers are equal, and where they first differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

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


def first_difference(seed: int, recorded: pl.DataFrame, found: pl.DataFrame) -> Difference | None:
    """Where two tables of metrics first differ, if they do.

    Args:
        seed: whose metrics they are.
        recorded: those on record, with the columns ``COMPARED`` at least.
        found: those found now.
    """
    recorded, found = recorded.select(COMPARED), found.select(COMPARED)
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
