"""Worlds from arrays: what is refused and how, what is saved, how they are played."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import DiscountedMDP, FiniteMDP, load_world, save_world

RANDOM = np.random.default_rng(0)
TRANSITION = RANDOM.dirichlet(np.ones(4), (4, 3))
REWARD = RANDOM.random((4, 3))


def changed(array, where, value):
    copy = array.copy()
    copy[where] = value
    return copy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TRANSITION, REWARD, 0), "horizon is 0"),
        ((TRANSITION, REWARD, 2.5), "horizon is 2.5"),
        ((changed(TRANSITION, (2, 1), [0.5, 0.2, 0.1, 0.1]), REWARD, 5), "state 2, action 1 sums to 0.9"),
        ((changed(TRANSITION, (3, 0, 1), -0.25), REWARD, 5), "state 3, action 0 gives state 1 the probability -0.25"),
        ((changed(TRANSITION, (0, 0, 0), np.nan), REWARD, 5), "state 0, action 0 gives state 0 the probability nan"),
        ((TRANSITION, changed(REWARD, (1, 2), 1.5), 5), "state 1, action 2 is 1.5"),
        ((TRANSITION, changed(REWARD, (1, 2), np.nan), 5), "state 1, action 2 is nan"),
        ((TRANSITION, REWARD[:3], 5), "4 states and 3 actions, reward 3 and 3"),
        ((TRANSITION[:, :, :3], REWARD, 5), "from 4 states to 3"),
        ((TRANSITION[0], REWARD, 5), r"shape \[3, 4\]; expected \[states, actions, next\]"),
        ((np.stack([TRANSITION] * 4), REWARD, 5), "describes 4 steps, but the horizon is 5"),
        ((TRANSITION, np.stack([REWARD] * 6), 5), "describes 6 steps, but the horizon is 5"),
        ((TRANSITION, REWARD, 5, [0.5, 0.5]), r"initial has the shape \[2\]"),
        ((TRANSITION, REWARD, 5, [0.5, 0.4, 0, 0]), "initial sums to 0.9"),
        ((TRANSITION, REWARD, 5, None, "gaussian"), "choose none or bernoulli"),
        (("abc", REWARD, 5), "not an array of numbers"),
    ],
)
def test_impossible_worlds_are_refused_by_name(arguments, message):
    with pytest.raises((UsageError, DataError), match=message):
        FiniteMDP.of(*arguments)


def test_a_row_that_is_wrong_at_one_step_is_named_with_its_step():
    transition = changed(np.stack([TRANSITION] * 5), (3, 2, 1), [0.5, 0.2, 0.1, 0.1])
    with pytest.raises(DataError, match=r"step 3, state 2, action 1 sums to 0\.9"):
        FiniteMDP.of(transition, REWARD, 5)


@pytest.mark.parametrize("discount", [1, -0.1, float("nan")])
def test_discounts_outside_their_range_are_refused(discount):
    with pytest.raises(UsageError, match="discount"):
        DiscountedMDP.of(TRANSITION, REWARD, discount)


def test_rewards_that_change_with_the_step_make_the_world_change():
    world = FiniteMDP.of(TRANSITION, np.stack([REWARD] * 3), 3)
    assert not world.stationary
    assert world.transition.shape == (3, 4, 3, 4)
    assert FiniteMDP.of(TRANSITION, REWARD, 3).spec.stationary


def test_worlds_come_back_from_disk(tmp_path):
    for world in (
        FiniteMDP.of(TRANSITION, REWARD, 5, reward_noise="bernoulli"),
        FiniteMDP.of(TRANSITION, np.stack([REWARD] * 5), 5, [0, 0.5, 0.5, 0]),
        DiscountedMDP.of(TRANSITION, REWARD, 0.9),
    ):
        save_world(tmp_path / "world.npz", world)
        again = load_world(tmp_path / "world.npz")
        assert jax.tree.structure(again) == jax.tree.structure(world)
        for ours, theirs in zip(jax.tree.leaves(world), jax.tree.leaves(again)):
            np.testing.assert_array_equal(ours, theirs)


def test_files_that_are_no_worlds_are_refused(tmp_path):
    def refusal(message, **arrays):
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises((DataError, UsageError), match=message):
            load_world(tmp_path / "bad.npz")

    refusal("a world needs transition, reward", reward=REWARD, horizon=3)
    refusal("horizon", transition=TRANSITION, reward=REWARD)
    refusal("expected one number", transition=TRANSITION, reward=REWARD, horizon=[3, 4])
    refusal("horizon is 0", transition=TRANSITION, reward=REWARD, horizon=0)
    refusal("no pickled objects", transition=np.array([None]), reward=REWARD, horizon=3)
    (tmp_path / "text.npz").write_text("transition")
    for path, message in (("text.npz", "cannot be read"), ("missing.npz", "no file")):
        with pytest.raises(DataError, match=message):
            load_world(tmp_path / path)


def test_steps_follow_the_probabilities():
    world = FiniteMDP.of(TRANSITION, REWARD, 5, [0.25, 0, 0.75, 0], reward_noise="bernoulli")
    keys = jax.random.split(jax.random.key(0), 20_000)
    starts = np.bincount(jax.vmap(world.reset)(keys), minlength=4) / len(keys)
    np.testing.assert_allclose(starts, [0.25, 0, 0.75, 0], atol=0.01)
    state, action = jnp.array(1), jnp.array(2)
    following, rewards = jax.vmap(lambda key: world.step(0, state, action, key))(keys)
    np.testing.assert_allclose(np.bincount(following, minlength=4) / len(keys), TRANSITION[1, 2], atol=0.015)
    assert float(rewards.mean()) == pytest.approx(REWARD[1, 2], abs=0.015)
    assert set(np.unique(rewards)) == {0.0, 1.0}
