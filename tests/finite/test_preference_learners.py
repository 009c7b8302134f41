"""Learning from preferences: regret that falls, questions only where they tell something, limiting cases, bad input."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import value_of
from headstart.finite.pr_lsvi import PRLSVI
from headstart.finite.preference_learning import (
    ReturnsAnnotator,
    Trajectory,
    roll_out,
    simulate_preferences,
)
from headstart.finite.preference_posterior_sampling import PreferencePosteriorSampling
from headstart.finite.preference_queries import AskAlways, AskWhenUnsure
from headstart.finite.preferences import Logistic

LINK = Logistic(4.0)
GENERATOR = np.random.default_rng(5)
WORLD = FiniteMDP.of(GENERATOR.dirichlet([0.3, 0.3], (2, 2, 2)), np.array([[[0, 1], [1, 0]], [[1, 0], [0, 0.9]]]), 2)
LEARNERS = [PRLSVI(link=LINK), PreferencePosteriorSampling(link=LINK)]


def simulate(learner, rounds, seeds=1):
    return simulate_preferences(learner, WORLD, ReturnsAnnotator(WORLD, LINK), rounds, seeds)


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: type(learner).__name__)
def test_regret_and_questions_become_rare(learner):
    curves = simulate(learner, 600, seeds=2)
    early, late = curves.regret[:, 99], curves.regret[:, -1] - curves.regret[:, -101]
    assert (late < early / 3).all()
    assert (curves.asked[:, 300:].sum(1) < curves.asked[:, :300].sum(1) / 2).all()
    assert 0 < curves.asked.sum() < 600


@pytest.mark.parametrize("kind", [PRLSVI, PreferencePosteriorSampling])
def test_a_threshold_of_zero_is_asking_always_bit_for_bit(kind):
    threshold, always = (simulate(kind(link=LINK, query=rule), 80) for rule in (AskWhenUnsure(0.0), AskAlways()))
    assert np.array_equal(threshold.regret, always.regret)
    assert np.array_equal(threshold.asked, always.asked)
    assert not always.asked.all()  # pairs that are alike are never asked about


@pytest.mark.parametrize("kind", [PRLSVI, PreferencePosteriorSampling])
def test_an_infinite_threshold_never_asks_and_learns_nothing_of_rewards(kind):
    curves = simulate(kind(link=LINK, query=AskWhenUnsure(float("inf"))), 30)
    assert not curves.asked.any()
    assert not curves.states[0].posterior.mean.any()


def test_comparators():
    generator = np.random.default_rng(0)
    best = np.zeros((2, 2, 2))
    for comparator, expected in (("previous", "before"), ("same", "now"), (lambda state, policy: best, "best")):
        learner = PRLSVI(link=LINK, comparator=comparator)
        state = learner.begin(learner.init(WORLD.spec), generator)
        before = state.policy
        state = learner.begin(state, generator)
        assert state.comparator is {"before": before, "now": state.policy, "best": best}[expected]


def test_values_that_are_not_known_are_the_largest_possible():
    learner = PRLSVI(link=LINK, reward_noise=1e-6, value_noise=1e-6)
    state, generator = learner.init(WORLD.spec), np.random.default_rng(0)
    seen = Trajectory(np.array([0, 0, 0]), np.array([1, 1]))
    for _ in range(20):
        state = learner.observe(state, seen, seen, None)
    assert learner.plan(state, generator)[:, 0].tolist() == [[1, 0], [1, 0]]  # action 1 is known and worth nothing
    state = learner.init(WORLD.spec)
    assert state.posterior.disagreement(np.eye(8)[0]) == pytest.approx(2 / np.sqrt(np.pi) * 1e-6)


def test_one_feature_each_is_the_default():
    given, default = (
        simulate(PRLSVI(link=LINK, features=features), 40) for features in (np.eye(4).reshape(2, 2, 4), None)
    )
    assert np.array_equal(given.regret, default.regret)


def test_fewer_features_than_pairs_are_enough_for_a_world_that_is_linear_in_them():
    phi = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.0, 1.0]]])
    world = FiniteMDP.of(phi @ np.array([[0.9, 0.1], [0.2, 0.8]]), phi @ np.array([0.1, 0.9]), horizon=2)
    annotator = ReturnsAnnotator(world, LINK)
    curves = simulate_preferences(PRLSVI(link=LINK, features=phi), world, annotator, 500, 2)
    assert (curves.regret[:, -1] - curves.regret[:, -101] < 0.2 * curves.regret[:, 99]).all()


def test_episodes_follow_the_world_and_the_policy():
    policy = np.array([[[0.3, 0.7], [1, 0]], [[0, 1], [0.5, 0.5]]])
    generator, annotator = np.random.default_rng(0), ReturnsAnnotator(WORLD, LINK)
    played = [roll_out(WORLD, policy, generator) for _ in range(20_000)]
    assert np.mean([annotator._return(episode) for episode in played]) == pytest.approx(
        float(value_of(WORLD, policy)), abs=0.02
    )
    assert np.mean([episode.actions[0] for episode in played]) == pytest.approx(0.7, abs=0.02)


def test_annotators_prefer_larger_returns():
    good, bad = Trajectory(np.array([0, 0, 0]), np.array([1, 0])), Trajectory(np.array([0, 0, 0]), np.array([0, 1]))
    annotator, generator = ReturnsAnnotator(WORLD, LINK), np.random.default_rng(0)
    assert np.mean([annotator(good, bad, generator) for _ in range(500)]) > 0.98
    assert np.mean([annotator(good, good, generator) for _ in range(2000)]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 2, 4)), r"shape \[3, 2, 4\]; expected \[2, 2, features\]"),
        (np.full((2, 2, 1), np.nan), "not finite"),
        (np.full((2, 2, 4), 1.0), "length 2"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, message):
    with pytest.raises(DataError, match=message):
        PRLSVI(features=features).init(WORLD.spec)


def test_thresholds_in_the_wrong_order_and_empty_runs_are_refused():
    with pytest.raises(UsageError, match="trusted < unknown"):
        PRLSVI(trusted=0.7, unknown=0.7)
    with pytest.raises(UsageError, match="0 rounds"):
        simulate(PRLSVI(), 0)
