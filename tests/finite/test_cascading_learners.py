"""Learners in cascading worlds: bounds that hold, regret in their order, limits, stopping, starts from a log."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.best_permutation import exhaustive_search, list_value
from headstart.finite.cascade_ucb import CascadeUCB
from headstart.finite.cascading import evaluate_lists, optimal_lists
from headstart.finite.cascading_bpi import CascadingBPI, ListActionBPI
from headstart.finite.cascading_counts import Counts
from headstart.finite.cascading_simulation import identify, simulate_cascading
from headstart.finite.cascading_vi import CascadingVI, least_value
from headstart.finite.cascading_worlds import engagement

WORLD = engagement(seed=1, items=6, list_size=2, horizon=6)


def known(world, sessions):
    """Counts that describe the world as it is, as if from so many sessions of each kind."""
    clicks = sessions * np.asarray(world.attraction)
    return Counts(np.full(clicks.shape, sessions), clicks, sessions * np.asarray(world.transition))


begin = jax.jit(lambda state, learner: learner.begin(state), static_argnums=1)


def plan(learner, counts, spec=WORLD.spec):
    """What is planned before the first episode from counts."""
    return begin(learner.init(spec, WORLD.reward, counts), learner)


@pytest.mark.parametrize("bonus", ["bernstein", "hoeffding"])
def test_with_all_known_the_plan_is_optimal_and_the_bounds_close_around_its_value(bonus):
    state = plan(CascadingVI(bonus=bonus), known(WORLD, 1e8))
    best = optimal_lists(WORLD).values[0]
    np.testing.assert_allclose(evaluate_lists(WORLD, np.asarray(state.lists))[0], best, atol=1e-3)
    np.testing.assert_allclose(state.upper, best, atol=0.01)
    np.testing.assert_allclose(state.lower, best, atol=0.01)


def test_theorys_bounds_hold_where_some_is_known():
    generator, best = np.random.default_rng(0), optimal_lists(WORLD).values[0]
    sessions = generator.integers(0, 4000, WORLD.attraction.shape).astype(float)
    clicks = generator.binomial(sessions.astype(int), WORLD.attraction).astype(float)
    outcomes = generator.integers(0, 4000, WORLD.transition.shape[:2])
    moves = generator.multinomial(outcomes, WORLD.transition).astype(float)
    state = plan(CascadingVI(bonus_scale=1.0), Counts(sessions, clicks, moves))
    assert (state.upper >= best).all()
    assert (state.lower <= evaluate_lists(WORLD, np.asarray(state.lists))[0]).all()
    assert (state.lower > 0).any()


def test_least_value_is_the_worst_over_all_ends_of_the_intervals():
    generator = np.random.default_rng(0)
    low, high = np.sort(generator.random((2, 1, 3)), axis=0)
    weight, none = generator.random((1, 3)), generator.random(1)
    ends = np.array(np.meshgrid(*np.stack([low[0], high[0]], -1))).reshape(3, -1).T
    worst = list_value(ends, weight, none).min()
    found = least_value(*map(jnp.asarray, (np.array([[0, 1, 2]]), low, high, weight, none)))
    assert float(found[0]) == pytest.approx(worst, abs=1e-6)


def test_regret_becomes_small_and_a_seeds_is_its_own():
    curves = simulate_cascading(CascadingVI(), WORLD, 1500, seeds=[5, 7], points=3)
    assert (curves.regret[:, 2] - curves.regret[:, 1] < curves.regret[:, 0] / 2).all()
    turned = simulate_cascading(CascadingVI(), WORLD, 1500, seeds=[7, 5], points=3)
    np.testing.assert_allclose(turned.regret[::-1], curves.regret, rtol=1e-5)
    assert curves.episodes.tolist() == [500, 1000, 1500]


def test_the_oracle_does_not_change_what_is_planned():
    ours, theirs = (
        plan(learner, known(WORLD, 20)) for learner in (CascadingVI(), CascadingVI(oracle=exhaustive_search))
    )
    np.testing.assert_allclose(ours.upper, theirs.upper, rtol=1e-5)
    np.testing.assert_array_equal(ours.lists, theirs.lists)


def test_without_a_future_planning_is_cascade_ucb():
    planned, myopic = (
        plan(learner, known(WORLD, 5), replace(WORLD.spec, horizon=1)) for learner in (CascadingVI(), CascadeUCB())
    )
    np.testing.assert_array_equal(planned.lists, myopic.lists)


def test_a_log_gives_a_head_start():
    cold, warm = (plan(CascadingVI(), counts) for counts in (None, known(WORLD, 200)))
    best = optimal_lists(WORLD).values[0][-1]
    gap = [best - evaluate_lists(WORLD, np.asarray(state.lists))[0][-1] for state in (cold, warm)]
    assert gap[1] < gap[0]
    assert CascadingVI().recommend(warm, 0, 4).shape == (2,)


def test_stopping_returns_lists_that_are_as_good_as_promised_and_items_are_known_before_lists():
    world = engagement(seed=2, items=4, list_size=2, horizon=2)
    found = identify(CascadingBPI(epsilon=0.3), world, 20_000, seeds=3)
    assert found.sure.all()
    assert (found.gap <= 0.3).all()
    assert found.lists.shape == (3, 2, 5, 2)
    by_lists = identify(ListActionBPI(epsilon=0.3), world, 20_000, seeds=3)
    assert (found.episodes < by_lists.episodes).all()
    given_up = identify(CascadingBPI(epsilon=0.3), world, 5, seeds=3)
    assert not given_up.sure.any()
    assert given_up.episodes.tolist() == [5, 5, 5]


def test_empty_runs_are_refused():
    with pytest.raises(UsageError, match="episodes is 0"):
        simulate_cascading(CascadingVI(), WORLD, 0, seeds=1)
    with pytest.raises(UsageError, match="seeds is 0"):
        identify(CascadingBPI(), WORLD, 10, seeds=0)
