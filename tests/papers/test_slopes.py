"""Slopes on log-log axes."""

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.papers.slopes import log_log_slope

X = np.array([10.0, 100.0, 1000.0])


def test_powers_have_their_exponent_as_slope():
    noise = np.exp(0.1 * np.random.default_rng(0).normal(size=(20, 3)))
    _, low, high = log_log_slope(X, 3 * X**0.5 * noise)
    assert low < 0.5 < high
    assert high - low < 0.2
    assert log_log_slope(X, np.tile(X**-2.0, (2, 1))).estimate == pytest.approx(-2)


def test_the_mean_is_taken_before_the_logarithm_and_floored():
    assert log_log_slope(X, [[0, 0, 0], [2, 20, 200]]).estimate == pytest.approx(1)
    assert log_log_slope(X, [[0.0, 0, 0], [0, 0, 0]], floor=0.1).estimate == pytest.approx(0)


def test_what_has_no_slope():
    with pytest.raises(DataError, match="not all positive"):
        log_log_slope(X, [[1, -1, 1]])
    with pytest.raises(DataError, match=r"\[seeds, 3\]"):
        log_log_slope(X, [[1, 2]])
