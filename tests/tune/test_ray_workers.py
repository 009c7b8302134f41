"""A Ray cluster of three nodes on this machine, one of which is lost in the middle of its work."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.cluster_utils import Cluster

from headstart.core.domain import Real
from headstart.tune.jobs import Job
from headstart.tune.ray_workers import BEGUN, RayWorkers
from headstart.tune.space import Space
from headstart.tune.tuning import Execution, tune_function

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_log_monitor": False}
FOUND_DEAD_SOON = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 10_000,  # a live node on a busy machine may take its time to answer
    "health_check_failure_threshold": 2,
}


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(
        initialize_head=True, head_node_args={"include_dashboard": False, "_system_config": FOUND_DEAD_SOON, **NODE}
    )
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_a_search_survives_the_loss_of_a_node(tmp_path, cluster, monkeypatch):
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
    outcomes, wait = [], RayWorkers.wait

    def lose_and_wait(workers):
        if len(outcomes) >= 3 and len(nodes) == 2:
            assert len(workers._running) == 3  # one on each node
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        found = wait(workers)
        outcomes.extend(found)
        return found

    monkeypatch.setattr(RayWorkers, "wait", lose_and_wait)
    found = tune_function(
        "tuned_functions:slow",
        Space({"x": Real(0, 1)}),
        sampler="random",
        trials=6,
        tuning_seeds=(0, 1),
        test_seeds=(5, 6),
        folder=tmp_path / "search",
        execution=Execution(ray=cluster.address, quiet=True),
    )
    assert len(nodes) == 1
    lines = [json.loads(line) for line in Path(found.folder, "journal.jsonl").read_text().splitlines()]
    ended = [(line["trial"], line["seed"]) for line in lines if line["event"] == "outcome"]
    assert sorted(ended) == [(trial, seed) for trial in range(6) for seed in (0, 1)]
    assert all(line["error"] is None for line in lines if "error" in line)
    assert found.history.spent == found.setup.budget
    assert len(found.test_scores()) == 2


def test_a_job_is_given_up_when_it_is_silent_and_not_while_it_waits_for_a_processor(tmp_path):
    cancelled = []
    workers = object.__new__(RayWorkers)
    workers._ray = SimpleNamespace(
        cancel=lambda reference, force: cancelled.append(reference),
        wait=lambda references, num_returns, timeout: ([], references),
    )
    workers._run, workers._running = SimpleNamespace(remote=lambda line: Job.from_json(line).name), {}
    workers.hang_seconds = 100.0
    for name in ("waits", "works", "hangs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / BEGUN).touch()  # of an earlier process
        workers.submit(Job(name, {"kind": "function", "name": "tuned_functions:slow"}, (), 0, str(tmp_path / name)))
    long_ago = time.time() - 1000.0
    for name in ("works", "hangs"):
        (tmp_path / name / BEGUN).touch()
        os.utime(tmp_path / name / BEGUN, (long_ago, long_ago))
    (tmp_path / "works" / "status.json").write_text("{}")
    (outcome,) = workers.wait()
    assert (outcome.job.name, cancelled) == ("hangs", ["hangs"])
    assert "no progress for 100 seconds" in (outcome.error or "")
    assert sorted(workers._running) == ["waits", "works"]
