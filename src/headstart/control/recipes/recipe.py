"""What a recipe is, and how a dataset is built from one: whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headstart.core.errors import DataError, UsageError
from headstart.core.progress import progress
from headstart.core.specs import Spec
from headstart.core.storage import StorageError
from headstart.data.columns import COLUMNS
from headstart.data.folder import Writer, is_dataset_folder, read_record
from headstart.data.registry import built_folder
from headstart.evaluate.scores import find_reference
from headstart.runs.provenance import code, packages

Rows = dict[str, np.ndarray]
"""An array for every name in ``COLUMNS``: consecutive rows of a dataset."""


class Recording(NamedTuple):
    """A dataset while it is being made.

    Attributes:
        spec: observations and actions.
        rows: its rows in order, a piece at a time.
        total: how many rows there will be.
        facts: what is known of the behaviour, JSON-serialisable.
    """

    spec: Spec
    rows: Iterator[Rows]
    total: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a dataset is made.

    Attributes:
        name: the dataset's name.
        world: name of the world it is recorded in.
        summary: whose behaviour it holds.
        transitions: how many it has unless asked otherwise; None for as many as the behaviour has left.
        cost: what building it takes.
        record: from (transitions or None, seed, whether to show progress) to the recording.
        ready: whether what the cost speaks of has been spent already: only recording is left.
    """

    name: str
    world: str
    summary: str
    transitions: int | None
    cost: str
    record: Callable[[int | None, int, bool], Recording]
    ready: Callable[[], bool] = lambda: False

    def build(
        self,
        transitions: int | None = None,
        seed: int = 0,
        folder: Path | str | None = None,
        show_progress: bool = True,
    ) -> Path:
        """Build the dataset, unless it is there already, and return its folder.

        Args:
            transitions: how many; the recipe's own number by default.
            seed: all randomness of the recording comes from it.
            folder: where to write; the cache by default, from where ``headstart.data.registry.load`` reads by name.
            show_progress: whether to show progress bars.

        Raises:
            UsageError: the folder holds something else, or ``transitions`` cannot be.
            StorageError: the disk is full; nothing is left behind.
            DataError: the dataset could not be written; nothing is left behind.
        """
        if transitions is not None and transitions < 2:
            raise UsageError(f"transitions {transitions}: give at least 2")
        if seed < 0:
            raise UsageError(f"seed {seed}: give 0 or more")
        target = built_folder(self.name) if folder is None else Path(folder)
        asked = {"recipe": self.name, "seed": seed, "asked_transitions": transitions or self.transitions}
        if target.exists():
            _refuse_unless_same(target, asked)
            return target
        recording = self.record(transitions or self.transitions, seed, show_progress)
        _forget_killed(target)
        metadata = {"name": target.name, "world": self.world, "summary": self.summary, **asked, **recording.facts}
        metadata |= {"reference": _reference(self.world), "code": code(), "packages": packages()}
        try:
            with (
                Writer(target, recording.spec, metadata, expected_rows=recording.total) as writer,
                progress(f"recording {self.name}", recording.total, show_progress) as bar,
            ):
                for rows in recording.rows:
                    writer.append(*(rows[name] for name in COLUMNS))
                    bar.update(writer.rows)
        except StorageError:
            raise
        except OSError as error:
            raise DataError(f"cannot write {target}: {error}; nothing was left there") from error
        return target


def _refuse_unless_same(target: Path, asked: dict[str, Any]) -> None:
    found = read_record(target)["metadata"] if is_dataset_folder(target) else {}
    if {key: found.get(key) for key in asked} != asked:
        holds = ", ".join(f"{key} {found[key]}" for key in asked if key in found) or "something else"
        wanted = ", ".join(f"{key} {value}" for key, value in asked.items())
        raise UsageError(f"{target} exists and holds {holds}, not {wanted}; remove it or choose another folder")


def _forget_killed(target: Path) -> None:
    """Remove what a build that was killed has left of itself."""
    for partial in target.parent.glob(f".{target.name}.partial-*"):
        process = re.fullmatch(r".*\.partial-(\d+)", partial.name)
        if process and not _alive(int(process.group(1))):
            shutil.rmtree(partial, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reference(world: str) -> dict[str, Any] | None:
    found = find_reference(world)
    return None if found is None else {"low": found.low, "high": found.high, "source": found.source}
