"""Stop a run from outside: the processes that train it are told what Ctrl-C would tell them.

A process is told only if it is certainly the one: it began before it recorded that it trains the seed, still holds the
seed's lock, and is held by a handle while that is looked at, so that a number that was given anew is never signalled.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.core.errors import UsageError
from headstart.runs.folder import RunFolder, Status

_SLACK = 2.0
"""Seconds by which the clock may have been set since the process began."""


@dataclass(frozen=True)
class Process:
    """A process that trains seeds of a run, or that trains them through processes of its own.

    Attributes:
        pid: its number.
        command: its command line.
    """

    pid: int
    command: tuple[str, ...]

    def __str__(self) -> str:
        return f"process {self.pid} ({' '.join(self.command)})"


def trainers(run: RunFolder) -> list[Process]:
    """The processes of this machine to be told if a run is to stop; whatever else they do stops with them.

    Raises:
        UsageError: no seed is being trained, or not in a process that can be told from here; says what to do.
    """
    running = [status for folder in run.seed_folders() if (status := folder.status()).state == "running"]
    if not running:
        raise UsageError(f"{run.path}: none of its seeds is being trained")
    found = {process.pid: process for status in running for process in [_trainer(run, status)]}
    return list(found.values())


def stop(run: RunFolder) -> list[Process]:
    """Tell the processes that train a run to stop, and return them without waiting for their end.

    They write a checkpoint, then mark their seeds stopped; ``headstart resume`` goes on from there. Told a second time,
    they end at once.

    Raises:
        UsageError: see ``trainers``; or a process heeds neither SIGINT nor SIGTERM. None has been told.
    """
    handles = []
    try:
        # Whoever is found after the handles are open is who they hold.
        handles = [(os.pidfd_open(process.pid), process) for process in trainers(run)]
        told = {process.pid: _heeded(process) for process in trainers(run)}
        for handle, process in handles:
            if process.pid in told:
                signal.pidfd_send_signal(handle, told[process.pid])
        return [process for _, process in handles if process.pid in told]
    except ProcessLookupError as error:
        raise UsageError(f"{run.path}: what trained it has just ended") from error
    except PermissionError as error:
        raise UsageError(f"{run.path} is trained by another user, who has to stop it") from error
    finally:
        for handle, _ in handles:
            os.close(handle)


def _trainer(run: RunFolder, status: Status) -> Process:
    by_hand = f"press Ctrl-C where it was started, then `headstart resume {run.path}` goes on"
    if status.host != socket.gethostname():
        raise UsageError(f"{run.path} is trained on {status.host}, not on this machine; {by_hand}")
    pid = status.pid or 0
    try:
        if not pid or _began(pid) > (status.started or 0.0) + _SLACK:
            raise UsageError(f"{run.path}: process {pid} is no longer the one that trained it")
        command = _command(pid)
        if "headstart.tune.worker" in command or any(word.startswith("ray::") for word in command):
            raise UsageError(f"{run.path} is a trial of a search; stop the search: press Ctrl-C where it was started")
        # One worker told alone would make room for the next seed; the process that starts them stops them all.
        if "headstart.control.worker" in command and _reads_from(parent := _parent(pid), pid):
            return Process(parent, _command(parent))
    except (OSError, ValueError, IndexError) as error:
        raise UsageError(f"{run.path}: nothing can be found out about process {pid} ({error}); {by_hand}") from error
    return Process(pid, command)


def _heeded(process: Process) -> signal.Signals:
    """The signal that ends its training in order: SIGTERM where it is caught, as `headstart` does.

    SIGINT may be caught by Polars alone, in a background job of a shell, in which Python ignores it.
    """
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    for number in (signal.SIGTERM, signal.SIGINT):
        if caught >> (number - 1) & 1:
            return number
    raise UsageError(f"{process} heeds neither SIGINT nor SIGTERM; it can only be killed, which loses no checkpoint")


def _began(pid: int) -> float:
    """When a process began, seconds since 1970."""
    ticks = int(_facts(pid)[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _parent(pid: int) -> int:
    return int(_facts(pid)[1])


def _facts(pid: int) -> Sequence[str]:
    """Fields of ``/proc/PID/stat`` from the third on; the second, the name, may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _command(pid: int) -> tuple[str, ...]:
    return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0"))


def _reads_from(reader: int, writer: int) -> bool:
    """Whether a process has an end of the pipe that is another's standard output."""
    pipe = os.readlink(f"/proc/{writer}/fd/1")
    return pipe.startswith("pipe:") and any(_link(entry) == pipe for entry in Path(f"/proc/{reader}/fd").iterdir())


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
