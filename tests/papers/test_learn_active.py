"""The experiment on asking: its judgement and its smallest run."""

import numpy as np

from headstart.papers import learn_active
from headstart.papers.proving import prove


def results(measured=0.02, network=0.04, animals=-0.05, **gaps):
    """Three seeds with these largest gaps."""
    gap = dict.fromkeys(learn_active.ARMS, 0.15) | {"robust": 0.02} | gaps

    def one(seed):
        noise = 0.001 * seed
        certificate = {"lower": 0.015, "measured": measured, "upper": 0.025, "network": network}
        arms = {arm: {"gap": value + noise} for arm, value in gap.items()}
        pair = {"robust, hardest": 0.3 + animals + noise, "soft bisection, hardest": 0.3}
        return {"thresholds": {"arms": arms, "certificate": certificate}, "animals": pair}

    return [one(seed) for seed in range(3)]


def failing(**changes):
    return [verdict.claim for verdict in learn_active.judge(results(**changes)) if not verdict.holds]


def test_each_claim_is_judged_by_its_own_numbers():
    assert failing() == []
    assert failing(robust=0.06) == ["small-gap"]
    assert failing(uniform=0.03) == ["half-of-rules"]
    assert failing(**{"specialist 10": 0.01}) == ["specialists"]
    assert failing(measured=0.03) == ["certificate"]
    assert failing(measured=0.01) == ["certificate"]
    assert failing(network=0.07) == ["network"]
    assert failing(animals=0.01) == ["hard-animals"]


def test_quick_run():
    proof = prove("learn-active", quick=True, show_progress=False)
    rows = {row["policy"]: row for row in proof.table}
    assert list(rows) == list(learn_active.ARMS)
    assert all(np.isfinite(list(row.values())[2:]).all() for row in proof.table)
    assert rows["robust"]["largest gap"] <= rows["uniform"]["largest gap"]
