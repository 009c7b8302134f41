"""What a search did, one line of JSON an event, in the order it happened. Everything else is derived from it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from headstart.core.errors import DataError, UsageError

Event = dict[str, Any]
"""One of::

    {"event": "ask", "trial": …, "schedule": …, "parent": …, "reserve": …}       a step was begun
    {"event": "outcome", "trial": …, "steps": …, "seed": …, "score": …, …}       one of its seeds ended
    {"event": "test", "of": "incumbent" | "default", "seed": …, "score": …, …}   one test seed ended
"""


def read_journal(path: Path) -> list[Event]:
    """The events so far; none where there is no journal. A last line that a kill cut short does not count.

    Raises:
        DataError: a line is damaged.
    """
    if not path.exists():
        return []
    events = []
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"line {number} of {path} is damaged: {error}; restore the file to go on") from error
    return events


class Journal:
    """Appends events, each on the disk before the next thing happens. Held by one process at a time.

    Args:
        path: the file.

    Raises:
        UsageError: another process holds it.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise UsageError(f"{path.parent} is being searched by another process; wait for it, or stop it") from error
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(self._file, whole)

    def write(self, event: Event) -> None:
        """Append one event."""
        os.write(self._file, json.dumps(event, allow_nan=False).encode() + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
