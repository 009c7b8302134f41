"""Metrics of runs that are still being written, thinned for a screen; what has been read is not read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from headstart.core.errors import DataError
from headstart.runs.metrics import SCHEMA


def thin(table: pl.DataFrame, stretches: int) -> pl.DataFrame:
    """At most four rows of each metric from each of so many equal stretches: its first, least, greatest and last value.

    Args:
        table: rows in the order logged, with the columns of ``headstart.runs.metrics.SCHEMA``.
        stretches: how many.
    """
    place = pl.int_range(pl.len()).over("name")
    stretch = place * stretches // pl.len().over("name")
    groups = table.with_row_index("row").with_columns(stretch=stretch).group_by("name", "stretch")
    row, value = pl.col("row"), pl.col("value")
    extremes = [row.gather(place).first() for place in (value.arg_min(), value.arg_max())]
    kept = groups.agg(first=row.first(), least=extremes[0], greatest=extremes[1], last=row.last())
    rows = pl.concat([kept[which] for which in ("first", "least", "greatest", "last")]).drop_nulls().unique().sort()
    return table[rows]


class LiveMetrics:
    """Reads thinned metrics of seeds; a part that has not changed since comes from memory.

    Args:
        stretches: of a part and of what is returned; see ``thin``.
        parts: how many parts are remembered.
    """

    def __init__(self, stretches: int = 150, parts: int = 1000):
        self.stretches, self.parts = stretches, parts
        self._read: OrderedDict[Path, tuple[tuple[int, int], pl.DataFrame]] = OrderedDict()

    def read(self, folder: Path) -> tuple[pl.DataFrame, list[str]]:
        """The metrics of one seed, and what is wrong with those that cannot be read.

        Args:
            folder: the seed's folder of parts; may be missing.
        """
        tables, problems = [], []
        for part in sorted(folder.glob("part-*.parquet")):
            try:
                tables.append(self._part(part))
            except FileNotFoundError:
                continue  # undone by a resumed run just now
            except (pl.exceptions.PolarsError, OSError) as error:
                problems.append(str(DataError(f"{part} is not a readable part of a run's metrics: {error}")))
        return pl.concat(tables) if tables else pl.DataFrame(schema=SCHEMA), problems

    def _part(self, part: Path) -> pl.DataFrame:
        facts = part.stat()
        stamp = (facts.st_mtime_ns, facts.st_size)
        known = self._read.get(part)
        if known is None or known[0] != stamp:
            table = pl.read_parquet(part, columns=list(SCHEMA), memory_map=False)
            known = self._read[part] = (stamp, thin(table, self.stretches))
        self._read.move_to_end(part)
        while len(self._read) > self.parts:
            self._read.popitem(last=False)
        return known[1]


def names(tables: Sequence[pl.DataFrame]) -> list[str]:
    """Every metric of some tables: evaluations first, then episodes, then the rest by name."""
    every = {name for table in tables for name in table["name"].unique()}
    order = ("evaluation/score", "evaluation/return", "evaluation/", "episode/")
    rank = {name: next((i for i, start in enumerate(order) if name.startswith(start)), len(order)) for name in every}
    return sorted(every, key=lambda name: (rank[name], name))
