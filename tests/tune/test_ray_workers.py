"""A Ray cluster of several nodes on this machine, one of which is lost."""

import json
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from headstart.core.domain import Real
from headstart.tune.ray_workers import RayWorkers
from headstart.tune.space import Space
from headstart.tune.tuning import Execution, tune_function

NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}


@pytest.fixture
def cluster():
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **NODE})
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_search_survives_the_loss_of_a_node(tmp_path, cluster, monkeypatch):
    nodes = [cluster.add_node(num_cpus=1, **NODE) for _ in range(3)]
    outcomes, wait = [], RayWorkers.wait

    def wait_and_lose(workers):
        found = wait(workers)
        outcomes.extend(found)
        if len(outcomes) >= 3 and len(nodes) == 3:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        return found

    monkeypatch.setattr(RayWorkers, "wait", wait_and_lose)
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
    assert len(nodes) == 2
    lines = [json.loads(line) for line in Path(found.folder, "journal.jsonl").read_text().splitlines()]
    ended = [(line["trial"], line["seed"]) for line in lines if line["event"] == "outcome"]
    assert sorted(ended) == [(trial, seed) for trial in range(6) for seed in (0, 1)]
    assert all(line["error"] is None for line in lines if "error" in line)
    assert found.history.spent == found.setup.budget
    assert len(found.test_scores()) == 2
