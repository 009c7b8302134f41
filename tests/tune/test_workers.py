"""Worker processes that die, hang, take too much memory or print; a search whose process is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.core.errors import UsageError
from headstart.tune.jobs import Job
from headstart.tune.local_workers import LocalWorkers
from headstart.tune.ray_workers import connect
from headstart.tune.tuning import Tuning


def job(behaviour, folder):
    objective = {"kind": "function", "name": "tuned_functions:ill_behaved"}
    return Job(behaviour, objective, ((5, {"behaviour": behaviour}),), 0, str(folder / behaviour.replace(" ", "-")))


def test_whatever_happens_to_a_process_its_job_has_one_outcome(tmp_path):
    workers = LocalWorkers(2, tmp_path / "logs", hang_seconds=4.0, memory_megabytes=220)
    names = ["works", "raises", "dies once", "dies", "hangs", "grows", "not a number"]
    try:
        for name in names:
            workers.submit(job(name, tmp_path))
        outcomes = []
        while len(outcomes) < len(names):
            outcomes += workers.wait()
        assert workers.wait() == []
    finally:
        workers.close()
    found = {outcome.job.name: outcome for outcome in outcomes}
    assert sorted(found) == sorted(names)
    assert [found[name].score for name in ("works", "dies once")] == [1.0, 1.0]
    assert [found[name].attempts for name in ("works", "dies once", "dies", "hangs")] == [1, 2, 2, 1]
    assert (found["works"].spent, found["dies once"].spent, found["dies"].spent) == (5, 5, 0)
    reasons = {"raises": "no luck", "dies": "signal 9", "hangs": "no progress", "grows": "MiB", "not a number": "nan"}
    assert {name: reason for name, reason in reasons.items() if reason not in (found[name].error or "")} == {}


SCRIPT = """
import sys
from headstart.core.domain import Real
from headstart.tune.space import Space
from headstart.tune.tuning import Execution, resume_search, tune_function
from pathlib import Path

folder, execution = sys.argv[1], Execution(workers=2, quiet=True)
if Path(folder, "tuning.json").exists():
    resume_search(folder, execution)
else:
    tune_function("tuned_functions:slow", Space({"x": Real(0, 1)}), sampler="random", trials=6, tuning_seeds=(0, 1),
                  test_seeds=(5, 6), folder=folder, execution=execution)
"""


def test_a_search_that_is_killed_goes_on_and_trains_nothing_twice(tmp_path):
    folder = tmp_path / "search"

    def start():
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], env=dict(os.environ))

    process = start()
    journal = folder / "journal.jsonl"
    while not journal.exists() or journal.read_text().count('"outcome"') < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = journal.read_text().count('"outcome"')
    assert before < 12
    assert start().wait() == 0
    found = Tuning.open(folder)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    ended = [(line["trial"], line["seed"]) for line in lines if line["event"] == "outcome"]
    assert sorted(ended) == [(trial, seed) for trial in range(6) for seed in (0, 1)]
    assert found.history.spent == found.setup.budget
    assert len(found.test_scores()) == 2
    # A job that was under way may have run twice; one whose outcome was known has not.
    marks = [len(Path(path).read_text().splitlines()) for path in folder.glob("trials/*/seed-*/marks")]
    assert len(marks) == 12
    assert sum(marks) <= 12 + 2


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1:9", "no Ray cluster answers"), ("ray://127.0.0.1:9", "no Ray cluster answers"), ("here", "HOST:PORT")],
)
def test_a_cluster_that_does_not_answer_is_found_out_at_once(address, why):
    with pytest.raises(UsageError, match=why):
        connect(address)
