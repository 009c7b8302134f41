"""What ``headstart watch`` tells its page: which runs there are, how each goes, and how to stop one."""

from __future__ import annotations

import hashlib
import math
import shlex
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from headstart.core.errors import HeadstartError, UsageError
from headstart.report.live_metrics import LiveMetrics, names, thin
from headstart.report.samples import find_samples, read_image
from headstart.runs.folder import RunFolder, SeedFolder, Status, overall_state
from headstart.runs.index import COLUMNS, RECORD, STAMP, find_runs, index
from headstart.runs.query import Condition, choose
from headstart.runs.stopping import stop, trainers

STRETCHES = 150
"""Parts into which a curve is cut for the screen; see ``headstart.report.live_metrics.thin``."""
TAIL_BYTES = 16_384
"""How much of the end of a log is shown."""
PATIENCE = 30.0
"""Seconds for which a process that was told to stop is not told again."""
SHOWN = (
    "path",
    "method",
    "world",
    "data",
    "state",
    "seeds",
    "updates",
    "environment_steps",
    "created",
    "tags",
    "problem",
)
LAST = ("score", "return")


class NotThereError(HeadstartError):
    """A run, a sample or a page that was asked for and does not exist."""


class Watch:
    """Looks after the runs below some folders. Its methods may be called from several threads.

    Args:
        folders: where runs are or will be.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = list(folders)
        self._metrics, self._metrics_lock = LiveMetrics(STRETCHES), threading.Lock()
        self._table, self._places = pl.DataFrame(), dict[str, str]()
        self._table_lock, self._read_at, self._cost = threading.Lock(), -math.inf, 0.0
        self._searched = (pl.DataFrame(), "", pl.DataFrame())
        self._told: dict[str, float] = {}

    def runs(self, search: str = "", state: str = "", first: int = 0, count: int = 100) -> dict[str, Any]:
        """A page of the list: what is running first, then the newest.

        Args:
            search: conditions (``method=iql discount>=0.9``) and words that method, world, data, tags or path contain.
            state: only runs in this state; empty for all.
            first: how many to pass over.
            count: how many to list.

        Raises:
            UsageError: a condition cannot work.
        """
        table = self._found(search)
        states = dict(table["state"].value_counts().iter_rows())
        chosen = table.filter(pl.col("state") == state) if state else table
        ordered = chosen.sort(pl.col("state") != "running", -pl.col("created"), nulls_last=True, maintain_order=True)
        rows = [self._row(row) for row in ordered.slice(first, count).iter_rows(named=True)]
        return {"runs": rows, "count": chosen.height, "total": self._table.height, "states": states}

    def run(self, identity: str, metric: str | None = None) -> dict[str, Any]:
        """One run: how it goes, the latest value of every metric, the curves of one of them, logs and samples.

        Args:
            identity: as in the list.
            metric: whose curves are wanted; the first of its metrics by default, as when it has no such metric.

        Raises:
            NotThereError: there is no such run.
            HeadstartError: its record is damaged.
        """
        run = self._open(identity)
        seeds, problems, read = [], [], {}
        for folder in run.seed_folders():
            status, problem = _status(folder)
            with self._metrics_lock:
                read[folder.seed], damaged = self._metrics.read(folder.path / "metrics")
            problems += [*([problem] if problem else []), *damaged]
            seeds.append(_seed(folder, status))
        recorded = names(list(read.values()))
        metric = metric if metric in recorded else next(iter(recorded), None)
        states = [seed["state"] for seed in seeds]
        return {
            "id": identity,
            "path": str(run.path),
            "name": _name(run),
            "created": run.created,
            "state": _overall(states),
            "seeds": seeds,
            "problems": problems,
            "progress": _progress(run.config, seeds, read),
            "metrics": [
                {"name": name, "last": [_last(read[seed["seed"]], name) for seed in seeds]} for name in recorded
            ],
            "metric": metric,
            "curves": [] if metric is None else [_curve(seed, table, metric) for seed, table in read.items()],
            "samples": [sample for folder in run.seed_folders() for sample in find_samples(folder)],
            "stop": self._stop_facts(run) if "running" in states else None,
        }

    def record(self, identity: str) -> dict[str, Any]:
        """What was asked of a run: its configuration and provenance."""
        run = self._open(identity)
        return {"config": run.config, "provenance": run.provenance}

    def image(self, identity: str, seed: int, name: str) -> tuple[bytes, str]:
        """A sample that is a picture, and its media type.

        Raises:
            NotThereError: there is none.
        """
        image = read_image(self._open(identity).seed(seed), name)
        if image is None:
            raise NotThereError("there is no such sample")
        return image

    def stop(self, identity: str) -> list[str]:
        """Tell the processes that train a run to stop; returns which. Those told lately are not told again.

        Raises:
            NotThereError: there is no such run.
            HeadstartError: nothing is running that could be told; says why.
        """
        now = time.monotonic()
        if now - self._told.get(identity, -math.inf) < PATIENCE:
            return []
        told = stop(self._open(identity))
        self._told[identity] = now
        return [str(process) for process in told]

    def _open(self, identity: str) -> RunFolder:
        if identity not in self._places:
            self._all()
        if identity not in self._places:
            raise NotThereError("there is no such run")
        return RunFolder.open(self._places[identity])

    def _all(self) -> pl.DataFrame:
        """The index, read again at most a tenth of the time; meanwhile callers get what there was."""
        if self._is_stale() and self._table_lock.acquire(blocking=not self._table.width):
            try:
                if self._is_stale():  # still, after waiting for another thread
                    begun = time.monotonic()
                    table = _index(self.folders)
                    self._places = {_identity(path): path for path in table["path"]}
                    self._table, self._read_at = table, time.monotonic()
                    self._cost = self._read_at - begun
            finally:
                self._table_lock.release()
        return self._table

    def _is_stale(self) -> bool:
        return time.monotonic() - self._read_at > max(1.0, 10 * self._cost)

    def _found(self, search: str) -> pl.DataFrame:
        """What is searched for; looked for again only once the index has been read again."""
        table, (known_table, known_search, found) = self._all(), self._searched
        if known_table is not table or known_search != search:
            found = _search(table, search)
            self._searched = (table, search, found)
        return found

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: row[name] for name in SHOWN} | {"id": _identity(row["path"]), "place": self._place(row["path"])}
        shown |= {"score": row["last_score"], "return": row["last_return"], "progress": None}
        if row["state"] == "running":  # since the index was read
            try:
                run = RunFolder.open(row["path"])
                statuses = [_status(folder)[0] for folder in run.seed_folders()]
                seeds = [_counters(status) for status in statuses]
                shown |= {"progress": _progress(run.config, seeds), "state": _overall([s["state"] for s in seeds])}
                shown |= {name: min(seed[name] for seed in seeds) for name in ("updates", "environment_steps")}
                shown |= {name: _mean(status.last.get(f"evaluation/{name}") for status in statuses) for name in LAST}
            except Exception as error:  # one run that was tampered with must not hide the others
                shown |= {"problem": str(error)}
        return shown

    def _place(self, path: str) -> str:
        """Where a run is, from the folder that is watched."""
        inside = (Path(path).relative_to(folder) for folder in self.folders if Path(path).is_relative_to(folder))
        return next((str(place) for place in inside if place.parts), path)

    def _stop_facts(self, run: RunFolder) -> dict[str, Any]:
        asked = time.monotonic() - self._told.get(_identity(str(run.path)), -math.inf) < PATIENCE
        try:
            return {"processes": [str(process) for process in trainers(run)], "asked": asked, "why_not": None}
        except UsageError as error:
            return {"processes": [], "asked": asked, "why_not": str(error)}


def _identity(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:16]


def _index(folders: Iterable[Path]) -> pl.DataFrame:
    """The index of some folders; if a run that is written or removed meanwhile spoils it, each run by itself."""
    try:
        return index(folders)
    except Exception:
        return pl.concat([_index_one(path) for folder in folders for path, _ in find_runs(folder)] or [index([])])


def _index_one(path: str) -> pl.DataFrame:
    try:
        return index([path])
    except Exception as error:
        row = dict.fromkeys([*COLUMNS, RECORD, STAMP]) | {"path": path, "state": "damaged", "tags": []}
        return pl.DataFrame([row | {"problem": f"{path} cannot be read: {error!r}"}], schema=index([]).schema)


def _search(table: pl.DataFrame, search: str) -> pl.DataFrame:
    try:
        parts = shlex.split(search)
    except ValueError:
        parts = search.split()
    conditions = [Condition.parse(part) for part in parts if any(sign in part for sign in "=<>")]
    table = choose(table, conditions)
    text = pl.concat_str(
        "path", "method", "world", "data", pl.col("tags").list.join(" "), separator=" ", ignore_nulls=True
    )
    for word in (part for part in parts if not any(sign in part for sign in "=<>")):
        table = table.filter(text.str.to_lowercase().str.contains(word.lower(), literal=True))
    return table


def _name(run: RunFolder) -> dict[str, Any]:
    parts = {part: run.config.get(part) for part in ("method", "world", "data")}
    return {part: value.get("name") if isinstance(value, Mapping) else value for part, value in parts.items()}


def _status(folder: SeedFolder) -> tuple[Status, str | None]:
    try:
        return folder.status(), None
    except HeadstartError as error:
        return Status("damaged"), str(error)


def _overall(states: Sequence[str]) -> str:
    return "damaged" if "damaged" in states else overall_state(states)


def _counters(status: Status) -> dict[str, Any]:
    names = ("state", "phase", "updates", "environment_steps", "started", "heartbeat", "host", "pid")
    return {name: getattr(status, name) for name in names}


def _seed(folder: SeedFolder, status: Status) -> dict[str, Any]:
    checkpoint = folder.checkpoints.latest_progress()
    return _counters(status) | {
        "seed": folder.seed,
        "error": status.error,
        "checkpoint": checkpoint,
        "log": _tail(folder.path / "log.txt"),
        "notes": _tail(folder.path / "notes.txt"),
    }


def _tail(path: Path) -> str:
    """The end of a text file, from the beginning of a line; empty if there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text if size <= TAIL_BYTES else text.partition("\n")[2]


