"""One seed of one piece of work, as it travels to the process that carries it out, and what comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from headstart.core.errors import HeadstartError
from headstart.tune.objective import objective_from_json
from headstart.tune.searcher import Schedule, schedule_from_json


@dataclass(frozen=True)
class Job:
    """Train one seed through a schedule.

    Attributes:
        name: tells it from others: what of, up to where, and the seed.
        objective: what is trained, as JSON.
        schedule: how.
        seed: the seed.
        folder: where its state is.
    """

    name: str
    objective: dict[str, Any]
    schedule: Schedule
    seed: int
    folder: str

    def to_json(self) -> str:
        """The job on one line."""
        return json.dumps(vars(self) | {"schedule": [list(stretch) for stretch in self.schedule]})

    @classmethod
    def from_json(cls, line: str) -> Job:
        """The job that ``to_json`` wrote."""
        record = json.loads(line)
        return cls(**record | {"schedule": schedule_from_json(record["schedule"])})


class Outcome(NamedTuple):
    """What came of a job.

    Attributes:
        job: the job.
        score: larger is better; None where it failed.
        spent: steps trained for it, by all attempts together.
        seconds: wall time of the attempt that ended it.
        attempts: how many processes it took.
        error: why it failed, or None.
    """

    job: Job
    score: float | None
    spent: int
    seconds: float
    attempts: int = 1
    error: str | None = None


class Workers(Protocol):
    """Carries jobs out. A job that is lost with its process is tried again; one that fails is not.

    Attributes:
        capacity: jobs at a time.
    """

    capacity: int

    def submit(self, job: Job) -> None:
        """Take a job on."""
        ...

    def wait(self) -> list[Outcome]:
        """Outcomes of jobs that have ended since; waits for one."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...


def carry_out(job: Job, watch: Callable[[int], None] = lambda steps: None) -> dict[str, Any]:
    """Do a job in this process.

    Args:
        job: the job.
        watch: told the steps that its state has been trained for, first of all those it begins with.

    Returns:
        ``score`` (or None), ``error`` (or None), ``seconds``, ``begun`` and ``reached`` (steps).
    """
    started, folder, seen = time.monotonic(), Path(job.folder), []

    def look(steps: int) -> None:
        seen.append(steps)
        watch(steps)

    score, error = None, None
    try:
        score = objective_from_json(job.objective).train(job.schedule, job.seed, folder, look)
    except HeadstartError as problem:
        error = str(problem)
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    steps = {"begun": seen[0] if seen else 0, "reached": max(seen, default=0)}
    return {"score": score, "error": error, "seconds": round(time.monotonic() - started, 3), **steps}
