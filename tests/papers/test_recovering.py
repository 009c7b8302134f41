"""The row on recovering rewards: its smallest run, and its verdicts on made-up numbers."""

import json

import numpy as np
import pytest

from headstart.papers.recovering import CAPACITIES, FAMILIES, HORIZONS, OTHERS, PAPER

CLAIMS = [claim.name for claim in PAPER.claims]


def results(plan=1.0, myopic=0.84, off=0.0, excess=0, growth=0.5, blind=900.0):
    """Four seeds: plans that lose K^(-plan/2), regrets that grow as T^growth."""
    seeds = []
    for seed in range(4):
        noise = np.random.default_rng(seed)
        lost = [0.3 * k ** (-plan / 2) * np.exp(0.02 * noise.normal()) for k in CAPACITIES]
        cells = [
            {"paper": 1 - gap, "restricted": 1 - gap / 2, "myopic": myopic, "off": off, "excess": excess}
            for gap in lost
        ]
        regrets = [5.0 * horizon**growth * np.exp(0.02 * noise.normal()) for horizon in HORIZONS]
        seeds.append(
            {
                "capacities": list(CAPACITIES),
                "offline": dict.fromkeys(FAMILIES, cells),
                "horizons": list(HORIZONS),
                "growth": {"restricted": regrets, "paper": regrets},
                "compared": {"UCB with plans": regrets[2]} | dict.fromkeys(OTHERS, blind + noise.normal()),
            }
        )
    return seeds


def failing(**changed):
    return [verdict.claim for verdict in PAPER.verdicts(results(**changed)) if not verdict.holds]


def test_all_claims_can_hold(tmp_path):
    assert failing() == []
    json.dumps([verdict.__dict__ for verdict in PAPER.verdicts(results())], allow_nan=False)
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert len(PAPER.table(results())) == 9 + 2 + 3


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"plan": 0.6}, "near-optimal"),
        ({"myopic": 0.99}, "myopic"),
        ({"off": 1e-6}, "schedules"),
        ({"excess": 1}, "schedules"),
        ({"growth": 0.7, "blind": 1e5}, "regret-rate"),
        ({"blind": 300.0}, "recovery-blind"),
    ],
)
def test_what_breaks_each_claim(changed, claim):
    assert failing(**changed) == [claim]


def test_the_smallest_run_goes_through_every_part(tmp_path):
    found = [json.loads(json.dumps(PAPER.run(0, True)))]
    assert [verdict.claim for verdict in PAPER.verdicts(found)] == CLAIMS
    assert PAPER.verdicts(found)[2].holds
    PAPER.draw(found, tmp_path / "figure.svg")
    assert "K=8" in PAPER.table(found)[0]
