"""Jobs in processes of this machine: one thread each, replaced when they die, hang, or take too much memory."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.control.workers import ONE_THREAD
from headstart.tune.jobs import Job, Outcome


@dataclass
class _Task:
    """A job, and what its attempts came to."""

    job: Job
    attempts: int = 0
    spent: int = 0
    begun: int | None = None  # steps that the running attempt began with
    reached: int = 0
    started: float = 0.0
    heard: float = 0.0

    def charge(self) -> None:
        """Count what the running attempt has trained."""
        if self.begun is not None:
            self.spent += self.reached - self.begun
        self.begun, self.reached = None, 0


class _Process:
    """A worker process and the task it is busy with."""

    def __init__(self, log: Path):
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headstart.tune.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | ONE_THREAD,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.jobs, self.answers = self.process.stdin, self.process.stdout
        self.task: _Task | None = None
        self._partial = b""

    def read_lines(self) -> list[bytes] | None:
        """Whole lines of what can be read now, without waiting for more; None at the end."""
        chunk = os.read(self.answers.fileno(), 65536)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        return lines if chunk else None

    def memory(self) -> int:
        """Resident memory in MiB; 0 where the system does not say."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)

    def end(self) -> int:
        """Kill it if it still runs; returns how it ended."""
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        self.answers.close()
        with contextlib.suppress(BrokenPipeError):
            self.jobs.close()
        return status


class LocalWorkers:
    """Processes that live as long as the search, so that packages are imported once.

    Args:
        count: processes.
        logs: folder for what they print.
        hang_seconds: a job that makes no progress for so long is given up.
        memory_megabytes: a job whose process grows beyond this is given up; None for no limit.
        attempts: processes that may die over a job before it is given up.
    """

    def __init__(
        self,
        count: int,
        logs: Path,
        hang_seconds: float = 1800.0,
        memory_megabytes: int | None = None,
        attempts: int = 2,
    ):
        self.capacity, self.logs = count, logs
        self.hang_seconds, self.memory_megabytes, self.attempts = hang_seconds, memory_megabytes, attempts
        self._waiting: deque[_Task] = deque()
        self._processes: dict[int, _Process | None] = dict.fromkeys(range(count))
        self._selector = selectors.DefaultSelector()

    def submit(self, job: Job) -> None:
        """See ``Workers.submit``."""
        self._waiting.append(_Task(job))
        self._assign()

    def wait(self) -> list[Outcome]:
        """See ``Workers.wait``."""
        outcomes: list[Outcome] = []
        while not outcomes and (self._waiting or any(p and p.task for p in self._processes.values())):
            self._assign()
            for key, _ in self._selector.select(timeout=1.0):
                outcomes += self._hear(key.data)
            for place, process in self._processes.items():
                if process is not None and process.task is not None:
                    outcomes += self._look_after(place, process, process.task)
            self._assign()
        return outcomes

    def close(self) -> None:
        """See ``Workers.close``."""
        for place in self._processes:
            self._remove(place)
        self._waiting.clear()
        self._selector.close()

    def _assign(self) -> None:
        for place, process in self._processes.items():
            if not self._waiting:
                return
            if process is None:
                process = self._processes[place] = _Process(self.logs / f"worker-{place}.log")
                self._selector.register(process.answers, selectors.EVENT_READ, place)
            if process.task is None:
                task = process.task = self._waiting.popleft()
                task.attempts += 1
                task.started = task.heard = time.monotonic()
                try:
                    process.jobs.write(task.job.to_json().encode() + b"\n")
                    process.jobs.flush()
                except BrokenPipeError:
                    continue  # it died idle; its end is heard next

    def _hear(self, place: int) -> list[Outcome]:
        """Read what a process has written: progress, an outcome, or its end."""
        process = self._processes[place]
        assert process is not None
        lines = process.read_lines()
        if lines is None:
            task, status = process.task, self._remove(place)
            return [] if task is None else self._lost(task, status)
        return [outcome for line in lines if (outcome := self._take(process, json.loads(line))) is not None]

    def _take(self, process: _Process, answer: dict[str, Any]) -> Outcome | None:
        task = process.task
        assert task is not None
        task.heard = time.monotonic()
        if "progress" in answer:
            task.reached = answer["progress"]
            task.begun = task.reached if task.begun is None else task.begun
            return None
        process.task = None
        task.charge()
        return self._outcome(task, answer["score"], answer["error"])

    def _look_after(self, place: int, process: _Process, task: _Task) -> list[Outcome]:
        """Give up a job that hangs or takes too much memory."""
        if self.memory_megabytes is not None and process.memory() > self.memory_megabytes:
            reason = f"took more than {self.memory_megabytes} MiB of memory and was ended"
        elif time.monotonic() - task.heard > self.hang_seconds:
            reason = f"made no progress for {self.hang_seconds:g} seconds and was ended"
        else:
            return []
        self._remove(place)
        task.charge()
        return [self._outcome(task, None, reason)]

    def _lost(self, task: _Task, status: int) -> list[Outcome]:
        task.charge()
        if task.attempts < self.attempts:
            self._waiting.appendleft(task)
            return []
        why = f"signal {-status}" + (", as when memory runs out" if status == -9 else "")
        ended = f"was ended by {why}" if status < 0 else f"ended with status {status}"
        return [self._outcome(task, None, f"the process {ended}, {task.attempts} times; see {self.logs}")]

    def _outcome(self, task: _Task, score: float | None, error: str | None) -> Outcome:
        seconds = time.monotonic() - task.started
        return Outcome(task.job, score, task.spent, round(seconds, 3), task.attempts, error)

    def _remove(self, place: int) -> int:
        process, self._processes[place] = self._processes[place], None
        if process is None:
            return 0
        self._selector.unregister(process.answers)
        return process.end()
