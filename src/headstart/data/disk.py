"""Rows of an array file, read when they are asked for and never kept."""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from headstart.core.errors import DataError

# A row out of the page cache takes about 2 µs, off a solid-state disk 50 to 100 µs.
_SLOW_SECONDS_PER_ROW = 20e-6

# A call costs as much time as reading this many bytes on.
_CALL_BYTES = 4096

_BLOCK_BYTES = 4 << 20

# Chosen rows that lie together in runs of so many on average, as those of episodes do, are read run by run.
_RUN_ROWS = 8

# Columns of single numbers are held in memory up to this size: there, a call for each row is out of proportion.
_HELD_BYTES = 256 << 20


class DiskColumn:
    """One column of a file that may be too large for memory.

    Rows are read with ``pread``. A memory map would count every page it touches, and the fifteen around it that the
    kernel maps along, as resident memory of this process, and dropping them again costs more than the calls do
    (measured, 256 random rows of 68 bytes, two columns: 1.2 ms by calls, 7 ms by a map kept below 64 MB).

    Args:
        path: the file.
        offset: where the first row begins, in bytes.
        dtype: of the elements.
        shape: of the whole column, rows first.
    """

    def __init__(self, path: Path | str, offset: int, dtype: np.dtype, shape: tuple[int, ...]):
        self.path, self.offset, self.dtype, self.shape = Path(path), offset, np.dtype(dtype), tuple(shape)
        self.row_bytes = self.dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._slow = False
        self._held: np.ndarray | None = None

    @classmethod
    def behind(cls, array: np.ndarray) -> DiskColumn | None:
        """The file behind a memory map, or behind consecutive rows of one; None where there is none."""
        root = array
        while isinstance(root.base, np.memmap):
            root = root.base
        if not isinstance(root, np.memmap) or root.filename is None or not array.flags.c_contiguous:
            return None
        offset = root.offset + array.ctypes.data - root.ctypes.data
        return cls(str(root.filename), offset, array.dtype, array.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Shaped[np.ndarray, "rows ..."]:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"only consecutive rows can be read at once, not every {step}th")
        wanted = max(0, stop - start) * self.row_bytes
        buffer = bytearray(wanted)
        view, done = memoryview(buffer), 0
        while done < wanted:
            got = os.preadv(self._file, [view[done:]], self.offset + start * self.row_bytes + done)
            if got == 0:
                raise self._truncated()
            done += got
        return np.frombuffer(buffer, self.dtype).reshape(-1, *self.shape[1:])

    def take(self, rows: Int[np.ndarray, " batch"]) -> Shaped[np.ndarray, "batch ..."]:
        """The given rows, in the given order.

        Raises:
            IndexError: there is no such row.
            DataError: the file has become shorter.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} asked for; there are {len(self)}")
        if len(self.shape) == 1 and self.row_bytes * len(self) <= _HELD_BYTES:
            if self._held is None:
                self._held = self[:]
            return np.take(self._held, rows)
        if self.row_bytes * len(self) <= _CALL_BYTES * len(rows):
            return self._pick(rows)
        places = (rows.astype(np.int64) * self.row_bytes + self.offset).tolist()
        file, size, read = self._file, self.row_bytes, os.pread
        if self._slow and hasattr(os, "posix_fadvise"):
            for place in places:  # lets the disk work on all of them at once
                os.posix_fadvise(file, place, size, os.POSIX_FADV_WILLNEED)
        start = time.perf_counter()
        buffer = bytearray().join([read(file, size, place) for place in places])
        self._slow = time.perf_counter() - start > _SLOW_SECONDS_PER_ROW * len(rows)
        if len(buffer) != size * len(rows):
            raise self._truncated()
        return np.frombuffer(buffer, self.dtype).reshape(len(rows), *self.shape[1:])

    def _pick(self, rows: Int[np.ndarray, " batch"]) -> Shaped[np.ndarray, "batch ..."]:
        """The same by reading the whole column, block by block: for rows that lie close together."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        picked = np.empty((len(rows), *self.shape[1:]), self.dtype)
        size = max(1, _BLOCK_BYTES // max(1, self.row_bytes))
        for start in range(0, len(self), size):
            first, last = np.searchsorted(ascending, [start, start + size])
            if first < last:
                picked[order[first:last]] = self[start : start + size][ascending[first:last] - start]
        return picked

    def _truncated(self) -> DataError:
        return DataError(f"{self.path} ends before its {len(self)} rows do; it was cut short, copy or build it again")


class ChosenRows:
    """Some rows of a column on disk, in an order of their own, read when they are asked for.

    Args:
        column: what they are rows of; may itself be chosen rows.
        rows: which; kept as they are, so that several columns may share them.
    """

    def __init__(self, column: DiskColumn | ChosenRows, rows: Int[np.ndarray, " chosen"]):
        self.column, self.rows = column, rows
        self.dtype, self.shape, self.row_bytes = column.dtype, (len(rows), *column.shape[1:]), column.row_bytes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> Shaped[np.ndarray, "rows ..."]:
        chosen = self.rows[rows]
        runs = np.split(chosen, np.flatnonzero(np.diff(chosen) != 1) + 1)
        if len(chosen) < _RUN_ROWS * len(runs):
            return self.column.take(chosen)
        return np.concatenate([self.column[int(run[0]) : int(run[-1]) + 1] for run in runs])

    def take(self, rows: Int[np.ndarray, " batch"]) -> Shaped[np.ndarray, "batch ..."]:
        """The given ones of them, in the given order.

        Raises:
            IndexError: there is no such row.
            DataError: the file has become shorter.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} asked for; there are {len(self)}")
        return self.column.take(self.rows[rows])
