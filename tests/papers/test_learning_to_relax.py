"""The experiment on solvers' parameters: its judgement and its smallest run."""

import numpy as np

from headstart.papers import learning_to_relax
from headstart.papers.proving import prove


def results(exponent=0.6, **means):
    """Three seeds with these mean costs, in both spreads of shifts."""
    costs = {"omega 1": 300, "fixed": 100, "Tsallis-INF": 110, "binned": 105, "ChebCB": 60, "optimal": 55} | means
    places = [300, 1000, 3000]
    regret = {"systems": places, "iterations": [float(place**exponent) for place in places]}

    def one(seed):
        arms = {arm: {"mean": cost + seed, "last quarter": cost + seed} for arm, cost in costs.items()}
        return {"arms": arms, "regret": regret}

    return [{variance: one(seed) for variance in learning_to_relax.VARIANCES} for seed in range(3)]


def holds(**changes):
    return [verdict.holds for verdict in learning_to_relax.judge(results(**changes))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True, True, True, True]
    assert holds(ChebCB=120, optimal=119) == [False, True, True, True]
    assert holds(**{"Tsallis-INF": 130}) == [True, False, True, True]
    assert holds(optimal=40) == [True, True, False, True]
    assert holds(exponent=1.0) == [True, True, True, False]


def test_quick_run():
    proof = prove("learning-to-relax", quick=True, show_progress=False)
    assert len(proof.table) == len(learning_to_relax.ARMS)
    rows = {row["arm"]: row for row in proof.table}
    assert all(np.isfinite(list(row.values())[1:]).all() for row in proof.table)
    best, first = rows["optimal omega of each system"], rows["omega = 1"]
    assert best["high variance, mean"] < first["high variance, mean"]
