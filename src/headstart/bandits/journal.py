"""A file of JSON lines that is on disk before anyone is told so; many records share one synchronisation."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart.core.errors import DataError, HeadstartError, UsageError

ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class JournalError(HeadstartError, OSError):
    """The disk refused a record; nothing more is accepted until the journal is opened anew."""


class Journal:
    """Records in the order in which they were appended. A line that a kill cut short is dropped on opening.

    Args:
        path: the file; created where it is missing, and locked against other processes.

    Raises:
        UsageError: another process has it open.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise UsageError(
                f"{self.path} is in use by another process; stop that one or take another folder"
            ) from error
        self.size = self._drop_unfinished_line()
        self._sync_folder()
        self._waiting: deque[bytes] = deque()  # filled by one thread while another empties it
        self._writing = threading.Lock()
        self._failure: OSError | None = None

    def read(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """All records from byte ``start`` on, which must be where one begins.

        Raises:
            DataError: a line is not a record; its number, counted from ``start``, is given.
        """
        with self.path.open("rb") as file:
            file.seek(start)
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise ValueError("not an object")
                except ValueError as error:
                    raise DataError(f"{self.path}, line {number} after byte {start}, is damaged: {error}") from error
                yield record

    def check(self) -> None:
        """Raise a ``JournalError`` if the disk has refused a record."""
        if self._failure is not None:
            raise JournalError(
                f"writing to {self.path} failed ({self._failure}); what was acknowledged is safe. Free the disk, then "
                "start again"
            ) from self._failure

    def append(self, record: dict[str, Any]) -> None:
        """Hand over a record; it is durable once ``flush`` returns.

        Raises:
            JournalError: the disk refused an earlier one.
        """
        self.check()
        self._waiting.append(ENCODER.encode(record).encode() + b"\n")

    def flush(self) -> None:
        """Write what was appended, if anything was, and wait for the disk. May be called from any thread.

        Raises:
            JournalError: the disk refused it, or an earlier record.
        """
        with self._writing:
            self.check()
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not lines:
                return
            content = b"".join(lines)
            left = memoryview(content)
            try:
                while left:
                    left = left[os.write(self._file, left) :]
                os.fdatasync(self._file)
            except OSError as error:
                self._failure = error
                self.check()
            self.size += len(content)

    def close(self) -> None:
        """Write what is left, and let others open the file."""
        if self._failure is None:
            self.flush()
        os.close(self._file)

    def _drop_unfinished_line(self) -> int:
        content_end = os.fstat(self._file).st_size
        end = content_end
        while end > 0:
            start = max(0, end - 65536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < content_end:
            os.ftruncate(self._file, end)
        return end

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
