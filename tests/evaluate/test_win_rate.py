"""Win rates and their intervals; the length-controlled one takes out what length alone explains."""

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.evaluate.win_rate import length_controlled_win_rate, win_rate


def test_ties_count_half_and_the_interval_holds_the_rate() -> None:
    found = win_rate([1, 1, 0.5, 0] * 25)
    assert found.estimate == 0.625
    assert found.low < 0.625 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std([1, 1, 0.5, 0]) / 10, rel=0.1)
    assert np.isnan(win_rate([1.0]).low)


def test_answers_to_one_prompt_count_together() -> None:
    assert win_rate([1, 1, 1, 0], groups=[0, 0, 0, 1]).estimate == 0.5
    spread = win_rate([1, 0] * 50).high - win_rate([1, 0] * 50).low
    together = win_rate([1, 0] * 50, groups=[i // 10 for i in range(100)])
    assert together.high - together.low < spread, "equal prompts carry no spread"


def test_coverage_of_the_interval() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        found = win_rate(rng.random(100) < 0.3, n=500, seed=trial)
        hits += found.low <= 0.3 <= found.high
    assert 0.9 < hits / 200 <= 0.99


def judged(rng, advantage, taste_for_length, longer, count=4000):
    lengths, others = rng.normal(100 + longer, 20, count), rng.normal(100, 20, count)
    difference = lengths - others
    logits = advantage + taste_for_length * np.tanh(difference / difference.std())
    return (rng.random(count) < 1 / (1 + np.exp(-logits))).astype(float), lengths, others


def test_length_is_taken_out() -> None:
    rng = np.random.default_rng(1)
    preferences, lengths, others = judged(rng, advantage=0.0, taste_for_length=2.0, longer=40)
    assert win_rate(preferences, n=100).estimate > 0.7
    found = length_controlled_win_rate(preferences, lengths, others, n=200)
    assert found.estimate == pytest.approx(0.5, abs=0.05)
    assert found.low < 0.5 < found.high
    preferences, lengths, others = judged(rng, advantage=1.0, taste_for_length=2.0, longer=-40)
    found = length_controlled_win_rate(preferences, lengths, others, n=200)
    assert found.estimate == pytest.approx(1 / (1 + np.exp(-1)), abs=0.05)


def test_the_regression_is_the_penalised_optimum() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(2)
    preferences, lengths, others = judged(rng, 0.5, 1.0, 10, count=60)
    difference = lengths - others
    longer = np.tanh(difference / difference.std())

    def loss(x):
        logits = x[0] + x[1] * longer
        return np.sum(np.logaddexp(0, logits) - preferences * logits) + 0.5 * x[1] ** 2 + 0.5e-6 * 60 * x[0] ** 2

    best = minimize(loss, [0.0, 0.0], tol=1e-12).x
    found = length_controlled_win_rate(preferences, lengths, others, n=10)
    assert found.estimate == pytest.approx(1 / (1 + np.exp(-best[0])), abs=1e-5)


def test_the_ends_of_the_scale() -> None:
    same = length_controlled_win_rate([0.5] * 10, [5] * 10, [5] * 10, n=20)
    assert same == pytest.approx((0.5, 0.5, 0.5))
    assert length_controlled_win_rate([1.0] * 20, range(20), [3] * 20, n=20).estimate > 0.99
    explained = length_controlled_win_rate([1.0] * 10 + [0.0] * 10, [9] * 10 + [1] * 10, [5] * 20, n=50)
    assert explained.estimate == pytest.approx(0.5, abs=1e-6)


def test_bad_input_is_refused() -> None:
    for preferences in ([], [1.5], [float("nan")]):
        with pytest.raises(DataError, match="all from 0 to 1"):
            win_rate(preferences)
    with pytest.raises(DataError, match="expected one each"):
        length_controlled_win_rate([1.0, 0.0], [1.0], [2.0])
    with pytest.raises(DataError, match="2 preferences and 1 groups"):
        win_rate([1.0, 0.0], groups=[0])
