"""Jobs on a Ray cluster. The search's folder has to be on a file system that all nodes share."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from headstart.control.workers import ONE_THREAD
from headstart.core.errors import UsageError
from headstart.tune.jobs import Job, Outcome, carry_out

BEGUN = ".begun"
"""File in a job's folder that tells when its task last began."""


def connect(address: str) -> None:
    """Join a cluster.

    Args:
        address: HOST:PORT of its head, "auto" for the cluster of this machine, or ray://HOST:PORT.

    Raises:
        UsageError: Ray is not installed, or nothing answers there.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed; pip install 'headstart[ray]', or leave out --ray to use this machine")
    place = address.removeprefix("ray://")
    if place != "auto":
        host, separator, port = place.rpartition(":")
        if not separator or not port.isdigit():
            raise UsageError(f"Ray address {address!r}: expected HOST:PORT, ray://HOST:PORT or auto")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise UsageError(
                f"no Ray cluster answers at {address} ({error}); start one with `ray start --head`, or give its address"
            ) from error
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
    except Exception as error:
        raise UsageError(f"cannot join the Ray cluster at {address}: {error}") from error


def _carry_out(line: str) -> dict[str, Any]:
    """A job on a node."""
    os.environ.update(ONE_THREAD)
    job = Job.from_json(line)
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BEGUN).touch()
    return carry_out(job)


class RayWorkers:
    """One Ray task a job, with one processor each.

    Ray runs a task again whose node or process was lost; it goes on from the seed's last checkpoint.

    Args:
        address: of the cluster; see ``connect``.
        count: jobs at a time; None for one on each processor of the cluster.
        hang_seconds: a job that has begun and whose folder is not written to for so long is given up.
        attempts: how often a task may be lost before its job is given up.

    Raises:
        UsageError: nothing answers at the address.
    """

    def __init__(self, address: str, count: int | None = None, hang_seconds: float = 1800.0, attempts: int = 4):
        connect(address)
        import ray

        self._ray, self.hang_seconds = ray, hang_seconds
        self.capacity = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._run = ray.remote(num_cpus=1, max_retries=attempts - 1)(_carry_out)
        self._running: dict[Any, tuple[Job, float]] = {}

    def submit(self, job: Job) -> None:
        """See ``Workers.submit``."""
        (Path(job.folder) / BEGUN).unlink(missing_ok=True)
        self._running[self._run.remote(job.to_json())] = (job, time.time())

    def wait(self) -> list[Outcome]:
        """See ``Workers.wait``."""
        outcomes: list[Outcome] = []
        while self._running and not outcomes:
            ended, going = self._ray.wait(list(self._running), num_returns=1, timeout=1.0)
            outcomes += [self._ended(reference) for reference in ended]
            outcomes += [outcome for reference in going if (outcome := self._given_up(reference)) is not None]
        return outcomes

    def close(self) -> None:
        """See ``Workers.close``. The cluster itself goes on."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()

    def _ended(self, reference: Any) -> Outcome:
        job, begun = self._running.pop(reference)
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Outcome(job, None, 0, round(time.time() - begun, 3), error=f"lost on the cluster: {error}")
        spent = answer["reached"] - answer["begun"]
        return Outcome(job, answer["score"], spent, answer["seconds"], error=answer["error"])

    def _given_up(self, reference: Any) -> Outcome | None:
        job, begun = self._running[reference]
        folder = Path(job.folder)
        if not (folder / BEGUN).exists():
            return None  # waits for a processor, as after the loss of a node
        heard = max(_modified(path) for path in [folder / BEGUN, *folder.glob("*.json")])
        if time.time() - heard < self.hang_seconds:
            return None
        del self._running[reference]
        self._ray.cancel(reference, force=True)
        reason = f"made no progress for {self.hang_seconds:g} seconds and was ended"
        return Outcome(job, None, 0, round(time.time() - begun, 3), error=reason)


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
