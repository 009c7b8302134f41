"""The pure-JAX worlds behave as published, and can be driven inside compiled loops."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.core.specs import Discrete
from headstart.envs import mountain_car
from headstart.envs.functional import noisy_controller, rollout, start, step_with_reset, uniform_policy
from headstart.envs.lava_gap import LavaGap
from headstart.envs.pendulum import Pendulum
from headstart.envs.point_maze import MAPS, PointMaze
from headstart.envs.table_kitchen import TableKitchen

WORLDS = [PointMaze("umaze"), Pendulum(), mountain_car.discrete(), mountain_car.continuous(), TableKitchen(), LavaGap()]
KEY = jax.random.key(0)


EPISODES = 400  # the same everywhere, so that what one test compiled serves the next


def scripted(world, **disturbance):
    return rollout(world, noisy_controller(world, **disturbance), KEY, EPISODES, from_state=True)


def random(world):
    return rollout(world, uniform_policy(world), KEY, EPISODES)


@pytest.mark.parametrize(("maze", "steps"), [("umaze", 21), ("medium", 36), ("large", 50)])
def test_maze_controller_takes_a_shortest_path(maze, steps):
    episodes = scripted(PointMaze(maze))
    assert np.all(episodes.returns() == 1.0)
    assert np.all(episodes.terminations.any(axis=1))
    assert np.mean(episodes.lengths()) == pytest.approx(steps, abs=0.7)


def test_undirected_maze_data_covers_the_maze_and_rarely_touches_the_goal():
    world = PointMaze("medium", start="random", destination="roaming")
    steps = scripted(world, noise=0.5).steps()
    assert 0 < steps["rewards"].mean() < 0.01
    visited = np.zeros((8, 8), bool)
    visited[tuple(np.floor((steps["observations"][:, :2] + 1) * 4).astype(int).T)] = True
    assert np.array_equal(visited, np.array([list(row) for row in MAPS["medium"]]) != "#")  # and so walls hold


def test_dense_maze_reward_falls_with_the_distance_to_the_goal():
    world = PointMaze("umaze", reward="dense", terminate=False)
    state = world.reset(KEY)._replace(position=jnp.array([1.5, 2.5]))
    _, reward, terminated = world.step(state, jnp.zeros(2))
    assert reward == pytest.approx(np.exp(-1))
    assert not terminated


def test_pendulum_returns_match_the_published_script():
    world = Pendulum()
    assert scripted(world).returns().mean() == pytest.approx(-140, abs=20)
    assert scripted(world, noise=1.0).returns().mean() == pytest.approx(-494, abs=40)
    assert random(world).returns().mean() == pytest.approx(-1177, abs=80)


def test_pendulum_action_noise_changes_outcomes_reproducibly():
    noisy, state = Pendulum(action_noise=0.1), Pendulum().reset(KEY)
    first, _, _ = noisy.step(state, jnp.zeros(1))
    assert noisy.step(state, jnp.zeros(1))[0].velocity == first.velocity
    assert Pendulum().step(state, jnp.zeros(1))[0].velocity != first.velocity
    second, _, _ = noisy.step(first._replace(angle=state.angle, velocity=state.velocity), jnp.zeros(1))
    assert second.velocity != first.velocity


def test_mountain_cars_reach_the_goal_only_when_driven():
    discrete, continuous = mountain_car.discrete(), mountain_car.continuous()
    assert scripted(discrete).returns().mean() == pytest.approx(-119.5, abs=1.0)
    assert np.all(random(discrete).returns() == -200)
    assert np.all(scripted(continuous).returns() > 85)
    assert random(continuous).returns().mean() < 0


@pytest.mark.parametrize("name", ["MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"])
def test_dynamics_equal_gymnasium(name):
    world = {
        "MountainCar-v0": mountain_car.discrete(),
        "MountainCarContinuous-v0": mountain_car.continuous(),
        "Pendulum-v1": Pendulum(),
    }[name]
    env = gymnasium.make(name)
    env.reset(seed=0)
    state = world.reset(KEY)
    fields = ("angle", "velocity") if name == "Pendulum-v1" else ("position", "velocity")
    env.unwrapped.state = np.array([float(getattr(state, field)) for field in fields])
    step, controller = jax.jit(world.step), jax.jit(world.controller)
    for index in range(50):  # float32 has not drifted from float64 yet
        action = controller(state)
        scale = 2.0 if name == "Pendulum-v1" else 1.0
        outer = int(action) if isinstance(world.spec.action, Discrete) else np.asarray(action) * scale
        _, reward, terminated, _, _ = env.step(outer)
        state, our_reward, our_termination = step(state, action)
        ours = np.array([float(getattr(state, field)) for field in fields])
        np.testing.assert_allclose(ours, env.unwrapped.state, atol=2e-3, err_msg=f"step {index}")
        assert float(our_reward) == pytest.approx(float(reward), abs=2e-2)
        assert bool(our_termination) == terminated
        if terminated:
            break


def test_kitchen_demonstrations_never_show_the_new_task():
    episodes = scripted(TableKitchen(), noise=0.2)
    final = np.asarray(episodes.next_observations[:, -1, 4:])
    seen, unseen = final[:, [0, 1, 3, 4]].sum(axis=1), final[:, [0, 1, 2, 3]].sum(axis=1)
    assert seen.mean() == pytest.approx(3.26, abs=0.07)
    assert set(seen) == {3, 4}
    assert np.all(unseen == 3)
    np.testing.assert_allclose(episodes.rewards[:, -1], seen / 4 - 1)


def test_kitchen_without_targets_pays_nothing():
    world = TableKitchen(targets=())
    _, reward, _ = world.step(world.reset(KEY), jnp.zeros(2))
    assert reward == -1.0


def test_lava_gap_is_deterministic_and_its_controller_optimal():
    world = LavaGap()
    episodes = scripted(world)
    # From (0, 0) to (4, 4): eight steps forward and one to three turns, by where the gap is.
    assert set(np.asarray(episodes.lengths()).tolist()) <= {9, 10, 11}
    assert np.all(episodes.returns() == 1.0 - np.float32(0.9) * episodes.lengths() / 196)
    steps = random(world).steps()
    pairs = np.column_stack([steps["observations"], steps["actions"]])
    together = np.column_stack([pairs, steps["next_observations"]])
    assert len(np.unique(pairs, axis=0)) == len(np.unique(together, axis=0))


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_worlds_are_hashable_and_fit_their_spec(world):
    assert hash(world) == hash(type(world)(**vars(world)))
    episodes = scripted(world, noise=0.2) if isinstance(world, TableKitchen) else scripted(world)
    assert episodes.observations.shape == (EPISODES, world.horizon, *world.spec.observation.shape)
    assert episodes.observations.dtype == episodes.rewards.dtype == jnp.float32
    assert np.all(np.abs(episodes.observations) <= 1.0)
    ends = np.asarray(episodes.terminations | episodes.truncations)
    assert np.all(ends.sum(axis=1) == 1)
    assert np.array_equal(episodes.lengths(), np.argmax(ends, axis=1) + 1)


@pytest.mark.parametrize("world", [PointMaze("umaze"), Pendulum(), LavaGap()], ids=lambda world: world.name)
def test_step_with_reset_keeps_true_successors_and_counts_the_time_limit(world):
    @jax.jit
    def run(key):
        acting = start(world, key)

        def body(acting, _):
            observation = world.observe(acting.state)
            acting, step = step_with_reset(world, acting, world.controller(acting.state))
            return acting, (observation, step, acting.steps)

        return jax.lax.scan(body, acting, None, length=2 * world.horizon + 1)[1]

    observations, steps, counts = jax.device_get(run(KEY))
    ends = steps.termination | steps.truncation
    assert ends.any()
    assert np.array_equal(counts == 0, ends)
    assert not (steps.termination & steps.truncation).any()
    assert np.array_equal(steps.observation[:-1], observations[1:])
    assert np.array_equal(steps.observation[~ends], steps.next_observation[~ends])
    assert not np.array_equal(steps.observation[ends], steps.next_observation[ends])
    if not steps.termination.any():
        assert np.array_equal(np.flatnonzero(ends) + 1, world.horizon * np.arange(1, 3))


def test_unusable_options_are_refused():
    with pytest.raises(UsageError, match="did you mean medium"):
        PointMaze("mediun")
    with pytest.raises(UsageError, match="accepted: goal, random, roaming"):
        PointMaze("medium", destination="anywhere")
    with pytest.raises(UsageError, match="0 to 4"):
        TableKitchen(targets=(0, 7))
    with pytest.raises(UsageError, match="row from 0 to 4"):
        LavaGap(gap=(5, 2))
