from pathlib import Path

import pytest

from headstart.core.domain import Real
from headstart.tune import tuning
from headstart.tune.jobs import Job, Outcome, carry_out
from headstart.tune.space import Space

SPACE = Space({"x": Real(0.0, 1.0), "y": Real(1e-4, 1.0, "log")})


class InThisProcess:
    """Workers that are no processes: jobs are done in turn, the latest first; stops after so many."""

    capacity = 2

    def __init__(self, stop_after=None):
        self.jobs, self.left = [], stop_after

    def submit(self, job):
        self.jobs.append(Job.from_json(job.to_json()))

    def wait(self):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - 1
        job = self.jobs.pop()
        answer = carry_out(job)
        spent = answer["reached"] - answer["begun"]
        return [Outcome(job, answer["score"], spent, answer["seconds"], 1, answer["error"])]

    def close(self):
        self.jobs.clear()


@pytest.fixture(autouse=True)
def functions(monkeypatch):
    """The functions beside the tests, where worker processes find them too."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", here)
    monkeypatch.syspath_prepend(here)


@pytest.fixture
def in_this_process(monkeypatch):
    """Searches train in this process; called with a number, the next search is interrupted after so many jobs."""
    monkeypatch.setattr(tuning, "_workers", lambda folder, execution: InThisProcess())
    return lambda count: monkeypatch.setattr(tuning, "_workers", lambda folder, execution: InThisProcess(count))
