"""One metric of many runs at once, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from headstart.core.errors import DataError
from headstart.core.registry import unknown

XAxis = Literal["environment_steps", "updates", "time"]
SCHEMA = {"path": pl.String, "seed": pl.Int64, "x": pl.Float64, "value": pl.Float64}


def histories(runs: Sequence[Path | str], metric: str, xaxis: XAxis = "environment_steps") -> pl.DataFrame:
    """Every logged value of one metric of some runs, in the order logged.

    Args:
        runs: folders of runs.
        metric: its name.
        xaxis: what ``x`` counts.

    Returns:
        the columns ``path`` (as given), ``seed``, ``x`` and ``value``; runs that lack the metric have no rows.

    Raises:
        UsageError: no run has the metric; the nearest names are offered.
        DataError: a file of metrics is damaged.
    """
    parts = [(str(run), part) for run in runs for part in sorted(Path(run).glob("seed-*/metrics/part-*.parquet"))]
    if not parts:
        return pl.DataFrame(schema=SCHEMA)
    files = [str(part) for _, part in parts]
    scan = pl.scan_parquet(files, include_file_paths="file").select("name", "value", pl.col(xaxis).alias("x"), "file")
    try:
        table = scan.filter(pl.col("name") == metric).collect()
        if not table.height:
            raise unknown("metric", metric, scan.select(pl.col("name").unique()).collect()["name"])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"metrics of these runs cannot be read: {error}") from error
    places = pl.DataFrame(
        {
            "file": files,
            "path": [run for run, _ in parts],
            "seed": [int(part.parents[1].name.removeprefix("seed-")) for _, part in parts],
        }
    )
    joined = table.join(places, on="file", how="left", maintain_order="left")
    return joined.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
