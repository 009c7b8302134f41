"""Ctrl-C and SIGTERM put off until the work at hand can be left without loss."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def let_sigterm_interrupt() -> None:
    """Let SIGTERM do what Ctrl-C does: shells start background jobs that ignore SIGINT."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def interruptions_put_off() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGINT or SIGTERM has asked to stop; its caller then raises KeyboardInterrupt.

    Only signals that are handled are put off: what a process ignores, or dies of at once, stays so. The same signal a
    second time does at once what it would have done. If nobody has stopped by the end, KeyboardInterrupt is raised
    there. Signals reach the main thread alone; in any other one nothing is put off.
    """
    asked: set[int] = set()
    before: dict[int, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        if number in asked:
            before[number](number, frame)
            return
        if not asked:
            print("stopping as soon as a checkpoint is written; once more stops at once", file=sys.stderr, flush=True)
        asked.add(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(number)):
                before[number] = handler
                signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