def _progress(
    config: Mapping[str, Any], seeds: Sequence[Mapping[str, Any]], tables: Mapping[int, pl.DataFrame] | None = None
) -> dict[str, Any] | None:
    """Steps done and planned over all seeds, and the seconds that are left; None where the plan is not known."""
    try:
        plan = [(str(phase["kind"]), int(phase["steps"])) for phase in config["plan"]]
    except (KeyError, TypeError, ValueError):
        return None
    each = sum(steps for _, steps in plan)
    done = [each if seed["state"] == "finished" else _done(plan, seed) for seed in seeds]
    left = [
        _seconds_left(tables[seed["seed"]], each, part)
        for seed, part in zip(seeds, done, strict=True)
        if tables is not None and seed["state"] == "running"
    ]
    known = [seconds for seconds in left if seconds is not None]
    return {"done": sum(done), "total": each * len(seeds), "seconds_left": max(known) if known else None}


def _done(plan: Sequence[tuple[str, int]], seed: Mapping[str, Any]) -> int:
    """Steps of the plan that a seed has done: updates while offline, environment steps after."""
    offline = sum(steps for kind, steps in plan if kind == "offline")
    acting = sum(steps for kind, steps in plan) - offline
    learned = offline if seed["environment_steps"] else min(seed["updates"], offline)
    return learned + min(seed["environment_steps"], acting)


def _seconds_left(table: pl.DataFrame, total: int, done: int) -> float | None:
    """At the pace of the phase that a seed is in."""
    if not table.height:
        return None
    last = table.row(-1, named=True)
    rows = table.filter(pl.col("phase") == last["phase"])
    axis = "updates" if last["environment_steps"] == rows["environment_steps"][0] else "environment_steps"
    steps, seconds = last[axis] - rows[axis][0], last["time"] - rows["time"][0]
    return (total - done) * seconds / steps if steps > 0 else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _last(table: pl.DataFrame, name: str) -> float | None:
    values = table.filter(pl.col("name") == name)["value"]
    return _finite(values[-1]) if len(values) else None


def _curve(seed: int, table: pl.DataFrame, metric: str) -> dict[str, Any]:
    rows = thin(table.filter(pl.col("name") == metric), STRETCHES)
    axes = {axis: rows[axis].to_list() for axis in ("environment_steps", "updates")}
    times = [round(seconds, 3) for seconds in rows["time"]]
    return {"seed": seed, **axes, "time": times, "values": [_finite(value) for value in rows["value"]]}


def _finite(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None
