"""An index of recorded runs: all that lists and filters need, read from disk again only where it has changed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from headstart.core.errors import DataError
from headstart.core.files import cache_folder, read_json, write_atomically, write_json
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
    "commit": pl.String,
    "tags": pl.List(pl.String),
    "problem": pl.String,
}
"""Columns of the table of runs. Counters are the least of the seeds', last values their mean, ``created`` seconds since
1970; ``problem`` says what is damaged, or how the first failed seed failed."""

RECORD = "record"
"""Column with every field of a run's configuration and provenance, by its dotted name, as JSON text."""

STAMP = "stamp"
"""Column with a text that changes whenever a run does."""
_SCHEMA = COLUMNS | {RECORD: pl.String, STAMP: pl.String}
_VERSION = 3


def index(folders: Iterable[Path | str]) -> pl.DataFrame:
    """The runs at or below some folders, each once, oldest first: the columns ``COLUMNS``, ``RECORD`` and ``STAMP``.

    What was read is kept in the cache; a run is read again when its files have changed or while it is running. A
    damaged run has a row with the state "damaged" and says why; it does not hide the others.
    """
    tables = [_index_of(Path(folder)) for folder in folders]
    table = pl.concat(tables) if tables else pl.DataFrame(schema=_SCHEMA)
    return table.unique("path", keep="first").sort("created", "path", nulls_last=True)


def find_runs(folder: Path | str, known: Container[str] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every run at or below a folder, with the names of what is in it. Nothing is looked for inside a run.

    Args:
        folder: where to look.
        known: paths that are taken to be runs without being looked into; their names are left empty.
    """
    if str(folder) in known:
        yield str(folder), set()
        return
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                entries = list(found)
        except OSError:
            continue
        names = {entry.name for entry in entries}
        if "run.json" in names:
            yield place, names
            continue
        for entry in entries:
            if (path := entry.path) in known:
                yield path, set()
            elif entry.name[0] != "." and entry.is_dir(follow_symlinks=False):
                waiting.append(path)


def tag(run: Path | str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Add tags to a run and remove others; returns those it has then.

    Raises:
        UsageError: there is no run there.
        DataError: its record or its tags are damaged.
    """
    path = RunFolder.open(run).path
    tags = sorted({*_tags(path), *add} - set(remove))
    write_json(path / "tags.json", tags)
    return tags


def name_of(config: Mapping[str, Any], part: str) -> str | None:
    """The name recorded for a part of a configuration ("method", "world", "data"), or None when there is none."""
    value = config.get(part)
    if isinstance(value, Mapping):
        value = value.get("name")
    return None if value is None else str(value)


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one level, keys joined with dots; lists of mappings by position, other lists whole."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, list) and item and all(isinstance(part, Mapping) for part in item):
            item = {str(position + 1): part for position, part in enumerate(item)}
        if isinstance(item, Mapping):
            flat |= flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def _index_of(folder: Path) -> pl.DataFrame:
    kept = _cache_of(folder)
    known = _read_cache(kept)
    rows: list[dict[str, Any]] = []
    reused: list[str] = []
    for path, stamp in _stamped(folder, known):
        if known.get(path) == stamp:
            reused.append(path)
        else:
            rows.append(_row(Path(path)) | {STAMP: stamp})
    table = pl.DataFrame(rows, schema=_SCHEMA)
    if reused:
        earlier = pl.read_parquet(kept, memory_map=False)
        if len(reused) < earlier.height:
            earlier = earlier.filter(pl.col("path").is_in(reused))
        table = pl.concat([earlier, table])
    if rows or len(reused) < len(known):
        keep(kept, table)
    return table


def _cache_of(folder: Path) -> Path:
    # Relative and absolute names of one folder are listed as they were given, and kept apart.
    name = hashlib.sha256(f"{_VERSION} {Path.cwd()} {folder}".encode()).hexdigest()[:16]
    return cache_folder() / "runs" / f"{name}.parquet"


def _read_cache(path: Path) -> dict[str, str]:
    try:
        table = pl.read_parquet(path, columns=["path", STAMP, "state"], memory_map=False)
    except (OSError, pl.exceptions.PolarsError):
        return {}
    table = table.filter(pl.col("state") != "running")  # whether it still runs, its files do not say
    return dict(zip(table["path"], table[STAMP], strict=True))


def keep(path: Path, table: pl.DataFrame) -> None:
    """Write a table into the cache; where that cannot be, it will be made again."""
    content = io.BytesIO()
    table.write_parquet(content, compression="lz4")
    with contextlib.suppress(OSError):
        write_atomically(path, content.getvalue())


def _stamped(folder: Path, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every run at or below a folder, and its stamp."""
    for path, names in find_runs(folder, known):
        if path not in known:
            yield path, _stamp(path, names)
        elif (stamp := _stamp(path, [part.rsplit(":", 2)[0] for part in known[path].split("/")])) == known[path]:
            yield path, stamp
        else:  # other names may have come, or it is no run any more
            yield from ((place, _stamp(place, names)) for place, names in find_runs(path))


def _stamp(path: str, names: Iterable[str]) -> str:
    """Changes whenever the run's record, tags or a seed's status do, or what is in its folder.

    It consists of the names that count, each with the time of its last change and its size.
    """
    parts = []
    for name in sorted({".", *names}):
        if name.startswith("seed-"):
            file = f"{path}/{name}/status.json"
        elif name.endswith(".json") or name == ".":
            file = f"{path}/{name}"
        else:
            continue
        try:
            facts = os.stat(file)
            parts.append(f"{name}:{facts.st_mtime_ns}:{facts.st_size}")
        except OSError:
            parts.append(f"{name}::")
    return "/".join(parts)


def _row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_SCHEMA) | {"path": str(path)}
    try:
        run = RunFolder.open(path)
        row |= {part: name_of(run.config, part) for part in ("method", "world", "data")}
        row |= {"seeds": len(run.seeds), "created": run.created, "tags": _tags(path)}
        row["commit"] = run.provenance.get("code", {}).get("commit")
        row[RECORD] = json.dumps(flatten(run.config) | flatten(run.provenance))
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


def _tags(path: Path) -> list[str]:
    try:
        tags = read_json(path / "tags.json")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise DataError(f"{path / 'tags.json'} is not a readable list of tags: {error}") from error
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags):
        raise DataError(f"{path / 'tags.json'} is not a list of words")
    return tags


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
