"""Estimates of other policies' rewards: against sums by hand, against obp, and against the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from headstart.bandits.epsilon_greedy import EpsilonGreedy
from headstart.bandits.lin_ucb import LinUCB
from headstart.bandits.log import Log, read_log, read_policy
from headstart.bandits.off_policy import (
    doubly_robust,
    inverse_propensity,
    logged_value,
    predicted_rewards,
    self_normalised,
)
from headstart.bandits.replay import replay
from headstart.bandits.thompson import GaussianThompson
from headstart.core.errors import DataError, UsageError

DATA = Path(__file__).parent / "data"
ESTIMATES = {
    "inverse_propensity": inverse_propensity,
    "self_normalised": self_normalised,
    "doubly_robust": doubly_robust,
}


def open_bandit(behaviour: str) -> tuple[Log, np.ndarray, np.ndarray]:
    """10 000 rows of the Open Bandit Dataset (Saito et al., CC BY 4.0) as obp packages them, a policy, predictions."""
    rows = np.load(DATA / f"open-bandit-{behaviour}.npz", allow_pickle=False)
    position, arms = rows["position"][:, None].astype(int), np.arange(80)
    policy = 1.0 + (7 * arms + 3 * position) % 11
    log = Log.of(rows["action"], rows["click"], rows["propensity"], np.eye(3)[rows["position"]], arms=80)
    return log, policy / policy.sum(1, keepdims=True), 0.004 + 0.002 * np.sin(arms + position)


@pytest.mark.parametrize("behaviour", ["random", "bts"])
def test_estimates_are_those_of_obp_on_its_own_data(behaviour: str) -> None:
    """The numbers are what the estimators of obp 0.5.7 gave for this log, policy and predictions."""
    expected = json.loads((DATA / "obp-estimates.json").read_text())[behaviour]
    log, policy, predictions = open_bandit(behaviour)
    for name, estimate in ESTIMATES.items():
        model = (predictions,) if name == "doubly_robust" else ()
        ours, theirs = estimate(log, policy, *model, resamples=400), expected[f"{name}_interval"]
        assert ours.value == pytest.approx(expected[name], rel=1e-9)
        width = theirs["95.0% CI (upper)"] - theirs["95.0% CI (lower)"]
        assert abs(ours.low - theirs["95.0% CI (lower)"]) < 0.1 * width
        assert abs(ours.high - theirs["95.0% CI (upper)"]) < 0.1 * width


def linear_log(rows: int, seed: int = 0, arms: int = 3) -> tuple[Log, np.ndarray, float]:
    """Uniform logging in a world linear in two features; a policy that looks at them, and what it earns on average."""
    random = np.random.default_rng(seed)
    contexts = random.uniform(-0.7, 0.7, (rows, 2))
    means = 0.5 + 0.3 * contexts @ np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 1.0]])
    actions = random.integers(0, arms, rows)
    rewards = (random.uniform(size=rows) < means[np.arange(rows), actions]).astype(float)
    policy = np.where(means == means.max(1, keepdims=True), 0.8, 0.1)
    truth = (policy * means).sum(1).mean()
    return Log.of(actions, rewards, np.full(rows, 1 / arms), contexts), policy, float(truth)


@pytest.mark.parametrize("resamples", [0, 300])
@pytest.mark.parametrize("name", ESTIMATES)
def test_intervals_cover_the_truth_as_often_as_they_say(name: str, resamples: int) -> None:
    covered = []
    for seed in range(60):
        log, policy, truth = linear_log(400, seed)
        model = (predicted_rewards(log),) if name == "doubly_robust" else ()
        estimate = ESTIMATES[name](log, policy, *model, confidence=0.8, resamples=resamples)
        covered.append(estimate.low <= truth <= estimate.high)
    assert 0.65 < np.mean(covered) < 0.95


def test_numbers_by_hand() -> None:
    log = Log.of([0, 1, 0, 1], [1, 0, 0.5, 1], [0.5, 0.25, 0.5, 0.5])
    policy = np.tile([0.25, 0.75], (4, 1))  # weights 0.5, 3, 0.5, 1.5
    ips, snips = inverse_propensity(log, policy), self_normalised(log, policy)
    assert ips.value == pytest.approx((0.5 + 0 + 0.25 + 1.5) / 4)
    assert snips.value == pytest.approx(2.25 / 5.5)
    assert ips.effective_rows == pytest.approx(5.5**2 / (0.25 + 9 + 0.25 + 2.25))
    terms = np.array([0.5, 0, 0.25, 1.5])
    assert ips.high - ips.value == pytest.approx(norm.ppf(0.975) * terms.std(ddof=1) / 2)
    dr = doubly_robust(log, policy, np.full((4, 2), 0.5))
    assert dr.value == pytest.approx(0.5 + (0.5 * 0.5 - 3 * 0.5 + 0 + 1.5 * 0.5) / 4)
    assert logged_value(log).value == pytest.approx(0.625)


def test_predictions_follow_the_world_and_never_saw_their_row() -> None:
    log, _, _ = linear_log(4000)
    predictions = predicted_rewards(log, folds=4)
    x, y = log.contexts[:, 0].T
    np.testing.assert_allclose(predictions[:, 0], 0.5 + 0.3 * x, atol=0.12)
    np.testing.assert_allclose(predictions[:, 2], 0.5 + 0.3 * (y - x), atol=0.12)
    changed = Log.of(
        log.actions, np.where(np.arange(4000) == 7, 1 - log.rewards, log.rewards), log.propensities, log.contexts
    )
    again = predicted_rewards(changed, folds=4)
    np.testing.assert_array_equal(predictions[7], again[7])
    assert (predictions != again).any()


def test_features_that_others_determine_are_warned_about_without_a_ridge() -> None:
    log, _, _ = linear_log(200)
    doubled = Log.of(log.actions, log.rewards, log.propensities, np.repeat(log.contexts[:, 0], 2, axis=1))
    with pytest.warns(UserWarning, match="rank-deficient"):
        predicted_rewards(doubled, ridge=0.0)


def test_a_learner_led_through_a_log_earns_more_than_was_logged() -> None:
    log, _, _ = linear_log(3000)
    policy = replay(LinUCB(alpha=0.3, disjoint=True), log)
    np.testing.assert_allclose(policy.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(policy[0], 1 / 3, atol=1e-5)
    estimate = doubly_robust(log, policy, predicted_rewards(log))
    assert estimate.low > logged_value(log).value
    assert inverse_propensity(log, replay(EpsilonGreedy(epsilon=1.0), log)).value == pytest.approx(
        logged_value(log).value
    )


def test_probabilities_that_a_learner_does_not_state_are_counted() -> None:
    random = np.random.default_rng(0)
    actions = random.integers(0, 3, 300)
    policy = replay(GaussianThompson(deviation=0.3), Log.of(actions, actions == 1, np.full(300, 1 / 3)))
    np.testing.assert_allclose(policy.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(policy[0], 1 / 3, atol=0.12)
    assert policy[-1, 1] > 0.95


GOOD = {"actions": [0, 1, 1], "rewards": [0.0, 1.0, 0.5], "propensities": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensities": [0.5, 0.0, 0.5]}, "propensity .* the first is row 1 \\(0.0\\)"),
        ({"propensities": [0.5, 0.5, float("nan")]}, "propensity .* the first is row 2"),
        ({"propensities": [1.5, 0.5, 0.5]}, "within \\(0, 1\\]"),
        ({"propensities": [0.5, 0.5]}, "3 actions, but 2 propensities"),
        ({"rewards": [0.0, 7.0, 0.5]}, "declared range \\[0, 1\\]; the first is row 1 \\(7.0\\)"),
        ({"rewards": [0.0, float("nan"), 0.5]}, "row 1"),
        ({"actions": [0, -1, 1]}, "numbered from 0; the first is row 1"),
        ({"actions": [0, 1, 5], "arms": 3}, "one of 3 arms"),
        ({"actions": [0.5, 1, 1]}, "whole number"),
        ({"actions": [], "rewards": [], "propensities": []}, "no rows"),
        ({"contexts": np.zeros((3, 5, 2))}, "expected \\[rows, features\\]"),
        ({"contexts": np.full((3, 2), np.nan)}, "finite"),
    ],
)
def test_logs_that_cannot_be_are_refused_by_row(change: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Log.of(**(GOOD | change))


def test_what_cannot_be_estimated_is_refused() -> None:
    log = Log.of(**GOOD)
    even = np.full((3, 2), 0.5)
    with pytest.raises(UsageError, match="strictly between 0 and 1; given 1"):
        inverse_propensity(log, even, confidence=1.0)
    with pytest.raises(DataError, match="the first is row 0"):
        inverse_propensity(log, 2 * even)
    with pytest.raises(DataError, match="\\[3, 2\\]"):
        inverse_propensity(log, np.full((3, 4), 0.25))
    with pytest.raises(DataError, match="predictions"):
        doubly_robust(log, even, np.zeros((3, 3)))
    with pytest.raises(UsageError, match="folds"):
        predicted_rewards(log, folds=1)
    never = Log.of([0, 0], [1.0, 1.0], [1.0, 1.0], arms=2)
    with pytest.raises(DataError, match="never chooses what was logged"):
        self_normalised(never, [[0.0, 1.0]] * 2)


def test_tables_are_read_and_faults_named(tmp_path: Path) -> None:
    table = pl.DataFrame({"action": [0, 1], "reward": [0.0, 1.0], "propensity": [0.5, 0.5], "feature_age": [0.1, 0.2]})
    table.write_csv(tmp_path / "log.csv")
    table.write_parquet(tmp_path / "log.parquet")
    for name in ("log.csv", "log.parquet"):
        log = read_log(tmp_path / name)
        assert (len(log), log.spec.arms, log.spec.features) == (2, 2, 1)
    table.drop("propensity").write_csv(tmp_path / "without.csv")
    with pytest.raises(DataError, match="no column 'propensity'"):
        read_log(tmp_path / "without.csv")
    table.with_columns(propensity=pl.Series([0.5, None])).write_csv(tmp_path / "missing.csv")
    with pytest.raises(DataError, match="row 1"):
        read_log(tmp_path / "missing.csv")
    table.with_columns(feature_age=pl.Series(["young", "old"])).write_csv(tmp_path / "words.csv")
    with pytest.raises(DataError, match="not numbers"):
        read_log(tmp_path / "words.csv")
    np.save(tmp_path / "policy.npy", np.full((2, 2), 0.5))
    assert read_policy(tmp_path / "policy.npy").shape == (2, 2)
    (tmp_path / "policy.csv").write_text("a,b\n0.5,x\n")
    with pytest.raises(DataError, match="policy"):
        read_policy(tmp_path / "policy.csv")
