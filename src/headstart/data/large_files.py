"""Files of other formats that may be larger than memory: converted block by block into a folder of ours."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from headstart.core.errors import DataError, UsageError
from headstart.core.files import cache_folder
from headstart.core.progress import progress
from headstart.data.columns import COLUMNS, column_layout
from headstart.data.experience import Experience
from headstart.data.folder import Writer, is_dataset_folder, load
from headstart.data.importing import Plan

LARGE_BYTES = 256 << 20
"""Files of more content than this are read through a converted copy; smaller ones are read into memory."""

_BLOCK_BYTES = 16 << 20
_VERSION = 1
_LOG = logging.getLogger("headstart")


class ForeignRows(Protocol):
    """A file of another format that is open, its rows not read yet.

    Attributes:
        path: the file.
        rows: how many it holds.
        content_bytes: how much memory its columns would take.
    """

    path: Path
    rows: int
    content_bytes: int

    def plan(self) -> Plan:
        """How its columns become ours; may look through one of them."""
        ...

    def left_out(self) -> Int[np.ndarray, " left_out"] | None:
        """Rows without a successor, which no block holds; None where the file holds next observations."""
        ...

    def blocks(self, rows_at_once: int) -> Iterator[Mapping[str, np.ndarray]]:
        """All columns in ``COLUMNS``, some rows at a time, in the order of the file."""
        ...


def read_whole(source: ForeignRows) -> Experience:
    """All rows, in memory."""
    plan, left_out = source.plan(), source.left_out()
    (columns,) = source.blocks(source.rows)
    return Experience(plan.spec, plan.shaped(columns), plan.metadata, left_out)


def write_folder(source: ForeignRows, folder: Path, rows_at_once: int | None = None) -> None:
    """Convert a file into a dataset folder, in memory for a few blocks of rows.

    Args:
        source: the file.
        folder: where to write.
        rows_at_once: rows of a block; by default as many as fill 16 MiB.

    Raises:
        UsageError: the folder exists already.
        DataError: the file is damaged, or a column does not fit.
    """
    source.left_out()  # refuses a file without a transition
    plan, row_bytes = source.plan(), max(1, source.content_bytes // source.rows)
    rows_at_once = rows_at_once or max(1, _BLOCK_BYTES // row_bytes)
    done = 0
    with (
        Writer(folder, plan.spec, plan.metadata, observation_dtype=plan.observation_dtype) as writer,
        progress(f"convert {source.path.name}", source.content_bytes / 1e6) as bar,
    ):
        for block in source.blocks(rows_at_once):
            writer.append(**plan.shaped(block))
            done = min(done + rows_at_once, source.rows)
            bar.update(done * row_bytes / 1e6, "MB")


def read_through_copy(source: ForeignRows, options: Any, rows_at_once: int | None = None) -> Experience:
    """The rows of a large file, left on disk: in a converted copy that is made once and kept in the cache.

    Args:
        source: the file; found again by its path, size and time of change.
        options: what else the result depends on, JSON-serialisable.
        rows_at_once: see ``write_folder``.

    Raises:
        DataError: the file is damaged, or the cache has no room.
    """
    kept = _copies_of(source.path) / _version_of(source.path, options)
    folder, rows_file = kept / "data", kept / "left_out.npy"
    if not is_dataset_folder(folder):
        _make_room(source, kept)
        kept.mkdir(parents=True, exist_ok=True)
        left_out = source.left_out()
        if left_out is not None:
            np.save(rows_file, left_out, allow_pickle=False)
        try:
            write_folder(source, folder, rows_at_once)
        except UsageError:
            if not is_dataset_folder(folder):  # else another process was faster
                raise
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e9
        _LOG.warning("%s is large and read through a copy of %.1f GB in %s; it may be removed", source.path, size, kept)
    data = load(folder)
    data.left_out = np.load(rows_file, mmap_mode="r", allow_pickle=False) if rows_file.exists() else None
    return data


def _copies_of(path: Path) -> Path:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    return cache_folder() / "converted" / f"{path.stem}-{digest}"


def _version_of(path: Path, options: Any) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, options], sort_keys=True).encode()).hexdigest()[:12]
    return f"{_stamp(path)}-{digest}"


def _stamp(path: Path) -> str:
    state = path.stat()
    return f"{state.st_size}-{state.st_mtime_ns}"


def _make_room(source: ForeignRows, kept: Path) -> None:
    """Remove copies of what the file was before; refuse where the copy would not fit."""
    copies = kept.parent
    copies.mkdir(parents=True, exist_ok=True)
    for copy in copies.iterdir():
        if not copy.name.startswith(_stamp(source.path)):
            shutil.rmtree(copy, ignore_errors=True)
    plan = source.plan()
    layout = column_layout(plan.spec, plan.observation_dtype)
    row_bytes = sum(layout[name][0].itemsize * int(np.prod(layout[name][1], dtype=np.int64)) for name in COLUMNS)
    needed, free = source.rows * row_bytes, shutil.disk_usage(copies).free
    if needed > free:
        raise DataError(
            f"{source.path} is too large to be read into memory, and its converted copy of {needed / 1e9:.1f} GB does "
            f"not fit into {copies}, where {free / 1e9:.1f} GB are free; set HEADSTART_CACHE to a folder on a disk "
            f"with room, or make room"
        )
