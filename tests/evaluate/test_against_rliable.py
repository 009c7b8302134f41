"""Estimates and intervals beside those of rliable 1.2.0 (with arch 7.2.0), which computed them from the same arrays.

Its numbers are recorded here, from ``get_interval_estimates`` (50 000 resamples of the aggregates, 2000 of the
probability of improvement, seed 0) and ``create_performance_profile`` (20 000).
"""

from functools import partial

import numpy as np
import pytest

from headstart.evaluate.statistics import (
    interquartile_mean,
    mean,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)

RESAMPLES = 20_000
THRESHOLDS = np.linspace(-0.5, 1.5, 5)
RLIABLE = {
    "normal": {
        "point": [0.44080607895716967, 0.41475150454305976, 0.47011497755744985],
        "interval": [
            [0.3513912674419656, 0.2835677006444067, 0.39448351927133496],
            [0.5339662943876538, 0.5605218285490611, 0.5443746164394965],
        ],
        "profile": [1.0, 0.95, 0.425, 0.05, 0.0],
        "profile interval": [[1.0, 0.875, 0.325, 0.0, 0.0], [1.0, 1.0, 0.525, 0.125, 0.0]],
        "improvement": 0.47750000000000004,
        "improvement interval": [0.3725, 0.59],
    },
    "heavy": {
        "point": [0.05834600062152295, 0.15874737340135847, 0.14589978244560112],
        "interval": [
            [-0.44456444447252985, -0.595553986255929, -0.4684662631370754],
            [0.45248980305627023, 0.9600915744803367, 0.8655689496716142],
        ],
        "profile": [0.7083333333333334, 0.625, 0.3333333333333333, 0.125, 0.125],
        "profile interval": [
            [0.5416666666666666, 0.4166666666666667, 0.16666666666666666, 0.0, 0.0],
            [0.875, 0.7916666666666666, 0.5, 0.25, 0.25],
        ],
        "improvement": 0.46875,
        "improvement interval": [0.296875, 0.6354166666666666],
    },
    "few": {
        "point": [0.4379021209169516, 0.5001733732423006, 0.5728348337128828],
        "interval": [
            [0.3312692516965856, 0.3418575276807288, 0.42769409387053386],
            [0.5863842787062795, 0.6257253809479851, 0.7361063152274387],
        ],
        "profile": [1.0, 1.0, 0.4666666666666667, 0.16666666666666666, 0.06666666666666667],
        "profile interval": [
            [1.0, 1.0, 0.3, 0.06666666666666667, 0.0],
            [1.0, 1.0, 0.6333333333333333, 0.26666666666666666, 0.16666666666666666],
        ],
        "improvement": 0.48666666666666675,
        "improvement interval": [0.3466666666666667, 0.6266666666666666],
    },
}
"""By array: IQM, median of the tasks' means, and mean; the profile; the probability that the array beats the other."""


def arrays():
    generator = np.random.default_rng(2021)
    return {
        "normal": generator.normal([0.2, 0.5, 0.9, 0.4], [0.1, 0.2, 0.1, 0.3], (10, 4)),
        "heavy": generator.standard_t(2, (8, 3)),
        "few": generator.gamma(2.0, 0.3, (5, 6)),
    }


def other(scores):
    """What the array is compared with: its tasks the other way round, shrunk and shifted."""
    return scores[:, ::-1] * 0.9 + 0.05


def tolerance(low, high, theirs, ours=RESAMPLES):
    """Five standard errors of the difference of two bootstrap bounds, as those of a normal distribution are."""
    density = np.exp(-(1.96**2) / 2) / np.sqrt(2 * np.pi)
    error = np.sqrt(0.025 * 0.975 * (1 / ours + 1 / theirs)) / density
    return 5 * error * (high - low) / 3.92


def median(scores):
    return np.median(scores.mean(0), axis=0)


@pytest.mark.parametrize("name", RLIABLE)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["iqm", "median", "mean"])
def test_aggregates_and_their_intervals(name, which):
    statistic = (interquartile_mean, median, mean)[which]
    found = stratified_bootstrap(arrays()[name], statistic, n=RESAMPLES)
    low, high = (bounds[which] for bounds in RLIABLE[name]["interval"])
    assert found.estimate == pytest.approx(RLIABLE[name]["point"][which], abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=tolerance(low, high, 50_000))


@pytest.mark.parametrize("name", RLIABLE)
def test_performance_profiles_and_their_intervals(name):
    scores = arrays()[name]
    found = stratified_bootstrap(scores, partial(performance_profile, thresholds=THRESHOLDS), n=5000)
    np.testing.assert_allclose(found.estimate, RLIABLE[name]["profile"], atol=1e-12)
    low, high = RLIABLE[name]["profile interval"]
    step = 1.001 / scores.size  # profiles move by whole runs
    np.testing.assert_allclose(found.low, low, atol=step)
    np.testing.assert_allclose(found.high, high, atol=step)


@pytest.mark.parametrize("name", RLIABLE)
def test_probability_of_improvement_and_its_interval(name):
    scores = arrays()[name]
    found = stratified_bootstrap((scores, other(scores)), probability_of_improvement, n=RESAMPLES)
    low, high = RLIABLE[name]["improvement interval"]
    assert found.estimate == pytest.approx(RLIABLE[name]["improvement"], abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=tolerance(low, high, 2000))


@pytest.mark.parametrize(
    ("runs", "expected"),
    [(5, (0.85, 0.94)), (10, (0.90, 0.96)), (20, (0.92, 0.97))],
)
def test_coverage_of_the_interval_of_the_mean_is_what_theory_says(runs, expected):
    """600 studies of ``runs`` runs on four tasks of different means and spreads.

    The bootstrap's standard error is that of the sample shrunk by sqrt((runs - 1) / runs), so that a 95 % interval of
    few runs covers less: about 90 % of 5, 93 % of 10 and 94 % of 20.
    """
    generator = np.random.default_rng(17)
    means, spreads = np.array([0.2, 0.5, 0.9, 0.4]), np.array([0.2, 0.3, 0.2, 0.3])
    covered = 0
    for study in range(600):
        found = stratified_bootstrap(generator.normal(means, spreads, (runs, 4)), mean, n=500, seed=study)
        covered += found.low <= means.mean() <= found.high
    assert expected[0] <= covered / 600 <= expected[1]
