import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.evaluate.policy_selection import (
    precision_at_k,
    rank_correlation,
    recall_at_k,
    regret_at_k,
    value_error,
)

TRUE = np.array([10.0, 50.0, 30.0, 20.0])


def test_perfect_estimates():
    assert value_error(TRUE, TRUE) == 0.0
    assert rank_correlation(TRUE * 3 - 7, TRUE) == 1.0
    for k in (1, 2, 4):
        assert (regret_at_k(TRUE, TRUE, k), precision_at_k(TRUE, TRUE, k), recall_at_k(TRUE, TRUE, k)) == (0, 1, 1)


def test_reversed_estimates():
    assert value_error(-TRUE, TRUE) == 55.0
    assert rank_correlation(-TRUE, TRUE) == -1.0
    assert [regret_at_k(-TRUE, TRUE, k) for k in (1, 2, 3, 4)] == [40.0, 30.0, 20.0, 0.0]
    assert [precision_at_k(-TRUE, TRUE, k) for k in (1, 2, 3)] == [0.0, 0.0, 2 / 3]


def test_precision_and_recall_differ_when_more_are_relevant():
    estimated = np.array([4.0, 3.0, 1.0, 2.0])  # top 2: policies 0 and 1
    assert precision_at_k(estimated, TRUE, 2, relevant=3) == 0.5
    assert recall_at_k(estimated, TRUE, 2, relevant=3) == pytest.approx(1 / 3)
    assert recall_at_k(estimated, TRUE, 4, relevant=1) == 1.0
    assert precision_at_k(estimated, TRUE, 4, relevant=1) == 0.25


def test_bad_questions_are_refused():
    with pytest.raises(UsageError, match="top 5 of 4 policies"):
        regret_at_k(TRUE, TRUE, 5)
    with pytest.raises(DataError, match="one value a policy"):
        value_error(TRUE[:2], TRUE)
    with pytest.raises(DataError, match="finite"):
        value_error(TRUE * np.nan, TRUE)
