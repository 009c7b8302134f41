from functools import partial

import numpy as np
import pytest
import scipy.stats

from headstart.core.errors import DataError
from headstart.evaluate.statistics import (
    Interval,
    area_under_curve,
    interquartile_mean,
    mean,
    paired_bootstrap,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)


@pytest.fixture
def generator():
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 2, 3, 4], 2.5),
        ([-100, 2, 3, 1000], 2.5),
        ([1, 2, 6], 3.0),
        ([5], 5.0),
        (list(range(10)), 4.5),
        ([0, 0, 0, 1, 9, 9, 9, 100], 4.75),
    ],
)
def test_interquartile_mean_closed_forms(scores, expected):
    assert interquartile_mean(scores) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(3, 1), (5, 4), (7, 3), (10, 26)])
def test_interquartile_mean_is_the_pooled_trimmed_mean(generator, shape):
    scores = generator.standard_cauchy(shape)
    assert interquartile_mean(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25, axis=None))


def test_trailing_axes_are_kept(generator):
    curves = generator.normal(size=(5, 2, 30))
    expected = [interquartile_mean(curves[..., point]) for point in range(30)]
    np.testing.assert_allclose(interquartile_mean(curves), expected)


@pytest.mark.parametrize("scores", [[], np.zeros((0, 3)), np.zeros(()), [1.0, float("nan")], [[np.inf], [0.0]]])
def test_missing_or_infinite_scores_are_refused(scores):
    with pytest.raises(DataError, match="scores"):
        interquartile_mean(scores)


def test_profile_counts_runs_strictly_above():
    scores = [[0.0, 10.0], [5.0, 20.0]]
    np.testing.assert_array_equal(performance_profile(scores, [-1, 0, 5, 10, 20]), [1, 0.75, 0.5, 0.25, 0])


def test_profile_with_interval_contains_the_true_distribution(generator):
    thresholds = np.linspace(-1, 1, 5)
    scores = generator.normal(size=(100, 4))
    profile = stratified_bootstrap(scores, partial(performance_profile, thresholds=thresholds), n=500)
    truth = scipy.stats.norm.sf(thresholds)
    assert profile.estimate.shape == profile.low.shape == (5,)
    assert np.all((profile.low - 0.03 < truth) & (truth < profile.high + 0.03))
    assert np.all(profile.low < profile.high)


def test_probability_of_improvement_closed_forms():
    assert probability_of_improvement([3, 4], [1, 2]) == 1.0
    assert probability_of_improvement([1, 2], [3, 4]) == 0.0
    assert probability_of_improvement([1, 1], [1, 1, 1]) == 0.5
    assert probability_of_improvement([[0, 9], [2, 9]], [[1, 1]]) == pytest.approx((0.5 + 1.0) / 2)


def test_probability_of_improvement_is_the_mean_of_mann_whitney(generator):
    a, b = generator.integers(0, 6, (8, 3)), generator.integers(0, 6, (5, 3))
    expected = [scipy.stats.mannwhitneyu(a[:, t], b[:, t]).statistic / 40 for t in range(3)]
    assert probability_of_improvement(a, b) == pytest.approx(np.mean(expected))
    interval = stratified_bootstrap((a, b), probability_of_improvement, n=400)
    assert 0 <= interval.low < interval.estimate < interval.high <= 1


def test_probability_of_improvement_needs_the_same_tasks():
    with pytest.raises(DataError, match="only the first axis may differ"):
        probability_of_improvement(np.zeros((3, 2)), np.zeros((3, 4)))


def test_bootstrap_of_the_mean_matches_its_standard_error(generator):
    """The resampled mean is nearly normal with variance sum_t var_t / (runs tasks^2), strata apart."""
    scores = generator.normal([0.0, 100.0], [1.0, 3.0], (50, 2))
    interval = stratified_bootstrap(scores, mean, n=20_000)
    error = np.sqrt((scores.var(0) / 50).sum()) / 2
    assert interval.estimate == scores.mean()
    assert interval.low == pytest.approx(scores.mean() - 1.96 * error, abs=0.06 * error)
    assert interval.high == pytest.approx(scores.mean() + 1.96 * error, abs=0.06 * error)


def test_bootstrap_of_curves_is_the_bootstrap_of_each_point(generator):
    curves = np.cumsum(generator.normal(size=(6, 1, 8)), axis=-1)
    together = stratified_bootstrap(curves, interquartile_mean, n=4000)
    for point in range(8):
        alone = stratified_bootstrap(curves[..., point], interquartile_mean, n=4000, seed=1)
        spread = alone.high - alone.low
        assert together.low[point] == pytest.approx(alone.low, abs=0.1 * spread)
        assert together.high[point] == pytest.approx(alone.high, abs=0.1 * spread)


def test_bootstrap_is_seeded_and_independent_of_its_blocks(generator):
    scores = generator.normal(size=(10, 3))
    assert stratified_bootstrap(scores, n=300, seed=3) == stratified_bootstrap(scores, n=300, seed=3)
    assert stratified_bootstrap(scores, n=300, seed=3) != stratified_bootstrap(scores, n=300, seed=4)
    wide = generator.normal(size=(10, 1, 50_000))
    assert stratified_bootstrap(wide, mean, n=10).low.shape == (50_000,)


def test_one_run_has_no_interval():
    interval = stratified_bootstrap([[4.0, 6.0]])
    assert interval.estimate == 5.0
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


@pytest.mark.parametrize("distribution", ["normal", "heavy tails"])
def test_intervals_cover_the_truth_95_times_in_100(generator, distribution):
    """400 simulated studies of 10 runs on 5 tasks, where the interquartile mean is 0 by symmetry."""
    draw = generator.normal if distribution == "normal" else partial(generator.standard_t, 2)
    covered = 0
    for study in range(400):
        interval = stratified_bootstrap(draw(size=(10, 5)), interquartile_mean, n=400, seed=study)
        covered += interval.low <= 0.0 <= interval.high
    assert 0.90 <= covered / 400 <= 0.98


def test_paired_bootstrap_sees_through_what_pairs_share(generator):
    shared = generator.normal(0, 100, 12)
    a, b = shared + 1 + generator.normal(0, 0.1, 12), shared
    difference, low, high = paired_bootstrap(a, b)
    assert difference == pytest.approx(np.mean(a - b))
    assert 0.8 < low < difference < high < 1.2
    assert paired_bootstrap(b, a)[0] == -difference
    assert paired_bootstrap([2.0, 2.0], [1.0, 1.0]) == (1.0, 1.0, 1.0)
    with pytest.raises(DataError, match="equal shapes"):
        paired_bootstrap([1.0, 2.0], [1.0])


def test_area_under_curve():
    x = [0.0, 1.0, 3.0]
    assert area_under_curve(x, [0.0, 2.0, 2.0]) == 5.0
    assert area_under_curve(x, [0.0, 2.0, 2.0], average=True) == pytest.approx(5 / 3)
    np.testing.assert_allclose(area_under_curve(x, [[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]]), [3.0, 4.5])


@pytest.mark.parametrize(("x", "y"), [([1.0], [1.0]), ([0.0, 0.0], [1.0, 1.0]), ([0.0, 1.0], [1.0, 2.0, 3.0])])
def test_a_curve_needs_points_in_order(x, y):
    with pytest.raises(DataError, match="two points with increasing x"):
        area_under_curve(x, y)


def test_an_interval_unpacks():
    estimate, low, high = Interval(1.0, 0.5, 2.0)
    assert (estimate, low, high) == (1.0, 0.5, 2.0)
