"""Find recorded runs and list them as a table, without loading anything heavy."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from headstart.core.errors import DataError
from headstart.core.registry import unknown
from headstart.runs.folder import RunFolder, overall_state

COLUMNS: dict[str, Any] = {
    "path": pl.String,
    "method": pl.String,
    "world": pl.String,
    "data": pl.String,
    "state": pl.String,
    "seeds": pl.Int64,
    "updates": pl.Int64,
    "environment_steps": pl.Int64,
    "last_return": pl.Float64,
    "last_score": pl.Float64,
    "created": pl.Float64,
    "problem": pl.String,
}
"""Columns of the table of runs. Counters are the least of the seeds', last values their mean, ``created`` seconds since
1970; ``problem`` says what is damaged, or how the first failed seed failed."""


def find_runs(folders: Iterable[Path | str]) -> list[Path]:
    """Every run at or below the given folders, sorted, each once. Nothing is looked for inside a run."""
    found = set()
    for root in folders:
        for folder, below, files in os.walk(root):
            if "run.json" in files:
                found.add(Path(folder))
                below.clear()
            else:
                below[:] = [name for name in below if not name.startswith(".")]
    return sorted(found)


def runs_table(folders: Iterable[Path | str], filters: Mapping[str, str] | None = None) -> pl.DataFrame:
    """The runs below some folders as a table with the columns ``COLUMNS``, oldest first.

    A damaged run has a row with the state "damaged" and says why; it does not hide the others.

    Args:
        folders: where to look.
        filters: column to a pattern that its value has to match, case ignored; ``*`` and ``?`` stand for anything.

    Raises:
        UsageError: a filter names no column; the nearest are offered.
    """
    filters = filters or {}
    for column in filters:
        if column not in COLUMNS:
            raise unknown("column of runs", column, COLUMNS)
    rows = [row for path in find_runs(folders) if _matches(row := _row(path), filters)]
    return pl.DataFrame(rows, schema=COLUMNS).sort("created", "path", nulls_last=True)


def name_of(config: Mapping[str, Any], part: str) -> str | None:
    """The name recorded for a part of a configuration ("method", "world", "data"), or None when there is none."""
    value = config.get(part)
    if isinstance(value, Mapping):
        value = value.get("name")
    return None if value is None else str(value)


def _row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"path": str(path)}
    try:
        run = RunFolder.open(path)
        row |= {part: name_of(run.config, part) for part in ("method", "world", "data")}
        row |= {"seeds": len(run.seeds), "created": run.created}
        statuses = [folder.status() for folder in run.seed_folders()]
    except DataError as error:
        return row | {"state": "damaged", "problem": str(error)}
    errors = [status.error for status in statuses if status.error]
    return row | {
        "state": overall_state(status.state for status in statuses),
        "updates": min(status.updates for status in statuses),
        "environment_steps": min(status.environment_steps for status in statuses),
        "last_return": _mean(status.last.get("evaluation/return") for status in statuses),
        "last_score": _mean(status.last.get("evaluation/score") for status in statuses),
        "problem": f"{errors[0]['kind']}: {errors[0]['message']}" if errors else None,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _matches(row: Mapping[str, Any], filters: Mapping[str, str]) -> bool:
    return all(
        row[column] is not None and fnmatch.fnmatch(str(row[column]).lower(), pattern.lower())
        for column, pattern in filters.items()
    )
