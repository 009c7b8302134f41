"""The experiment of sharpening: its judgement, its smallest run."""

import numpy as np

from headstart.papers import sharpening
from tests.papers.judging import quick


def results(inside=0.97, agree=0.95, short=0.7, gain=0.4, error=0.0):
    """Two equal seeds."""
    bits = {
        str(size): {sharpening.OURS: 0.1, "regression": 0.1 + gain, "closed": 0.1 + gain + error}
        for size in sharpening.BITS
    }
    bits["8"] |= {sharpening.OURS: short}
    law = {"inside": [1.0, inside, 1.0, 1.0, 1.0], "agree": [0.2, agree, 1.0, 1.0, 1.0]}
    return [{"law": law, "bits": bits}] * 2


def holds(**changes):
    return [verdict.holds for verdict in sharpening.judge(results(**changes))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True] * 5
    assert holds(inside=0.9) == [False, True, True, True, True]
    assert holds(agree=0.8) == [True, False, True, True, True]
    assert holds(short=0.4) == [True, True, False, True, True]
    assert holds(gain=0.2) == [True, True, True, False, True]
    assert holds(error=1e-5) == [True, True, True, True, False]


def test_a_response_is_picked_as_often_as_it_is_drawn_if_it_is_the_likeliest():
    base = np.array([0.1, 0.6, 0.3])
    rate = sharpening.pick_rate(base, 2, 20_000, np.random.default_rng(0))
    assert abs(rate - (1 - 0.4**2)) < 0.015


def test_quick_run(tmp_path):
    rows = quick(sharpening.PAPER, tmp_path)
    law, taught = rows[: len(sharpening.SIZES)], rows[len(sharpening.SIZES) :]
    assert all(abs(row["likeliest picked"] - row["predicted"]) < 0.08 for row in law)
    assert all(abs(row["regression"] - row["closed"]) < 1e-6 for row in taught)
