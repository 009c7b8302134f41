"""Our own format on disk: a folder of one ``.npy`` file a column and a ``metadata.json`` that is written last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from headstart.core.errors import DataError, UsageError
from headstart.core.files import read_json, write_json
from headstart.core.specs import Spec, spec_from_json, spec_to_json
from headstart.core.storage import writing
from headstart.data.columns import COLUMNS, column_layout, conform
from headstart.data.experience import Experience

FORMAT, VERSION = "headstart-experience", 1
METADATA = "metadata.json"
VERIFIED_BYTES = 64 << 20
"""Datasets up to this size are checked against their digest whenever they are loaded."""


class Writer:
    """Writes a dataset chunk by chunk, so that it may be larger than memory.

    Use it as a context manager. A new folder appears, whole, when the block ends; if the block raises, nothing is left
    behind. With ``extend`` rows are added to a folder that is there; if the block raises, it stays what it was.

    Args:
        folder: where to write.
        spec: observations and actions of the world.
        metadata: JSON-serialisable facts to keep; with ``extend``, added to those that are there.
        extend: append to an existing folder.
        observation_dtype: float32, or uint8 for images.
        expected_rows: how many rows will be written, if known: a full disk's error then says what they need.

    Raises:
        UsageError: the folder exists already (or, with ``extend``, holds another world's data).
        StorageError: the disk is full.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path | str,
        spec: Spec,
        metadata: Mapping[str, Any] | None = None,
        extend: bool = False,
        observation_dtype: np.dtype | type = np.float32,
        expected_rows: int | None = None,
    ):
        self.folder, self.spec, self.extend = Path(folder), spec, extend
        self.metadata = dict(metadata or {})
        self.rows = 0
        if extend:
            record = read_record(self.folder)
            if spec_from_json(record["spec"]) != spec:
                raise UsageError(f"{folder} holds data of {spec_from_json(record['spec'])}, not of {spec}")
            self.rows = record["rows"]
            self.metadata = record["metadata"] | self.metadata
            observation_dtype = np.dtype(record["columns"]["observations"]["dtype"])
        elif self.folder.exists():
            raise UsageError(f"{folder} exists already; remove it or choose another place")
        self._layout = column_layout(spec, observation_dtype)
        self._needed = None if expected_rows is None else expected_rows * sum(map(_row_bytes, self._layout.values()))
        self._rows_before = self.rows
        self._at = self.folder if extend else self.folder.with_name(f".{self.folder.name}.partial-{os.getpid()}")
        self._files: dict[str, BinaryIO] = {}
        self._digests: dict[str, Any] = {}
        self._ends: dict[str, int] = {}

    def __enter__(self) -> Writer:
        try:
            with writing(self.folder, self._needed):
                self._open()
        except BaseException:
            self._give_up()
            raise
        return self

    def _open(self) -> None:
        self._at.mkdir(parents=True, exist_ok=True)
        for name, (dtype, shape) in self._layout.items():
            file = self._files[name] = (self._at / f"{name}.npy").open("r+b" if self.extend else "w+b")
            self._digests[name] = hashlib.sha256()
            if not self.extend:
                _write_header(file, dtype, (0, *shape))
                continue
            _skip_header(file)
            end = file.tell() + self.rows * _row_bytes((dtype, shape))
            for block in _blocks(file, end):
                self._digests[name].update(block)
            file.truncate(end)
            self._ends[name] = end

    def append(
        self,
        observations: Any,
        actions: Any,
        rewards: Any,
        next_observations: Any,
        terminations: Any,
        truncations: Any,
    ) -> None:
        """Write any number of rows, whole episodes or parts of them, in order of time.

        Raises:
            DataError: shapes do not fit.
            StorageError: the disk is full.
        """
        given = (observations, actions, rewards, next_observations, terminations, truncations)
        arrays = {name: conform(name, value, *self._layout[name]) for name, value in zip(COLUMNS, given, strict=True)}
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns differ in length: {lengths}")
        with writing(self.folder, self._needed):
            for name, array in arrays.items():
                content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
                self._digests[name].update(content)
                self._files[name].write(content)
        self.rows += lengths["rewards"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._give_up()
            return
        try:
            with writing(self.folder, self._needed):
                self._finish()
        except BaseException:
            self._give_up()
            raise
        self._close()

    def _close(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):  # rows that a full disk did not take; the file is closed all the same
                file.close()

    def _give_up(self) -> None:
        """Remove what was begun, or cut a folder that was being extended back to what it was."""
        self._close()
        if not self.extend:
            shutil.rmtree(self._at, ignore_errors=True)
            return
        for name, end in self._ends.items():
            dtype, shape = self._layout[name]
            with contextlib.suppress(OSError), (self._at / f"{name}.npy").open("r+b") as file:
                _write_header(file, dtype, (self._rows_before, *shape))
                file.truncate(end)

    def _finish(self) -> None:
        columns = {}
        for name, (dtype, shape) in self._layout.items():
            file = self._files[name]
            _write_header(file, dtype, (self.rows, *shape))
            file.flush()
            os.fsync(file.fileno())
            columns[name] = {"dtype": dtype.str, "shape": list(shape), "sha256": self._digests[name].hexdigest()}
        record = {
            "format": FORMAT,
            "version": VERSION,
            "rows": self.rows,
            "digest": _digest(columns),
            "spec": spec_to_json(self.spec),
            "columns": columns,
            "metadata": {key: value for key, value in self.metadata.items() if key != "digest"},
        }
        write_json(self._at / METADATA, record)
        if not self.extend:
            if self.folder.exists():
                raise UsageError(f"{self.folder} was created while it was being written; choose another place")
            os.replace(self._at, self.folder)


def save(experience: Experience, folder: Path | str, rows_at_once: int = 1 << 16) -> None:
    """Write experience as a dataset folder; a ring's episodes are put in order of time first.

    Raises:
        UsageError: the folder exists already.
        StorageError: the disk is full; nothing is left behind.
    """
    experience = experience.in_order()
    dtype, rows = experience.observations.dtype, len(experience)
    with Writer(folder, experience.spec, experience.metadata, observation_dtype=dtype, expected_rows=rows) as writer:
        for start in range(0, rows, rows_at_once):
            writer.append(*(experience.read(name, start, start + rows_at_once) for name in COLUMNS))


def load(folder: Path | str, memory_map: bool = True, verify: bool | None = None) -> Experience:
    """Read a dataset folder.

    Args:
        folder: where it is.
        memory_map: leave the columns on disk, read-only.
        verify: compare the content with its recorded digest; by default where it is small (``VERIFIED_BYTES``).
            The digest is put into the metadata either way.

    Raises:
        DataError: a file is missing, truncated, or not what ``metadata.json`` says.
    """
    folder = Path(folder)
    record = read_record(folder)
    columns = {name: _load_column(folder, name, record, memory_map) for name in COLUMNS}
    if verify or (verify is None and sum(column.nbytes for column in columns.values()) <= VERIFIED_BYTES):
        for name, column in columns.items():
            found = hashlib.sha256(np.ascontiguousarray(column).reshape(-1).view(np.uint8).data).hexdigest()
            if found != record["columns"][name]["sha256"]:
                raise DataError(
                    f"{folder / name}.npy has changed since it was written; copy or build the dataset again"
                )
    return Experience(spec_from_json(record["spec"]), columns, record["metadata"] | {"digest": record["digest"]})


def content_digest(experience: Experience) -> str:
    """The digest that the experience would have if it were saved; read block by block."""
    experience = experience.in_order()
    columns = {}
    for name in COLUMNS:
        digest = hashlib.sha256()
        for start in range(0, len(experience), 1 << 16):
            block = np.ascontiguousarray(experience.read(name, start, start + (1 << 16)))
            digest.update(block.reshape(-1).view(np.uint8).data)
        columns[name] = {"sha256": digest.hexdigest()}
    return _digest(columns)


def is_dataset_folder(path: Path | str) -> bool:
    """Whether a folder has our ``metadata.json`` (Minari's is told apart by its content)."""
    try:
        return read_json(Path(path) / METADATA).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def read_record(folder: Path) -> dict[str, Any]:
    """The content of ``metadata.json``.

    Raises:
        DataError: it is missing, damaged, or of another format or version.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; a dataset of ours is a folder with {METADATA} in it")
    try:
        record = read_json(folder / METADATA)
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {METADATA}; it is not a dataset of ours") from error
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{folder / METADATA} is damaged ({error}); copy or build the dataset again") from error
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT:
        raise DataError(f"{folder / METADATA} is of format {found!r}, expected {FORMAT!r}")
    if record.get("version") != VERSION:
        raise DataError(f"{folder} is of version {record.get('version')}; this release reads version {VERSION}")
    wanted = {"rows", "digest", "spec", "columns", "metadata"}
    if not wanted <= record.keys() or set(record["columns"]) != set(COLUMNS):
        raise DataError(f"{folder / METADATA} is damaged: it needs {', '.join(sorted(wanted))} and six columns")
    try:
        spec_from_json(record["spec"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / METADATA} is damaged: its spec cannot be read ({error})") from error
    return record


def _load_column(folder: Path, name: str, record: dict[str, Any], memory_map: bool) -> np.ndarray:
    path, rows, expected = folder / f"{name}.npy", record["rows"], record["columns"][name]
    try:
        column = np.load(path, mmap_mode="r" if memory_map and rows else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; the dataset is incomplete, copy or build it again") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is truncated or damaged ({error}); copy or build the dataset again") from error
    if column.dtype.str != expected["dtype"] or list(column.shape[1:]) != expected["shape"] or len(column) < rows:
        raise DataError(
            f"{path} holds {column.dtype}{list(column.shape)}, but {METADATA} says "
            f"{np.dtype(expected['dtype'])}{[rows, *expected['shape']]}"
        )
    return column[:rows]


def _digest(columns: dict[str, Any]) -> str:
    return hashlib.sha256("".join(columns[name]["sha256"] for name in COLUMNS).encode()).hexdigest()


def _row_bytes(layout: tuple[np.dtype, tuple[int, ...]]) -> int:
    dtype, shape = layout
    return dtype.itemsize * int(np.prod(shape, dtype=np.int64))


def _write_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    # NumPy pads headers so that a larger number of rows still fits in place.
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


def _skip_header(file: BinaryIO) -> None:
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)


def _blocks(file: BinaryIO, end: int, size: int = 1 << 24) -> Iterator[bytes]:
    while file.tell() < end:
        block = file.read(min(size, end - file.tell()))
        if not block:
            raise DataError(f"{file.name} is shorter than {METADATA} says; copy or build the dataset again")
        yield block
