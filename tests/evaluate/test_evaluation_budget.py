"""The evaluation budget: what a bandit over trained policies finds, and how soon."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.evaluate.evaluation_budget import score_by_budget


def test_the_first_episode_is_spent_on_a_random_policy_and_many_find_the_best():
    random = np.random.default_rng(0)
    returns = np.linspace(0, 100, 10)[:, None] + random.normal(0, 5, (10, 50))
    curve = score_by_budget(returns, budget=300, trials=400)
    assert curve.episodes[[0, -1]].tolist() == [1, 300]
    assert curve.score[0] == pytest.approx(returns.mean(), abs=5)
    assert curve.score[-1] == pytest.approx(returns.mean(1).max(), abs=0.5)
    assert np.all(curve.low <= curve.score)
    assert np.all(curve.score <= curve.high)


def test_without_noise_one_look_at_each_is_enough():
    returns = np.repeat([[3.0], [1.0], [2.0]], 4, axis=1)
    curve = score_by_budget(returns, budget=5, trials=50)
    np.testing.assert_array_equal(curve.score[2:], 3.0)
    assert curve.score[0] < 3


def test_a_subset_can_only_offer_what_it_holds():
    returns = np.repeat(np.arange(10.0)[:, None], 3, axis=1)
    curve = score_by_budget(returns, budget=10, policies=2, trials=4000)
    # The expected larger of two of 0 … 9 drawn without replacement: 2/3 of 11, minus one.
    assert curve.score[-1] == pytest.approx(2 / 3 * 11 - 1, abs=0.1)


def test_noise_makes_tuning_cost_more_episodes():
    random = np.random.default_rng(1)
    true = np.linspace(0, 1, 8)[:, None]
    quiet, loud = (
        score_by_budget(true + random.normal(0, noise, (8, 200)), budget=40, trials=300).score[19]
        for noise in (0.05, 1.0)
    )
    assert quiet > loud + 0.05


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(DataError, match="policies, episodes"):
        score_by_budget([1.0, 2.0])
    with pytest.raises(DataError, match="finite"):
        score_by_budget([[1.0, np.nan]])
    with pytest.raises(UsageError, match="budget 0"):
        score_by_budget([[1.0]], budget=0)
