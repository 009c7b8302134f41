"""Progress bars on long work; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """What a progress bar can be told."""

    def update(self, completed: float, note: str = "") -> None:
        """Say how much is done, in the units of the total."""
        ...


class _PlainBar:
    """One line every few seconds, for logs."""

    def __init__(self, description: str, total: float, every: float = 15.0):
        self.description, self.total, self.every = description, total, every
        self.last = time.monotonic()

    def update(self, completed: float, note: str = "") -> None:
        now = time.monotonic()
        if now - self.last >= self.every or completed >= self.total:
            self.last = now
            print(f"{self.description}: {completed:g}/{self.total:g} {note}".rstrip(), file=sys.stderr, flush=True)


class _RichBar:
    def __init__(self, progress, task):
        self.progress, self.task = progress, task

    def update(self, completed: float, note: str = "") -> None:
        self.progress.update(self.task, completed=completed, note=note)


@contextmanager
def progress(description: str, total: float, visible: bool = True) -> Iterator[Bar]:
    """A progress bar for ``total`` units of work, on standard error.

    Args:
        description: what is being done.
        total: how many units there are.
        visible: False gives a bar that shows nothing.
    """
    if not visible:
        yield _PlainBar(description, float("inf"), every=float("inf"))
    elif not sys.stderr.isatty():
        yield _PlainBar(description, total)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            yield _RichBar(bars, bars.add_task(description, total=total, note=""))
