"""A run on disk: ``run.json`` for what was asked and where, and one folder a seed for what happened.

Layout::

    run.json                    configuration, provenance, seeds, time of creation
    seed-<k>/status.json        state, counters, last values, error
    seed-<k>/notes.txt          what no number says, where there is something
    seed-<k>/metrics/           Parquet parts
    seed-<k>/checkpoints/       one folder a checkpoint
    seed-<k>/lock               held by the process that trains this seed
"""

from __future__ import annotations

import dataclasses
import fcntl
import math
import os
import shutil
import socket
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import polars as pl

from headstart.core.errors import CheckpointError, DataError, HeadstartError, UsageError
from headstart.core.files import read_json, write_json
from headstart.runs import provenance
from headstart.runs.checkpoints import Checkpoints, unwritable
from headstart.runs.metrics import SCHEMA, MetricsWriter, read_metrics

FORMAT = 1
"""Version of the layout, kept in ``run.json``."""


MOST_PRESSING_FIRST = ("failed", "running", "killed", "stopped", "waiting", "finished")
"""The states of a seed, in the order in which they stand for a whole run."""


@dataclasses.dataclass(frozen=True)
class Status:
    """What is known of one seed's training.

    Attributes:
        state: "waiting" (not begun), "running", "finished", "stopped" (asked to), "failed" (see ``error``),
            or "killed" (was running, and the process is gone).
        pid: the process that trains or trained it.
        host: the machine of that process.
        started: when that process began, seconds since 1970.
        heartbeat: when it last said something, seconds since 1970.
        phase: name of the phase of the plan.
        updates: gradient updates done.
        environment_steps: steps taken in the world.
        last: the last value of each ``evaluation/`` metric.
        error: for a failed seed ``kind``, ``message``, and the ``phase``, ``updates`` and ``environment_steps`` where
            it failed; ``traceback`` when the error was not one of this library's own.
    """

    state: str = "waiting"
    pid: int | None = None
    host: str | None = None
    started: float | None = None
    heartbeat: float | None = None
    phase: str | None = None
    updates: int = 0
    environment_steps: int = 0
    last: dict[str, float | None] = dataclasses.field(default_factory=dict)
    error: dict[str, Any] | None = None


