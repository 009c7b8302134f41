"""D4RL's HDF5 files: one array a column, rows of all episodes one after another."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool

from headstart.core.errors import DataError, UsageError
from headstart.core.files import cache_folder
from headstart.core.registry import unknown
from headstart.core.specs import Spec, spec_from_json, spec_to_json
from headstart.data.catalogue import CATALOGUE, find_entry
from headstart.data.download import download
from headstart.data.experience import Experience
from headstart.data.importing import derive_successors, import_columns

# Texts that files written here have besides D4RL's arrays.
_OWN = ("metadata/headstart_spec", "metadata/headstart")
_REQUIRED = ("observations", "actions", "rewards", "terminals")


def read_d4rl(path: Path | str, spec: Spec | None = None, horizon: int | None = None) -> Experience:
    """Read a D4RL file.

    Where the file has no ``next_observations``, they are those of the next row; see ``derive_successors``.

    Args:
        path: the file.
        spec: observations and actions of its world; by default what the file says, else what its data suggest.
        horizon: steps after which episodes were cut, for files without ``timeouts``; by default that of the D4RL
            dataset the file is named after.

    Raises:
        DataError: the file is missing, truncated or damaged, or a column is missing or does not fit.
    """
    path = Path(path)
    columns, stated, facts = _read_file(path)
    entry = find_entry(path.stem)
    horizon = horizon or (entry.horizon if entry else None)
    rewards, terminals = (np.asarray(columns[name]).reshape(-1) for name in ("rewards", "terminals"))
    terminals = terminals.astype(bool)
    notes = []
    if "timeouts" in columns:
        timeouts = np.asarray(columns["timeouts"]).reshape(-1).astype(bool)
    elif horizon:
        timeouts = _count_horizon(terminals, horizon)
        notes.append(f"the file has no timeouts; episodes are cut every {horizon} steps")
    else:
        timeouts = np.zeros_like(terminals)
        notes.append("the file has no timeouts and no horizon was given; episodes end only where they terminate")
    if entry and entry.family == "antmaze" and path.stem.endswith("-v0"):
        notes.append("version 0 of this dataset has known errors in resets and timeouts; prefer version 2")
    if "next_observations" in columns:
        arrays = {name: columns[name] for name in ("observations", "actions", "next_observations")}
        arrays |= {"rewards": rewards, "terminations": terminals, "truncations": timeouts}
    else:
        arrays = derive_successors(columns["observations"], columns["actions"], rewards, terminals, timeouts)
    return import_columns(arrays, spec or stated, {"source": path.name, "format": "d4rl"} | facts, notes)


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
            for name in experience.columns:
                file.create_dataset(names.get(name, name), data=experience.read(name), compression="gzip")
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


def _read_file(path: Path) -> tuple[dict[str, np.ndarray], Spec | None, dict[str, Any]]:
    if not path.exists():
        raise DataError(f"{path} does not exist")
    wanted = (*_REQUIRED, "timeouts", "next_observations")
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in _REQUIRED if name not in file]
            if missing:
                found = ", ".join(sorted(file)) or "nothing"
                raise DataError(f"{path} is no D4RL file: {', '.join(missing)} missing, found {found}")
            columns = {name: np.asarray(_array(file, name)[()]) for name in wanted if name in file}
            stated = {name: bytes(_array(file, name)[()]).decode() for name in _OWN if name in file}
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} is truncated or damaged HDF5 ({error}); copy or download it again") from error
    lengths = {name: len(column) if column.ndim else 0 for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path} was cut short: columns differ in length: {lengths}")
    if lengths["rewards"] < 2:
        raise DataError(f"{path} holds {lengths['rewards']} rows; expected at least two")
    if len(stated) < len(_OWN):
        return columns, None, {}
    spec, facts = (json.loads(stated[name]) for name in _OWN)
    return columns, spec_from_json(spec), facts


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
