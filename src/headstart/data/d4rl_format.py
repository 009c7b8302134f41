"""D4RL's HDF5 files: one array a column, rows of all episodes one after another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Int

from headstart.core.errors import DataError, UsageError
from headstart.core.files import cache_folder
from headstart.core.registry import unknown
from headstart.core.specs import Spec, spec_from_json, spec_to_json
from headstart.data.catalogue import CATALOGUE, find_entry
from headstart.data.download import download
from headstart.data.experience import Experience
from headstart.data.importing import (
    Kind,
    Plan,
    SeenActions,
    derive_successors,
    plan_import,
    rows_without_successor,
)
from headstart.data.large_files import LARGE_BYTES, read_through_copy, read_whole

# Texts that files written here have besides D4RL's arrays.
_OWN = ("metadata/headstart_spec", "metadata/headstart")
_REQUIRED = ("observations", "actions", "rewards", "terminals")
_WANTED = (*_REQUIRED, "timeouts", "next_observations")
_FLAGS_AT_ONCE = 1 << 20
_LOOK_BYTES = 16 << 20
_WRITTEN_AT_ONCE = 1 << 16


def read_d4rl(path: Path | str, spec: Spec | None = None, horizon: int | None = None) -> Experience:
    """Read a D4RL file; a large one (``LARGE_BYTES``) by way of a converted copy, whose rows stay on disk.

    Where the file has no ``next_observations``, they are those of the next row; see ``derive_successors``.

    Args:
        path: the file.
        spec: observations and actions of its world; by default what the file says, else what its data suggest.
        horizon: steps after which episodes were cut, for files without ``timeouts``; by default that of the D4RL
            dataset the file is named after.

    Raises:
        DataError: the file is missing, truncated or damaged, or a column is missing or does not fit.
    """
    with open_d4rl(path, spec, horizon) as source:
        if source.content_bytes <= LARGE_BYTES:
            return read_whole(source)
        return read_through_copy(source, {"spec": None if spec is None else spec_to_json(spec), "horizon": horizon})


@contextmanager
def open_d4rl(path: Path | str, spec: Spec | None = None, horizon: int | None = None) -> Iterator[D4RLRows]:
    """A D4RL file, open and looked at, its rows not read yet; arguments and errors as of ``read_d4rl``."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist")
    with _damage_of(path):
        file = h5py.File(path, "r")
    with file:
        yield D4RLRows(path, file, spec, horizon)


