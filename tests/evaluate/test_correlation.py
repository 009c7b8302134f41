import numpy as np
import pytest
import scipy.stats

from headstart.core.errors import DataError
from headstart.evaluate.correlation import (
    correlation_interval,
    partial_rank_correlation,
    pearson,
    ranks,
    spearman,
)


@pytest.fixture
def generator():
    return np.random.default_rng(3)


def test_ranks_share_ties():
    assert ranks([10.0, 30.0, 20.0, 20.0, -5.0]).tolist() == [2.0, 5.0, 3.5, 3.5, 1.0]


def test_agreement_with_scipy(generator):
    x, y = generator.integers(0, 8, 40), generator.normal(size=40)
    y = y + x / 4
    assert pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)


def test_ranks_see_only_the_order():
    x = np.arange(1.0, 9.0)
    assert spearman(x, np.exp(x)) == 1.0
    assert spearman(x, -(x**3)) == -1.0
    assert pearson(x, np.exp(x)) < 0.9
    assert pearson(x, 3 - 2 * x) == -1.0


def test_partial_correlation_is_the_closed_form_for_one_given_sample(generator):
    z = generator.normal(size=60)
    x, y = z + generator.normal(size=60), z + generator.normal(size=60)
    xy, xz, yz = spearman(x, y), spearman(x, z), spearman(y, z)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_rank_correlation(x, y, z) == pytest.approx(expected)
    assert partial_rank_correlation(x, y) == pytest.approx(xy)


def test_a_common_cause_is_taken_out(generator):
    z = generator.normal(size=2000)
    x, y = z + 0.3 * generator.normal(size=2000), z + 0.3 * generator.normal(size=2000)
    assert spearman(x, y) > 0.85
    assert abs(partial_rank_correlation(x, y, z)) < 0.15
    with pytest.raises(DataError, match="explain the ranks"):
        partial_rank_correlation(x, y, x)


def test_intervals_cover_the_truth(generator):
    """For normal samples with correlation 0.6."""
    covered = 0
    for study in range(150):
        x = generator.normal(size=40)
        y = 0.6 * x + 0.8 * generator.normal(size=40)
        interval = correlation_interval(pearson, x, y, n=120, seed=study)
        covered += interval.low <= 0.6 <= interval.high
    assert 0.86 <= covered / 150 <= 0.99


def test_interval_of_a_rank_correlation(generator):
    x = generator.normal(size=30)
    y, z = x + generator.normal(size=30), generator.normal(size=30)
    interval = correlation_interval(spearman, x, y, n=500)
    assert interval.estimate == spearman(x, y)
    assert -1 <= interval.low < interval.estimate < interval.high <= 1
    partial = correlation_interval(partial_rank_correlation, x, y, z, n=300)
    assert partial.low < partial.estimate < partial.high


def test_resamples_that_are_constant_are_left_out():
    interval = correlation_interval(spearman, [0, 0, 0, 1], [1, 2, 3, 4], n=300)
    assert np.isfinite(interval).all()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2], "at least 3"),
        ([1, 2, 3], [1, 2], "same length"),
        ([1, 2, 3], [1, 2, float("nan")], "sample 2 has 1 values that are not finite"),
        ([5, 5, 5], [1, 2, 3], "sample 1 is constant"),
    ],
)
def test_undefined_correlations_are_errors(x, y, message):
    with pytest.raises(DataError, match=message):
        spearman(x, y)
