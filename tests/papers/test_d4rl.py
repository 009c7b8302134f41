"""The D4RL row: its parts run, and its verdicts are those of the tests that it states."""

import copy
import json

import numpy as np
import pytest

from headstart.evaluate.scores import normalized_score, reference, returns_of_score
from headstart.papers.d4rl import METHODS, PAPER, REPLAY, STITCHING, WORLDS


def results(**changed):
    """Five seeds on which all claims hold, with the scores of some datasets changed."""
    scores = {name: {"data": 50.0} | dict.fromkeys(METHODS, 60.0) for name in WORLDS}
    scores[STITCHING] |= {"BC": 5.0, "IQL": 90.0, "CQL": 80.0, "TD3+BC": 2.0, "10% BC": 95.0}
    scores[REPLAY] |= {"BC": 80.0, "IQL": 90.0, "CQL": 20.0, "TD3+BC": 70.0, "10% BC": 50.0}
    for name, new in changed.items():
        scores[name.replace("_", "-")] |= new
    noise = np.random.default_rng(0)
    seeds = []
    for _ in range(5):
        seed = copy.deepcopy(scores)
        for found in seed.values():
            for label in found:
                found[label] += noise.normal()
        seeds.append(seed)
    return seeds


def verdicts(**changed):
    return {verdict.claim: verdict.holds for verdict in PAPER.verdicts(results(**changed))}


def test_the_smallest_run_goes_through_every_part(tmp_path):
    found = [json.loads(json.dumps(PAPER.run(0, True)))]
    assert set(found[0]) <= set(WORLDS)
    assert [verdict.claim for verdict in PAPER.verdicts(found)] == ["stitching", "experts", "rankings"]
    assert [row["dataset"] for row in PAPER.table(found)] == list(found[0])
    PAPER.draw(found, tmp_path / "figure.svg")
    assert "maze-medium-undirected" in (tmp_path / "figure.svg").read_text()


def test_all_claims_can_hold(tmp_path):
    assert all(verdicts().values())
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert len(PAPER.table(results())) == 13


@pytest.mark.parametrize(
    ("claim", "dataset", "scores"),
    [
        ("stitching", "maze_medium_undirected", {"IQL": 34.0, "CQL": 20.0}),
        ("experts", "pendulum_expert", {"BC": 72.0}),
        ("experts", "maze_large_expert", {"TD3+BC": 72.0}),
        ("rankings", "pendulum_medium_replay", {"BC": 1.0, "TD3+BC": 2.0, "CQL": 90.0, "IQL": 95.0, "10% BC": 99.0}),
    ],
)
def test_what_breaks_each_claim(claim, dataset, scores):
    base = {
        f"maze_{maze}_undirected": {"BC": 1, "TD3+BC": 2, "CQL": 3, "IQL": 4, "10% BC": 5}
        for maze in ("umaze", "large")
    }
    changed = (base if claim == "rankings" else {}) | {dataset: scores}
    if claim == "rankings":
        changed["maze_medium_undirected"] = {"BC": 1, "TD3+BC": 12, "CQL": 63, "IQL": 74, "10% BC": 85}
    assert [name for name, holds in verdicts(**changed).items() if not holds] == [claim]


def test_a_worse_method_is_no_reason_on_experts_data():
    assert verdicts(maze_umaze_expert={"TD3+BC": 0.0, "CQL": 10.0})["experts"]


@pytest.mark.parametrize("name", WORLDS)
def test_scores_of_the_references(name):
    world = WORLDS[name].name
    low, high = reference(world).low, reference(world).high
    assert normalized_score(world, [low, high]).tolist() == [0.0, 100.0]
    returns = np.linspace(low - 1, high + 1, 5)
    np.testing.assert_allclose(returns_of_score(world, normalized_score(world, returns)), returns, rtol=1e-12)
