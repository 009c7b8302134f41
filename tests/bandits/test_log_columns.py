"""Logged feedback, contexts and policies that cannot be: refused with what was given, expected, and what to do."""

import numpy as np
import pytest

from headstart.bandits.bandit import BanditSpec
from headstart.bandits.exponential_weights import EXP4
from headstart.bandits.lin_thompson import LinThompson
from headstart.bandits.lin_ucb import LinUCB
from headstart.bandits.live import Agent
from headstart.bandits.log import Log
from headstart.bandits.off_policy import doubly_robust, inverse_propensity, predicted_rewards
from headstart.bandits.replay import replay
from headstart.core.errors import DataError, UsageError

ACTIONS, REWARDS = [0, 1, 1], [0.0, 1.0, 0.5]
LOG = Log.of(ACTIONS, REWARDS, [0.5, 0.5, 0.5], [[0.1], [0.2], [0.3]])


def test_one_propensity_serves_all_rows():
    log = Log.of(ACTIONS, REWARDS, 0.5, [[0.1], [0.2], [0.3]])
    np.testing.assert_array_equal(log.propensities, LOG.propensities)
    np.testing.assert_array_equal(log.contexts, LOG.contexts)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "propensities are missing: the probability .* if it drew evenly, give 1 / arms"),
        ({"propensities": [0.5, None, 0.5]}, "the first is row 1"),
        ({"propensities": [0.5, 0.0, 0.5]}, r"the first is row 1 \(0.0\)"),
        ({"propensities": 0.0}, "3 rows have a propensity"),
        ({"propensities": 0.5, "rewards": None}, "rewards are missing"),
        ({"propensities": 0.5, "actions": ["a", "b", "c"]}, "actions are not numbers"),
        ({"propensities": 0.5, "arms": 1}, r"one of 1 arms, numbered from 0; the first is row 1 \(1\)"),
        ({"propensities": 0.5, "rewards": [0, np.nan, 1]}, r"\[0, 1\]; the first is row 1"),
        ({"propensities": 0.5, "rewards": [0, np.inf, 1]}, r"\[0, 1\]; the first is row 1"),
        ({"propensities": 0.5, "contexts": [[0.1], [np.inf], [0.2]]}, "context that is not made of finite"),
        ({"propensities": [[0.5], [0.5], [0.5]]}, r"shape \[3, 1\]; expected one number a row"),
    ],
)
def test_columns_that_cannot_be_are_refused(columns, words):
    with pytest.raises(DataError, match=words):
        Log.of(**({"actions": ACTIONS, "rewards": REWARDS} | columns))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (np.full((3, 2), 0.7), "3 of 3 rows are no distribution; the first is row 0, which sums to 1.4"),
        ([[0.5, 0.5], [1.5, -0.5], [0.5, 0.5]], "row 1, which sums to 1, its least -0.5"),
        ([[0.5, 0.5], [np.nan, 0.5], [0.5, 0.5]], "1 rows are not, the first is row 1"),
        ([[1], [1, 2], [3]], "must be numbers, one row for each"),
        (np.full((2, 2), 0.5), r"shape \[3, 2\] \(the log's rows, arms\); given \[2, 2\]"),
    ],
)
def test_policies_that_are_none_are_refused(policy, words):
    with pytest.raises(DataError, match=words):
        inverse_propensity(LOG, policy)


def test_settings_out_of_range_are_refused():
    even = np.full((3, 2), 0.5)
    for confidence in (0.0, 1.0, np.nan):
        with pytest.raises(UsageError, match="strictly between 0 and 1"):
            inverse_propensity(LOG, even, confidence)
    with pytest.raises(UsageError, match="resamples must be 0"):
        inverse_propensity(LOG, even, resamples=-3)
    with pytest.raises(UsageError, match="ridge must be a number of at least 0; given nan"):
        predicted_rewards(LOG, ridge=float("nan"))
    with pytest.raises(DataError, match="predictions must be finite"):
        doubly_robust(LOG, even, even * np.nan)
    with pytest.raises(UsageError, match="draws is 0"):
        replay(LinThompson(), LOG, draws=0)


@pytest.mark.parametrize("fields", [{"alpha": float("nan")}, {"norm_bound": -1.0}, {"ridge": float("inf")}])
def test_constants_that_cannot_be_are_refused(fields):
    with pytest.raises(UsageError, match="number"):
        Agent(LinUCB(**fields), BanditSpec(2, 2))


def test_contexts_that_are_not_finite_are_located():
    agent = Agent(LinUCB(alpha=0.5), BanditSpec(2, 2))
    with pytest.raises(UsageError, match="nan for arm 1, feature 0; expected finite"):
        agent.choose([[0.1, 0.2], [np.nan, 0.1]])
    assert agent.decisions == 0


def test_long_features_are_warned_of_by_the_bound_that_breaks(recwarn):
    long = Log.of(ACTIONS, REWARDS, 0.5, [[3.0], [1.0], [1.0]])
    with pytest.warns(UserWarning, match="norm 3, above 1: the radius of the confidence ellipsoid"):
        replay(LinUCB(), long)
    with pytest.warns(UserWarning, match="norm 5, above 1: the regret bound .*Agrawal and Goyal"):
        Agent(LinThompson(), BanditSpec(2, 2)).choose([[3, 4], [0, 1]])
    recwarn.clear()
    advice = [[1.0, 1.0], [0.0, 0.0]]  # two experts who agree: no feature vector, though its norm is above 1
    Agent(EXP4(), BanditSpec(2, 2)).choose(advice)
    assert not recwarn.list
