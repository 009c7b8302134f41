"""The experiment of sharpening: its judgement, its smallest run."""

import numpy as np

from headstart.papers import sharpening
from tests.papers.judging import quick


def results(inside=0.97, agree=0.95, short=0.7, gain=0.4, error=0.0, greedy=0.4, sampled=0.6, last=-0.9, taught=0.9):
    """Two equal seeds, and one without the language model."""
    bits = {
        str(size): {sharpening.OURS: 0.1, "regression": 0.1 + gain, "closed": 0.1 + gain + error}
        for size in sharpening.BITS
    }
    bits["8"] |= {sharpening.OURS: short}
    law = {"inside": [1.0, inside, 1.0, 1.0, 1.0], "agree": [0.2, agree, 1.0, 1.0, 1.0]}
    words = {
        "greedy": greedy,
        "sampled": sampled,
        "taught": taught,
        "chosen": [0.6, 0.7, 0.9, 0.95, 0.97],
        "likelihood": [-2.0, -1.5, -1.2, -1.0, last],
    }
    return [{"law": law, "bits": bits, "language": words}] * 2 + [{"law": law, "bits": bits}]


def holds(**changes):
    return [verdict.holds for verdict in sharpening.judge(results(**changes))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True] * 8
    changes = (
        *({"inside": 0.9}, {"agree": 0.8}, {"short": 0.4}, {"gain": 0.2}, {"error": 1e-5}),
        *({"greedy": 0.76}, {"last": -1.1}, {"taught": 0.45}),
    )
    for place, change in enumerate(changes):
        assert holds(**change) == [claim != place for claim in range(8)]
    assert not holds(sampled=0.86)[5]


def test_a_response_is_picked_as_often_as_it_is_drawn_if_it_is_the_likeliest():
    base = np.array([0.1, 0.6, 0.3])
    rate = sharpening.pick_rate(base, 2, 20_000, np.random.default_rng(0))
    assert abs(rate - (1 - 0.4**2)) < 0.015


def test_quick_run(tmp_path):
    rows = quick(sharpening.PAPER, tmp_path)
    law, taught = rows[: len(sharpening.SIZES)], rows[len(sharpening.SIZES) :][:1]
    words = rows[len(law) + 1 :]
    assert words[0]["what"] == "language model, greedy"
    assert all(0 <= row["right"] <= 1 for row in words)
    assert all(abs(row["likeliest picked"] - row["predicted"]) < 0.08 for row in law)
    assert all(abs(row["regression"] - row["closed"]) < 1e-6 for row in taught)
