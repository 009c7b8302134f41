"""The dataset-perspective row: its parts run, limits hold, and its verdicts are those of the tests that it states."""

import json

import numpy as np
import pytest

from headstart.data.describe import describe
from headstart.data.experience import concatenate
from headstart.papers.dataset_perspective import GATED, KINDS, METHODS, PAPER
from headstart.papers.offline import record_dataset

QUALITY = {"random": 0.0, "mixed": 0.3, "replay": 0.4, "noisy": 0.7, "expert": 1.0}
COVERAGE = {"random": 0.3, "mixed": 0.4, "replay": 1.0, "noisy": 0.8, "expert": 0.2}
BEST = {
    "BC": {"random": 0, "mixed": 20, "replay": 30, "noisy": 70, "expert": 100},
    "DQN": {"random": 0, "mixed": 90, "replay": 70, "noisy": 10, "expert": 5},
    "BCQ": {"random": 0, "mixed": 30, "replay": 0, "noisy": 95, "expert": 70},
    "CQL": {"random": 0, "mixed": 40, "replay": 90, "noisy": 60, "expert": 97},
}


def results(**changed):
    noise = np.random.default_rng(0)
    best = {label: BEST[label] | changed.get(label, {}) for label in METHODS}
    seeds = []
    for _ in range(5):
        found = {}
        for kind in KINDS:
            reached = {label: best[label][kind] + noise.normal() for label in METHODS}
            found[kind] = {"TQ": QUALITY[kind], "SACo": COVERAGE[kind], "best": reached, "last": reached}
        seeds.append({GATED.name: found})
    return seeds


def verdicts(**changed):
    return {verdict.claim: verdict for verdict in PAPER.verdicts(results(**changed))}


@pytest.fixture(scope="module")
def quick():
    return [json.loads(json.dumps(PAPER.run(0, True)))]


def test_the_smallest_run_goes_through_every_part(quick, tmp_path):
    assert len(PAPER.verdicts(quick)) == len(PAPER.claims)
    assert [row["dataset"] for row in PAPER.table(quick)] == [f"mountain-car-{kind}" for kind in KINDS]
    PAPER.draw(quick, tmp_path / "figure.svg")
    assert "trajectory quality" in (tmp_path / "figure.svg").read_text()


def test_limits_of_both_measures(quick):
    found = quick[0][GATED.name]
    assert found["random"]["TQ"] == 0.0
    assert found["expert"]["TQ"] == 1.0
    assert found["replay"]["SACo"] == 1.0
    assert all(found[kind]["SACo"] > 0 for kind in KINDS)


def test_a_dataset_twice_over_is_the_same_to_both():
    once, reference = (record_dataset(f"mountain-car-{kind}", 0, 2000) for kind in ("noisy", "replay"))
    first, second = (
        describe(data, reference, expert_return=-120, random_return=-200) for data in (once, concatenate([once, once]))
    )
    assert (first.tq, first.saco) == (second.tq, second.saco)


def test_all_claims_can_hold(tmp_path):
    found = verdicts()
    assert all(verdict.holds for verdict in found.values())
    expected = np.corrcoef([QUALITY[k] for k in KINDS], [BEST["BC"][k] for k in KINDS])[0, 1]
    assert found["imitation"].numbers["correlation"] == pytest.approx(expected, abs=0.01)
    assert "rank correlation of DQN with SACo given TQ" in found["coverage"].numbers
    PAPER.draw(results(), tmp_path / "figure.svg")


@pytest.mark.parametrize(
    ("claim", "changed"),
    [
        ("imitation", {"BC": {"mixed": 99, "replay": 0}}),
        ("narrow-data", {"DQN": {"expert": 52}}),
        ("coverage", {"DQN": {"mixed": 0, "replay": 0}}),
        ("constraint", {"CQL": {"expert": 50}}),
    ],
)
def test_what_breaks_each_claim(claim, changed):
    assert [name for name, verdict in verdicts(**changed).items() if not verdict.holds] == [claim]
