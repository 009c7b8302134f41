"""Where metrics go besides a run's own record: TensorBoard's event files, and Weights & Biases."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from headstart.core.errors import HeadstartError, UsageError
from headstart.core.files import read_json, write_json
from headstart.runs.event_file import Scalar, append_scalars
from headstart.runs.folder import RunFolder, SeedFolder

Name = Literal["tensorboard", "wandb"]
SENT = "sent.json"
"""File of a seed that says how many rows of its metrics each sink has been given."""


class Sink(Protocol):
    """Takes the metrics of one seed."""

    def send(self, rows: pl.DataFrame) -> None:
        """Take rows of metrics, which have a column ``step`` besides, each for the first time."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class TensorBoard:
    """One event file a seed, ``seed-<k>/tensorboard/``; `tensorboard --logdir RUN` shows all of them."""

    def __init__(self, run: RunFolder, seed: SeedFolder):
        self._file = seed.path / "tensorboard" / f"events.out.tfevents.{int(run.created):010d}.headstart"
        self._created = run.created

    def send(self, rows: pl.DataFrame) -> None:
        """Append the rows; their wall time is the run's creation and the time spent since."""
        columns = rows.select("name", "step", pl.col("time") + self._created, "value")
        append_scalars(self._file, (Scalar(*row) for row in columns.iter_rows()))

    def close(self) -> None:
        """Nothing is open."""


class WeightsAndBiases:
    """One run of Weights & Biases a seed, in a group of the run's name; it goes on when the seed does.

    Its own variables say where it goes: ``WANDB_PROJECT`` (headstart by default), ``WANDB_ENTITY``, ``WANDB_MODE``.
    """

    def __init__(self, run: RunFolder, seed: SeedFolder):
        identity = hashlib.sha256(f"{run.path.name} {run.created} {seed.seed}".encode()).hexdigest()[:16]
        self._run = _wandb().init(
            project=os.environ.get("WANDB_PROJECT", "headstart"),
            name=f"{run.path.name} seed {seed.seed}",
            group=run.path.name,
            id=identity,
            resume="allow",
            dir=seed.path,
            config={**run.config, "seed": seed.seed},
            reinit="create_new",
        )

    def send(self, rows: pl.DataFrame) -> None:
        """Log the rows, those of one moment together."""
        for (step,), moment in rows.group_by("step", maintain_order=True):
            values = dict(zip(moment["name"], moment["value"], strict=True))
            self._run.log({name: value for name, value in values.items() if not math.isnan(value)}, step=step)

    def close(self) -> None:
        """Wait until all is stored or sent."""
        self._run.finish()


SINKS: dict[str, Callable[[RunFolder, SeedFolder], Sink]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def check(names: list[str]) -> None:
    """Refuse sinks that cannot work here.

    Raises:
        UsageError: a package is missing, or nobody is logged in to Weights & Biases.
    """
    if "wandb" not in names:
        return
    wandb = _wandb()
    if os.environ.get("WANDB_MODE", "online") != "online":
        return
    try:
        known = wandb.login()
    except Exception as error:
        raise UsageError(f"Weights & Biases cannot be used: {error}") from error
    if not known:
        raise UsageError("nobody is logged in to Weights & Biases; run `wandb login`, or set WANDB_MODE=offline")


class Mirror:
    """Gives sinks what the seeds of a run record, every row once, also after a kill: a seed's file ``SENT`` counts.

    A run that goes on from a checkpoint repeats the numbers that came after it; sinks have these already.

    Args:
        run: the run.
        names: of the sinks.
    """

    def __init__(self, run: RunFolder, names: list[str]):
        self.run, self.names = run, names
        self._open: dict[tuple[int, str], Sink] = {}

    def send(self) -> int:
        """Give them what is new; returns how many rows that were, over all seeds and sinks.

        Raises:
            DataError: metrics are damaged.
        """
        count = 0
        for seed in self.run.seed_folders():
            rows = with_steps(seed.metrics(), language=self.run.config.get("wing") == "language")
            sent = _sent(seed.path)
            for name in self.names:
                if (new := rows[sent.get(name, 0) :]).height:
                    self._sink(seed, name).send(new)
                    sent[name] = rows.height
                    write_json(seed.path / SENT, sent)
                    count += new.height
        return count

    def close(self) -> None:
        """Close all sinks that were opened."""
        for sink in self._open.values():
            sink.close()

    def _sink(self, seed: SeedFolder, name: str) -> Sink:
        key = (seed.seed, name)
        if key not in self._open:
            self._open[key] = SINKS[name](self.run, seed)
        return self._open[key]


def sinks_of(run: RunFolder) -> Iterator[str]:
    """Names of the sinks that a run's metrics have been given to."""
    given = {name for seed in run.seed_folders() for name in _sent(seed.path)}
    yield from (name for name in SINKS if name in given)


def with_steps(rows: pl.DataFrame, language: bool) -> pl.DataFrame:
    """Metrics with a column ``step`` that only grows: updates while learning offline, then steps taken in the world.

    Args:
        rows: all of a seed's metrics, from the first on.
        language: whether the steps of a language run, its updates, are meant.
    """
    if language:
        return rows.with_columns(step="updates")
    updates, steps = (pl.col(name).diff().fill_null(pl.col(name)) for name in ("updates", "environment_steps"))
    return rows.with_columns(step=pl.when(pl.col("phase") == "offline").then(updates).otherwise(steps).cum_sum())


def _sent(folder: Path) -> dict[str, int]:
    try:
        return dict(read_json(folder / SENT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise HeadstartError(f"{folder / SENT} is damaged ({error}); delete it to send all metrics again") from error


def _wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise UsageError("wandb is not installed; `pip install wandb` brings Weights & Biases") from error
