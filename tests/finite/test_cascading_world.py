"""Cascading worlds: exact values against play, planning against every list, checks, counts from logs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.best_permutation import NOTHING, every_list
from headstart.finite.cascading import CascadingMDP, CascadingSpec, evaluate_lists, optimal_lists
from headstart.finite.cascading_counts import count, counts_of_log, fit_cascading_mdp, no_counts
from headstart.finite.cascading_worlds import engagement
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import backward_induction

WORLD = engagement(seed=3, items=4, list_size=2, horizon=3)


def arrays(world=WORLD):
    return {
        "attraction": np.array(world.attraction),
        "reward": np.array(world.reward),
        "transition": np.array(world.transition[:, :-1]),
        "transition_none": np.array(world.transition[:, -1]),
        "horizon": world.horizon,
        "list_size": world.list_size,
    }


def as_finite_mdp(world):
    """The same world with every list an action."""
    transition, reward = [], []
    for shown in every_list(world.attraction.shape[1], world.list_size):
        looked_on, moves, earned = np.ones(len(world.attraction)), 0.0, 0.0
        for item in shown[shown != NOTHING]:
            click = looked_on * world.attraction[:, item]
            moves, earned = moves + click[:, None] * world.transition[:, item], earned + click * world.reward[:, item]
            looked_on = looked_on - click
        transition.append(moves + looked_on[:, None] * world.transition[:, -1])
        reward.append(earned)
    return FiniteMDP.of(np.stack(transition, 1), np.stack(reward, 1), world.horizon, world.initial)


def test_planning_with_lists_equals_planning_with_every_list_an_action():
    solution, whole = optimal_lists(WORLD), backward_induction(as_finite_mdp(WORLD))
    np.testing.assert_allclose(solution.values, whole.values, atol=1e-12)
    np.testing.assert_allclose(evaluate_lists(WORLD, solution.lists), solution.values, atol=1e-12)


def test_play_earns_what_evaluation_says():
    lists = np.array([[[3, 0]] * 5, [[1, NOTHING]] * 5, [[2, 3]] * 5])
    world = jax.tree.map(jnp.asarray, WORLD)

    def episode(key):
        state, total = world.reset(jax.random.fold_in(key, 9)), 0.0
        for step in range(3):
            session = world.step(state, jnp.asarray(lists)[step, state], jax.random.fold_in(key, step))
            state, total = session.following, total + session.reward
        return total

    earned = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(0), 100_000))
    assert float(earned.mean()) == pytest.approx(float(WORLD.initial @ evaluate_lists(WORLD, lists)[0]), abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attraction": (1, 2, 1.5)}, r"attraction at \[1, 2\] is 1.5"),
        ({"reward": (0, 3, -0.1)}, r"reward at \[0, 3\] is -0.1"),
        ({"transition": (2, 1, 0, 0.5)}, r"the sum of transition at \[2, 1\]"),
        ({"transition_none": (4, 4, -0.5)}, r"transition_none at \[4, 4\] is -0.5"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused(change, message):
    given = arrays()
    for name, (*where, value) in change.items():
        given[name][tuple(where)] = value
    with pytest.raises(DataError, match=message):
        CascadingMDP.of(**given)


def test_wrong_shapes_and_sizes_are_refused():
    with pytest.raises(DataError, match=r"reward has the shape \[5, 3\]"):
        CascadingMDP.of(**arrays() | {"reward": np.zeros((5, 3))})
    with pytest.raises(UsageError, match="horizon is 0"):
        CascadingMDP.of(**arrays() | {"horizon": 0})
    assert CascadingMDP.of(**arrays() | {"list_size": 9}).list_size == 4


SPEC = CascadingSpec(states=2, items=4, horizon=3, list_size=3)
LOG = ([0, 1, 0, 0], [[2, 0, 1], [3], [0, 2], [0, 2, 3]], [1, NOTHING, NOTHING, 0], [1, 0, 0, 1])


def test_a_log_counts_as_live_sessions_do():
    live = no_counts(SPEC)
    for state, shown, click, following in zip(*LOG, strict=True):
        padded = jnp.array(shown + [NOTHING] * (3 - len(shown)))
        live = jax.jit(count)(live, state, padded, jnp.array(click), following)
    recorded = counts_of_log(SPEC, *LOG)
    assert all(np.array_equal(a, b) for a, b in zip(live, recorded, strict=True))
    assert recorded.examined[0].tolist() == [3, 0, 2, 0]  # item 1 and the items after the last click were not looked at
    assert recorded.clicked[0].tolist() == [2, 0, 0, 0]
    assert recorded.moves[1, 4].tolist() == [1, 0]


def test_a_world_is_fitted_to_counts():
    world = fit_cascading_mdp(counts_of_log(SPEC, *LOG), np.ones((2, 4)), horizon=3, list_size=3)
    assert world.attraction[0].tolist() == pytest.approx([2 / 3, 0, 0, 0])
    assert world.transition[0, 0].tolist() == [0, 1]
    assert world.transition[1, 0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ((0, [], NOTHING, 0), "the list has 0 items"),
        ((0, [1, 1], NOTHING, 0), "shows an item twice"),
        ((0, [0, 1, 2, 3], NOTHING, 0), "the list has 4 items; expected 1 to 3"),
        ((0, [0, 7], NOTHING, 0), "other than 0 to 3"),
        ((0, [0, 1], 2, 0), "the click is at place 2"),
        ((5, [0, 1], 1, 0), "state 5 of 2 states"),
    ],
)
def test_sessions_that_cannot_be_are_refused(session, message):
    log = [[*column, value] for column, value in zip(LOG, session, strict=True)]
    with pytest.raises(DataError, match=f"session 4: .*{message}"):
        counts_of_log(SPEC, *log)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"\[4, 4, 3, 4\] rows"):
        counts_of_log(SPEC, LOG[0], LOG[1], LOG[2][:3], LOG[3])