class SeedFolder:
    """The folder of one seed of a run.

    Args:
        path: the folder.
        seed: its seed.
    """

    def __init__(self, path: Path, seed: int):
        self.path, self.seed = path, seed

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints."""
        return Checkpoints(self.path / "checkpoints")

    def metrics(self, names: Sequence[str] | None = None) -> pl.DataFrame:
        """Its metrics, in the columns of ``headstart.runs.metrics.SCHEMA``."""
        return read_metrics(self.path / "metrics", names)

    def status(self) -> Status:
        """What is known of its training; "running" turns into "killed" once its process is gone.

        Raises:
            DataError: the status file is damaged.
        """
        try:
            status = Status(**read_json(self.path / "status.json"))
            if status.state not in MOST_PRESSING_FIRST:
                raise ValueError(f"state is {status.state!r}, expected one of {', '.join(MOST_PRESSING_FIRST)}")
        except FileNotFoundError:
            return Status()
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{self.path / 'status.json'} is not a readable status: {error}") from error
        if status.state == "running" and not self._alive(status):
            return dataclasses.replace(status, state="killed")
        return status

    def notes(self) -> list[str]:
        """The lines that ``Recorder.note`` wrote, oldest first."""
        path = self.path / "notes.txt"
        return path.read_text().splitlines() if path.exists() else []

    def record(self, flush_seconds: float = 10.0) -> Recorder:
        """A context manager under which this seed is trained; see ``Recorder``.

        Args:
            flush_seconds: how often metrics and status are written.

        Raises:
            UsageError: another process is training this seed.
        """
        return Recorder(self, flush_seconds)

    def _alive(self, status: Status) -> bool:
        if status.host == socket.gethostname():
            return _locked(self.path / "lock")
        return time.time() - (status.heartbeat or 0.0) < 300.0


class Recorder:
    """Records one seed while it trains: metrics, heartbeat, and how it ended.

    Leaving the ``with`` block normally marks the seed finished, or stopped when ``stop`` was called or the user
    interrupted; an exception marks it failed, with the error and the counters at which it happened, and goes on up.

    Attributes:
        metrics: the seed's ``MetricsWriter``.
        checkpoints: the seed's ``Checkpoints``.
    """

    def __init__(self, folder: SeedFolder, flush_seconds: float = 10.0):
        self._folder, self._every = folder, flush_seconds
        folder.path.mkdir(parents=True, exist_ok=True)
        self._lock = _acquire(folder)
        self.metrics = MetricsWriter(folder.path / "metrics", flush_seconds)
        self.checkpoints = folder.checkpoints
        now = time.time()
        self._status = dataclasses.replace(
            folder.status(),
            state="running",
            pid=os.getpid(),
            host=socket.gethostname(),
            started=now,
            heartbeat=now,
            error=None,
        )
        self._stopped = False
        self._write()

    def log(self, updates: int, environment_steps: int, phase: str, values: Mapping[str, SupportsFloat]) -> None:
        """Log metrics (see ``MetricsWriter.log``) and keep the counters; the status is written every few seconds."""
        self.metrics.log(updates, environment_steps, phase, values)
        evaluation = {
            name: float(value) if math.isfinite(value) else None
            for name, value in values.items()
            if name.startswith("evaluation/")
        }
        last = {**self._status.last, **evaluation} if evaluation else self._status.last
        self._status = dataclasses.replace(
            self._status,
            heartbeat=time.time(),
            phase=phase,
            updates=int(updates),
            environment_steps=int(environment_steps),
            last=last,
        )
        if evaluation or time.monotonic() - self._written >= self._every:
            self._write()

    def note(self, lines: Sequence[str]) -> None:
        """Add lines to the seed's ``notes.txt``: what a reader of the run should know and no number says."""
        with open(self._folder.path / "notes.txt", "a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def stop(self) -> None:
        """Say that training ends early on purpose, so that the seed is marked stopped and can be resumed."""
        self._stopped = True

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        state = "stopped" if self._stopped or isinstance(error, KeyboardInterrupt) else "finished"
        if error is not None and not isinstance(error, KeyboardInterrupt):
            state = "failed"
            where = {name: getattr(self._status, name) for name in ("phase", "updates", "environment_steps")}
            report = {"kind": type(error).__name__, "message": str(error), **where}
            if not isinstance(error, HeadstartError):
                report["traceback"] = "".join(traceback.format_exception(error))
            self._status = dataclasses.replace(self._status, error=report)
        self._status = dataclasses.replace(self._status, state=state, heartbeat=time.time())
        try:
            self.metrics.flush()
            self._write()
        except CheckpointError:
            # A full disk must not hide the error that training ended with.
            if error is None:
                raise
        finally:
            os.close(self._lock)

    def _write(self) -> None:
        path = self._folder.path / "status.json"
        try:
            write_json(path, dataclasses.asdict(self._status))
        except OSError as error:
            raise unwritable(f"status {path}", error) from error
        self._written = time.monotonic()


class RunFolder:
    """A run on disk. Use ``create`` or ``open``.

    Attributes:
        path: the folder.
        config: the resolved configuration it was created with.
        seeds: the seeds it was asked for.
        provenance: what ``headstart.runs.provenance.collect`` found when it was created.
        created: when, in seconds since 1970.
    """

    def __init__(self, path: Path, record: Mapping[str, Any]):
        self.path = path
        self.config: dict[str, Any] = dict(record["config"])
        self.seeds: list[int] = [int(seed) for seed in record["seeds"]]
        self.provenance: dict[str, Any] = record["provenance"]
        self.created: float = record["created"]

    @classmethod
    def create(
        cls,
        path: Path | str,
        config: Mapping[str, Any],
        seeds: Sequence[int] = (0,),
        accelerators: Sequence[str] | None = None,
    ) -> RunFolder:
        """Make the folder of a new run, whole or not at all.

        Args:
            path: a folder that does not exist yet, or is empty.
            config: the resolved configuration as plain JSON values. ``method``, ``world`` and ``data`` (each a name, or
                a mapping with a ``name``) are what runs are listed by.
            seeds: distinct seeds, one folder each.
            accelerators: names of the devices in use (see ``provenance.collect``).

        Raises:
            UsageError: the folder exists, the seeds repeat, or the configuration is not plain JSON.
            CheckpointError: the disk is full or not writable.
        """
        path = Path(path)
        if len(set(seeds)) != len(seeds) or not seeds:
            raise UsageError(f"seeds {list(seeds)}: give at least one, each once")
        _require_json(config, "config")
        record = {
            "format": FORMAT,
            "created": time.time(),
            "seeds": [int(seed) for seed in seeds],
            "config": dict(config),
            "provenance": provenance.collect(accelerators),
        }
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".partial"))
        try:
            staged.chmod(0o755)
            write_json(staged / "run.json", record)
            for seed in record["seeds"]:
                write_json(staged / f"seed-{seed}" / "status.json", dataclasses.asdict(Status()))
            staged.rename(path)
        except OSError as error:
            shutil.rmtree(staged, ignore_errors=True)
            if path.exists():
                raise UsageError(
                    f"{path} exists already and is left as it is; choose another folder, "
                    f"or go on with `headstart resume {path}` if it is a run"
                ) from error
            raise unwritable(f"new run {path}", error) from error
        return cls(path, record)

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open a recorded run.

        Raises:
            UsageError: there is no run there.
            DataError: its ``run.json`` is damaged.
        """
        path = Path(path)
        try:
            record = read_json(path / "run.json")
            return cls(path, record)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(f"{path} is not a run: it has no run.json; `headstart runs` lists runs") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path / 'run.json'} is not a readable record of a run: {error!r}") from error

    def seed(self, seed: int) -> SeedFolder:
        """The folder of one of its seeds.

        Raises:
            UsageError: the run has no such seed.
        """
        if seed not in self.seeds:
            raise UsageError(f"{self.path} has no seed {seed}; its seeds are {self.seeds}")
        return SeedFolder(self.path / f"seed-{seed}", seed)

    def seed_folders(self) -> list[SeedFolder]:
        """The folders of all its seeds, in the order asked for."""
        return [self.seed(seed) for seed in self.seeds]

    def state(self) -> str:
        """One word for all seeds; see ``overall_state``."""
        return overall_state(folder.status().state for folder in self.seed_folders())

    def metrics(self, names: Sequence[str] | None = None) -> pl.DataFrame:
        """The metrics of all seeds, with a first column ``seed``."""
        tables = [
            folder.metrics(names).select(pl.lit(folder.seed, pl.Int64).alias("seed"), *SCHEMA)
            for folder in self.seed_folders()
        ]
        return pl.concat(tables)


def overall_state(states: Iterable[str]) -> str:
    """One word for the states of all seeds of a run: the most pressing one."""
    present = set(states)
    return next(state for state in MOST_PRESSING_FIRST if state in present)


def _require_json(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UsageError(f"{where} has the key {key!r}; keys must be strings")
            _require_json(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _require_json(item, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}; a recorded configuration holds finite numbers only")
    elif not isinstance(value, str | int | float | bool | None):
        raise UsageError(f"{where} is a {type(value).__name__}; a recorded configuration holds plain JSON values only")


def _acquire(folder: SeedFolder) -> int:
    handle = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    # A reader that looks at the lock holds it for an instant, hence more than one try.
    for _ in range(20):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            time.sleep(0.05)
    os.close(handle)
    pid = folder.status().pid
    raise UsageError(f"{folder.path} is being trained by process {pid}; wait for it, or stop it first")


def _locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
