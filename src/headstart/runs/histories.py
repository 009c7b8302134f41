"""One metric of many runs at once, as a table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from headstart.core.errors import DataError
from headstart.core.files import cache_folder
from headstart.core.registry import unknown
from headstart.runs.index import STAMP, keep

XAxis = Literal["environment_steps", "updates", "time"]
SCHEMA = {"path": pl.String, "seed": pl.Int64, "x": pl.Float64, "value": pl.Float64}
_KEPT = {"path": pl.String, "seed": pl.Int64, "x": pl.List(pl.Float64), "value": pl.List(pl.Float64), STAMP: pl.String}


def histories(runs: pl.DataFrame, metric: str, xaxis: XAxis = "environment_steps") -> pl.DataFrame:
    """Every logged value of one metric of some runs, one row a seed.

    What was read is kept in the cache until a run changes.

    Args:
        runs: rows of ``headstart.runs.index.index``.
        metric: its name.
        xaxis: what ``x`` counts.

    Returns:
        the columns ``path`` (as given), ``seed``, ``x`` and ``value`` (lists in the order logged); runs that lack the
        metric have no rows.

    Raises:
        UsageError: no run has the metric; the nearest names are offered.
        DataError: a file of metrics is damaged.
    """
    name = hashlib.sha256(f"lists {Path.cwd()} {metric} {xaxis}".encode()).hexdigest()[:16]
    file = cache_folder() / "runs" / f"history-{name}.parquet"
    wanted = runs.select("path", STAMP)
    try:
        known = pl.read_parquet(file, memory_map=False)
    except (OSError, pl.exceptions.PolarsError):
        known = pl.DataFrame(schema=_KEPT)
    others = known.join(wanted, on="path", how="anti", maintain_order="left")
    known = known.join(wanted, on=["path", STAMP], how="semi", maintain_order="left")
    lacking = wanted.join(known, on="path", how="anti", maintain_order="left")
    if lacking.height:
        read = _read(lacking["path"].to_list(), metric, xaxis)
        read = read.group_by("path", "seed", maintain_order=True).agg("x", "value")
        known = pl.concat([known, read.join(wanted, on="path", maintain_order="left")])
        keep(file, pl.concat([others, known]))
    if not known.height and runs.height:
        raise unknown("metric", metric, _names(runs["path"].to_list()))
    return known.drop(STAMP)


def _read(runs: Sequence[str], metric: str, xaxis: XAxis) -> pl.DataFrame:
    parts = _parts(runs)
    if not parts:
        return pl.DataFrame(schema=SCHEMA)
    files = [str(part) for _, part in parts]
    scan = pl.scan_parquet(files, include_file_paths="file").select("name", "value", pl.col(xaxis).alias("x"), "file")
    places = pl.DataFrame(
        {
            "file": files,
            "path": [run for run, _ in parts],
            "seed": [int(part.parents[1].name.removeprefix("seed-")) for _, part in parts],
        }
    )
    try:
        table = scan.filter(pl.col("name") == metric).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"metrics of these runs cannot be read: {error}") from error
    joined = table.join(places, on="file", how="left", maintain_order="left")
    return joined.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def _names(runs: Sequence[str]) -> list[str]:
    files = [str(part) for _, part in _parts(runs)]
    return pl.scan_parquet(files).select(pl.col("name").unique()).collect()["name"].to_list() if files else []


def _parts(runs: Sequence[str]) -> list[tuple[str, Path]]:
    return [(run, part) for run in runs for part in sorted(Path(run).glob("seed-*/metrics/part-*.parquet"))]
