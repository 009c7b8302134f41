"""Learning from logs of bandits with few contexts: what each learner trusts."""

import numpy as np
import pytest

from headstart.bandits.composition import concentrated, rare, spread
from headstart.bandits.lcb import LCB, ArmCounts, EmpiricalBest, MostPlayed
from headstart.core.errors import DataError, UsageError


def test_each_learner_trusts_what_it_says():
    counts = ArmCounts(np.array([[100.0, 60.0, 1.0]]), np.array([[50.0, 45.0, 1.0]]))
    assert [learner.fit(counts).argmax() for learner in (MostPlayed(), LCB(), EmpiricalBest())] == [0, 1, 2]


def test_arms_never_played_are_not_chosen_and_contexts_never_seen_get_every_arm():
    counts = ArmCounts(np.array([[0.0, 3.0], [0.0, 0.0]]), np.zeros((2, 2)))
    np.testing.assert_array_equal(LCB().fit(counts), [[0, 1], [0.5, 0.5]])
    assert counts.coverage == 0.5


def test_width_is_the_papers():
    counts = ArmCounts.of([0] * 4, [0, 0, 0, 1], [1, 0, 1, 1], 1, 2)
    bounds = LCB(penalty_scale=np.sqrt(0.5), failure_probability=0.1).score(counts)
    expected = np.array([[2 / 3, 1]]) - np.sqrt(np.log(2 * 2 / 0.1) / (2 * np.array([[3, 1]])))
    np.testing.assert_allclose(bounds, expected)


def test_lower_bounds_hold():
    generator = np.random.default_rng(0)
    means = generator.random((5, 3))
    plays = generator.integers(1, 50, (500, 5, 3)).astype(float)
    counts = ArmCounts(plays, generator.binomial(plays.astype(int), means).astype(float))
    failed = (LCB(penalty_scale=np.sqrt(0.5), failure_probability=0.1).score(counts) > means).any((1, 2))
    assert failed.mean() <= 0.1


@pytest.mark.parametrize("problem", [spread(20, 0.3, 1.3), concentrated(20, 0.3, 1.3), rare(20, 0.3, 1.3, 1000)])
def test_logged_problems_are_what_they_say(problem):
    assert problem.log.sum() == pytest.approx(1)
    assert problem.concentrability == pytest.approx(1.3)
    best = np.eye(problem.means.shape[1])[problem.means.argmax(-1)]
    assert problem.suboptimality(best) == 0
    assert problem.suboptimality((1 - best) / (best.shape[1] - 1)) == pytest.approx(0.3)


def test_imitation_errs_for_good_where_the_experts_choices_are_outnumbered():
    problem, generator = concentrated(20, 1.0, 1.3), np.random.default_rng(0)
    few, many = (problem.draw(rows, 20, generator) for rows in (1000, 100_000))
    assert problem.suboptimality(MostPlayed().fit(many)).mean() > 0.2
    assert problem.suboptimality(LCB().fit(many)).mean() < 1e-3
    assert problem.suboptimality(LCB().fit(few)).mean() < 0.1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([0, 1], [0, 1], [0.5]), "shapes"),
        (([0, 2], [0, 1], [0.5, 0.5]), "contexts must be whole numbers from 0 to 1"),
        (([0, 1], [0, 1.5], [0.5, 0.5]), "arms must be whole numbers"),
        (([0, 1], [0, 1], [0.5, np.nan]), "rewards"),
    ],
)
def test_malformed_logs_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        ArmCounts.of(*rows, n_contexts=2, n_arms=2)


def test_impossible_fields_are_refused():
    with pytest.raises(UsageError, match="failure_probability"):
        LCB(failure_probability=0.0)
    with pytest.raises(UsageError, match="penalty_scale"):
        LCB(penalty_scale=-1)