class D4RLRows:
    """The rows of an open D4RL file; see ``ForeignRows``."""

    def __init__(self, path: Path, file: h5py.File, spec: Spec | None, horizon: int | None):
        self.path = path
        with _damage_of(path):
            missing = [name for name in _REQUIRED if name not in file]
            if missing:
                found = ", ".join(sorted(file)) or "nothing"
                raise DataError(f"{path} is no D4RL file: {', '.join(missing)} missing, found {found}")
            self._columns = {name: _array(file, name) for name in _WANTED if name in file}
            stated = [json.loads(bytes(_array(file, name)[()])) for name in _OWN if name in file]
            lengths = {name: column.shape[0] if column.shape else 0 for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{path} was cut short: columns differ in length: {lengths}")
        self.rows = lengths["rewards"]
        if self.rows < 2:
            raise DataError(f"{path} holds {self.rows} rows; expected at least two")
        self.content_bytes = sum(column.nbytes for column in self._columns.values())
        stated_spec, self._facts = stated if len(stated) == len(_OWN) else (None, {})
        self._spec = spec if spec is not None or stated_spec is None else spec_from_json(stated_spec)
        entry = find_entry(path.stem)
        self._horizon = horizon or (entry.horizon if entry else None)

    @cached_property
    def _ends(self) -> tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
        """Terminations and truncations of the file's rows, which say where episodes end."""
        terminals = self._flags("terminals")
        if "timeouts" in self._columns:
            return terminals, self._flags("timeouts")
        return terminals, _count_horizon(terminals, self._horizon) if self._horizon else np.zeros_like(terminals)

    @property
    def _derived(self) -> bool:
        return "next_observations" not in self._columns

    def left_out(self) -> Int[np.ndarray, " left_out"] | None:
        """Rows without a successor; None where the file holds next observations."""
        return rows_without_successor(self._ends[1], str(self.path)) if self._derived else None

    @cached_property
    def _plan(self) -> Plan:
        names = {"observations": "observations", "actions": "actions", "rewards": "rewards"}
        names["next_observations"] = "observations" if self._derived else "next_observations"
        kinds = {name: Kind(self._columns[own].dtype, self._columns[own].shape) for name, own in names.items()}
        kinds["rewards"] = Kind(kinds["rewards"].dtype, (self.rows,))
        facts = {"source": self.path.name, "format": "d4rl"} | self._facts
        return plan_import(kinds, self._spec, self._look_at_actions, facts, self._notes())

    def plan(self) -> Plan:
        """How its columns become ours."""
        return self._plan

    def _look_at_actions(self) -> SeenActions:
        seen, size = SeenActions(), self._rows_of_block()
        going_on = ~self._ends[1]
        for start in range(0, self.rows - self._derived, size):
            stop = min(start + size, self.rows - self._derived)
            actions = self._read("actions", start, stop)
            seen.add(actions[going_on[start:stop]] if self._derived else actions)
        return seen

    def _rows_of_block(self) -> int:
        return max(1, _LOOK_BYTES * self.rows // max(1, self._columns["actions"].nbytes))

    def _notes(self) -> list[str]:
        notes, entry = [], find_entry(self.path.stem)
        if "timeouts" not in self._columns and self._horizon:
            notes.append(f"the file has no timeouts; episodes are cut every {self._horizon} steps")
        elif "timeouts" not in self._columns:
            notes.append("the file has no timeouts and no horizon was given; episodes end only where they terminate")
        if entry and entry.family == "antmaze" and self.path.stem.endswith("-v0"):
            notes.append("version 0 of this dataset has known errors in resets and timeouts; prefer version 2")
        return notes

    def blocks(self, rows_at_once: int) -> Iterator[dict[str, np.ndarray]]:
        """All columns, ``rows_at_once`` rows of the file at a time."""
        for start in range(0, self.rows - self._derived, rows_at_once):
            stop = min(start + rows_at_once + self._derived, self.rows)  # successors are in the row after the last
            read = {name: self._read(name, start, stop) for name in ("observations", "actions", "rewards")}
            read["rewards"] = read["rewards"].reshape(-1)
            terminations, truncations = (flags[start:stop] for flags in self._ends)
            if self._derived:
                yield derive_successors(**read, terminations=terminations, truncations=truncations)
                continue
            read["next_observations"] = self._read("next_observations", start, stop)
            yield read | {"terminations": terminations, "truncations": truncations}

    def _flags(self, name: str) -> Bool[np.ndarray, " rows"]:
        flags = np.empty(self.rows, bool)
        for start in range(0, self.rows, _FLAGS_AT_ONCE):
            stop = min(start + _FLAGS_AT_ONCE, self.rows)
            flags[start:stop] = self._read(name, start, stop).reshape(-1)
        return flags

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        with _damage_of(self.path):
            return np.asarray(self._columns[name][start:stop])


def write_d4rl(experience: Experience, path: Path | str) -> None:
    """Write a D4RL file, with ``next_observations`` and, under ``metadata``, the spec and the metadata.

    Raises:
        UsageError: the file exists already.
    """
    path = Path(path)
    if path.exists():
        raise UsageError(f"{path} exists already; remove it or choose another name")
    experience = experience.in_order()
    names = {"terminations": "terminals", "truncations": "timeouts"}
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with h5py.File(partial, "w") as file:
            for name, text in zip(_OWN, (spec_to_json(experience.spec), experience.metadata), strict=True):
                file[name] = json.dumps(text)
            for name, column in experience.columns.items():
                written = file.create_dataset(names.get(name, name), column.shape, column.dtype, compression="gzip")
                for start in range(0, len(column), _WRITTEN_AT_ONCE):
                    written[start : start + _WRITTEN_AT_ONCE] = experience.read(name, start, start + _WRITTEN_AT_ONCE)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def fetch_d4rl(name: str) -> Path:
    """D4RL's own file of a versioned name such as "hopper-medium-v2", from the cache or downloaded into it.

    Raises:
        UsageError: there is no dataset of this name; the nearest names are offered.
        DataError: the download failed.
    """
    entry = find_entry(name)
    if entry is None or name not in entry.files:
        names = {version for other in CATALOGUE.values() for version in other.files}
        raise unknown("D4RL dataset", name, names)
    return download(entry.files[name], cache_folder() / "downloads" / f"{name}.hdf5")


@contextmanager
def _damage_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} is truncated or damaged HDF5 ({error}); copy or download it again") from error


def _array(file: h5py.File, name: str) -> h5py.Dataset:
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{file.filename}: {name} is a group, expected an array")
    return found


def _count_horizon(terminals: Bool[np.ndarray, " rows"], horizon: int) -> Bool[np.ndarray, " rows"]:
    """Where the ``horizon``-th step of an episode lies, episodes ending there and at terminals."""
    timeouts = np.zeros_like(terminals)
    ends = np.append(np.flatnonzero(terminals), len(terminals) - 1)
    start = 0
    for end in ends:
        timeouts[start + horizon - 1 : end + 1 : horizon] = True
        start = end + 1
    return timeouts
