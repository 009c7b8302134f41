"""The row on tuning: replays on made-up tables, its smallest run, and its verdicts on made-up numbers."""

import json

import numpy as np
import pytest

from headstart.papers import autorl
from headstart.papers.autorl import FULL, HALVING, LIVE, PAPER, PARTS, QUICK
from headstart.tune.tabulated import cost, replay

CLAIMS = [claim.name for claim in PAPER.claims]


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(autorl, "REPLICATES", 60)
    monkeypatch.setattr(autorl, "REPETITIONS", 100)
    monkeypatch.setattr(autorl.searches, "__defaults__", (60,))


def results(noise=60.0, default=150.0, early=1.0, populations=100.0):
    """Scores by how good a configuration is, with noise by seed; rungs agree with the end as much as ``early`` says."""
    generator = np.random.default_rng(0)
    good = generator.uniform(0, 400, FULL.configurations)
    good[0] = default
    parts = []
    for _ in range(PARTS):
        scores = []
        for share in (early, early, 1.0):
            apart = generator.uniform(0, 400, (FULL.configurations, FULL.seeds))
            truth = share * good[:, None] + (1 - share) * apart
            scores.append(truth + generator.normal(0, noise, (FULL.configurations, FULL.seeds)))
        base = generator.normal(150, 5, FULL.live_test)
        live = {name: (base + populations + generator.normal(0, 5, FULL.live_test)).tolist() for name in LIVE}
        live |= {f"{name}, tuning": [300.0] for name in LIVE} | {"default": base.tolist()}
        parts.append({"table": np.stack(scores, -1).tolist(), "live": live})
    return parts


def failing(**changed):
    return [verdict.claim for verdict in PAPER.verdicts(results(**changed)) if not verdict.holds]


def test_all_claims_can_hold(tmp_path):
    assert failing() == []
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert len(PAPER.table(results())) == 4 + 2 + 3
    json.dumps(PAPER.table(results()), allow_nan=False)


@pytest.mark.parametrize(
    ("changed", "claims"),
    [
        ({"noise": 0.0}, ["overfits", "more-seeds"]),
        ({"default": 395.0}, ["beats-default"]),
        ({"early": 0.0}, ["multi-fidelity"]),
        ({"populations": 0.0}, ["populations"]),
    ],
)
def test_what_breaks_each_claim(changed, claims):
    assert failing(**changed) == claims


def test_replays_keep_seeds_apart_and_to_their_budget():
    generator = np.random.default_rng(1)
    table = generator.normal(size=(20, 10, 3))
    outcome = replay(table, (8,), 3, 500, generator)
    # Scores that are nothing but noise: what is chosen is worth nothing on the other seeds.
    assert outcome.tuning.mean() > 0.5
    assert abs(outcome.test.mean()) < 0.25
    whole = replay(table, (20,), 9, 2000, generator)
    left = 10 * table[whole.chosen, :, -1].mean(1) - 9 * whole.tuning
    np.testing.assert_allclose(whole.test, left, atol=1e-12)
    fractions = [rung / FULL.rungs[-1] for rung in FULL.rungs]
    assert cost((16,), [1.0]) == 16
    assert cost((9, 3, 1), [1 / 9, 1 / 3, 1.0]) == pytest.approx(9 / 9 + 3 * (1 / 3 - 1 / 9) + 2 / 3)
    assert cost(HALVING, fractions) <= 16


def test_replayed_halving_keeps_the_best_of_each_rung():
    table = np.zeros((6, 4, 2))
    table[:, :, 0], table[:, :, 1] = np.arange(6)[:, None], np.array([0, 0, 0, 9, 5, 1])[:, None]
    outcome = replay(table, (6, 2), 2, 50, np.random.default_rng(0))
    assert set(outcome.chosen.tolist()) == {4}  # the best at the end is not among the best two before
    assert set(outcome.test.tolist()) == {5.0}


@pytest.mark.slow
def test_the_smallest_run_goes_through_every_part(tmp_path):
    found = [json.loads(json.dumps(PAPER.run(0, True)))]
    assert [verdict.claim for verdict in PAPER.verdicts(found)] == CLAIMS
    PAPER.draw(found, tmp_path / "figure.svg")
    assert np.array(found[0]["table"]).shape == (QUICK.configurations, QUICK.seeds, 3)
