"""Snapshots restore exactly, are chosen as published, and are refused where they cannot be right."""

import itertools
from functools import partial

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.wrappers import FrameStackObservation, NormalizeObservation, TimeLimit

from headstart.core.errors import CheckpointError, UsageError
from headstart.envs.clusters import value_clusters
from headstart.envs.functional import noisy_controller, rollout, start
from headstart.envs.gymnasium_face import FunctionalEnv
from headstart.envs.mountain_car import MountainCar
from headstart.envs.pendulum import Pendulum
from headstart.envs.registry import make_environment
from headstart.envs.snapshots import SnapshotEnv, Snapshots, SnapshotWorld, collect_snapshots
from headstart.envs.state_access import ArrayState, CopiedState, checksum, state_access
from headstart.envs.worlds import GymnasiumWorlds

WORLD = MountainCar(continuous=True)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def snapshots():
    return collect_snapshots(WORLD, episodes=10, every=10)


@pytest.fixture(scope="module")
def hopper():
    random = np.random.default_rng(0)

    def teacher(_):
        return random.uniform(-0.3, 0.3, 3).astype(np.float32)

    return collect_snapshots(make_environment("Hopper-v5"), teacher, episodes=4, every=5, value=lambda o: o[:, 0])


class Drifting(gymnasium.Env):
    """Its state is a Python number and its random generator."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0.0
        return np.array([self.place]), {}

    def step(self, action):
        self.place += float(action[0]) + self.np_random.normal()
        return np.array([self.place]), self.place, False, False, {}


def replay(environment, actions):
    return [environment.step(action)[:4] for action in actions]


def assert_same(left, right):
    for (observation, *rest), (other, *other_rest) in zip(left, right, strict=True):
        assert np.array_equal(observation, other)
        assert rest == other_rest


@pytest.mark.parametrize("name", ["Hopper-v5", "Humanoid-v5", "Ant-v5", "Reacher-v5", "pendulum", "copied"])
def test_restoring_and_replaying_reproduces_everything(name):
    make = (lambda: TimeLimit(Drifting(), 50)) if name == "copied" else (lambda: make_environment(name))
    environment = make()
    environment.reset(seed=1)
    environment.action_space.seed(0)
    actions = [environment.action_space.sample() for _ in range(18)]
    replay(environment, actions[:6])
    access = state_access(environment)
    assert isinstance(access, CopiedState if name == "copied" else ArrayState)
    state = access.get_state()
    expected = replay(environment, actions[6:])
    other = make()
    other.reset(seed=2)
    fresh = state_access(other)
    for _ in range(2):
        fresh.set_state(state)
        assert_same(replay(fresh.environment, actions[6:]), expected)


def test_the_time_limit_is_part_of_the_state():
    environment = make_environment("Hopper-v5", max_episode_steps=8)
    environment.reset(seed=0)
    replay(environment, [np.zeros(3, np.float32)] * 5)
    access = state_access(environment)
    state = access.get_state()
    environment.reset(seed=0)
    access.set_state(state)
    assert [step[3] for step in replay(environment, [np.zeros(3, np.float32)] * 3)] == [False, False, True]


def test_what_is_collected(snapshots):
    assert snapshots.steps[:3].tolist() == [0, 10, 20]
    assert np.all(snapshots.steps % 10 == 0)
    assert np.sum(snapshots.steps == 0) == 10
    assert snapshots.observations.shape == (len(snapshots), 2)
    # Without a teacher's critic the value is the return that followed: it grows towards the goal.
    first = slice(0, int(np.argmax(snapshots.steps[1:] == 0)) + 1)
    assert np.all(np.diff(snapshots.values[first]) > 0)
    assert snapshots.values.max() < 100


def test_only_the_best_episodes_are_kept_and_a_critic_may_value_them():
    best = collect_snapshots(WORLD, episodes=4, best=1, value=lambda observations: observations[:, 0])
    assert np.sum(best.steps == 0) == 1
    assert np.array_equal(best.values, best.observations[:, 0])


def test_clusters_are_the_best_partition():
    random = np.random.default_rng(0)
    for values in (random.normal(size=7), random.integers(0, 4, 7).astype(float)):
        labels = value_clusters(values, 3)

        def error(labels, values=values):
            return sum(np.sum((values[labels == k] - values[labels == k].mean()) ** 2) for k in np.unique(labels))

        every = (np.array(choice) for choice in itertools.product(range(3), repeat=7))
        assert error(labels) == pytest.approx(min(error(choice) for choice in every))
    assert value_clusters(np.array([5.0, 1.0, 5.1, 1.1]), 2).tolist() == [1, 0, 1, 0]
    assert value_clusters(np.ones(7), 3).tolist() == [0] * 7
    assert np.unique(value_clusters(np.array([1.0, 1.0, 2.0, 2.0]), 4)).size == 2


def test_rare_values_are_chosen_as_often_as_common_ones_and_one_cluster_is_uniform(snapshots):
    assert np.array_equal(snapshots.probabilities("value_clusters", 1), snapshots.probabilities("uniform", 6))
    labels = value_clusters(snapshots.values, 6)
    chosen = snapshots.probabilities("value_clusters", 6)
    for cluster in range(6):
        assert chosen[labels == cluster].sum() == pytest.approx(1 / 6)
        assert np.ptp(chosen[labels == cluster]) == 0
    uniform = SnapshotWorld(WORLD, snapshots, chooser="uniform")
    single = SnapshotWorld(WORLD, snapshots, clusters=1)
    keys = jax.random.split(KEY, 4000)
    starts = jax.vmap(uniform.reset)(keys)
    assert np.array_equal(starts.position, jax.vmap(single.reset)(keys).position)
    positions, multiplicity = np.unique(snapshots.states["leaf-0"], return_counts=True)
    counts = np.array([np.sum(starts.position == position) for position in positions])
    expected = 4000 * multiplicity / len(snapshots)
    assert np.sum((counts - expected) ** 2 / expected) < len(positions) + 4 * np.sqrt(2 * len(positions))


def test_a_functional_world_starts_at_snapshots_and_truncates_early(snapshots):
    world = SnapshotWorld(WORLD, snapshots, truncate_after=7)
    episodes = rollout(world, noisy_controller(world), KEY, 64, from_state=True)
    assert {tuple(row) for row in np.asarray(episodes.observations[:, 0]).tolist()} <= {
        tuple(row) for row in snapshots.observations.tolist()
    }
    assert np.all(episodes.lengths() <= 7)
    assert np.any(episodes.truncations[:, 6])
    assert np.any(episodes.terminations)
    assert SnapshotWorld(WORLD, snapshots, truncate_after=None).horizon == WORLD.horizon


def test_a_running_episode_carries_over_to_the_bare_world(snapshots):
    inside, bare = (jax.eval_shape(partial(start, world), KEY) for world in (SnapshotWorld(WORLD, snapshots), WORLD))
    assert jax.tree.structure(inside) == jax.tree.structure(bare)
    assert [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(inside)] == [
        (leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(bare)
    ]


def test_noise_is_drawn_anew_at_each_restart():
    noisy = Pendulum(action_noise=1.0)
    world = SnapshotWorld(noisy, collect_snapshots(noisy, episodes=1, every=300), clusters=1, truncate_after=5)
    first, second = (world.reset(key) for key in jax.random.split(KEY))
    assert first.angle == second.angle
    assert not np.array_equal(jax.random.key_data(first.key), jax.random.key_data(second.key))


def test_without_steps_to_spend_it_is_the_bare_environment(hopper):
    bare, wrapped = make_environment("Hopper-v5"), SnapshotEnv(make_environment("Hopper-v5"), hopper, until_step=0)
    bare.action_space.seed(0)
    for seed in (4, None):
        assert np.array_equal(bare.reset(seed=seed)[0], wrapped.reset(seed=seed)[0])
        actions = [bare.action_space.sample() for _ in range(15)]
        assert_same(replay(bare, actions), replay(wrapped, actions))


def test_gymnasium_episodes_start_at_snapshots_until_the_step(hopper):
    environment = SnapshotEnv(make_environment("Hopper-v5"), hopper, clusters=3, truncate_after=6, until_step=10)
    observation, information = environment.reset(seed=0)
    assert np.array_equal(observation, hopper.observations[information["snapshot"]])
    assert np.array_equal(environment.reset(seed=0)[0], observation)
    ends = [any(environment.step(np.zeros(3, np.float32))[2:4]) for _ in range(6)]
    assert ends[-1]
    environment.set_total_steps(10)
    assert "snapshot" not in environment.reset(seed=0)[1]
    late = int(np.argmax(hopper.steps))
    environment = SnapshotEnv(make_environment("Hopper-v5"), hopper, clusters=3, truncate_after=None)
    environment.reset(seed=0)
    environment._restore(late)
    assert environment.get_wrapper_attr("_elapsed_steps") == 0


@pytest.mark.parametrize("kind", ["arrays", "copies"])
def test_worlds_over_snapshots_continue_bit_for_bit(hopper, kind):
    def factory():
        if kind == "arrays":
            return SnapshotEnv(make_environment("Hopper-v5"), hopper, clusters=3, truncate_after=6, until_step=40)
        copies = collect_snapshots(TimeLimit(Drifting(), 9), lambda _: np.ones(1), episodes=2, every=4)
        return SnapshotEnv(TimeLimit(Drifting(), 9), copies, clusters=2, truncate_after=6, until_step=40)

    worlds, other = GymnasiumWorlds(factory, 2, seed=1), GymnasiumWorlds(factory, 2, seed=0)
    worlds.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 2, *worlds.spec.action.shape)).astype(np.float32)
    for row in actions[:15]:
        worlds.step(row)
    other.load_state(worlds.save_state())
    for row in actions[15:]:
        for left, right in zip(worlds.step(row), other.step(row), strict=True):
            assert np.array_equal(left, right)


def test_histories_and_statistics_belong_around_it(hopper):
    with pytest.raises(UsageError, match="NormalizeObservation keeps running statistics"):
        state_access(NormalizeObservation(make_environment("Hopper-v5")))
    around = NormalizeObservation(SnapshotEnv(make_environment("Hopper-v5"), hopper, clusters=2))
    assert np.all(np.isfinite(around.reset(seed=0)[0]))
    stacked = FrameStackObservation(make_environment("pendulum"), 3)
    copies = collect_snapshots(stacked, lambda _: np.ones(1, np.float32), episodes=1, every=20)
    observation, information = SnapshotEnv(stacked, copies, chooser="uniform").reset(seed=0)
    assert np.array_equal(observation, copies.observations[information["snapshot"]])


def test_a_file_keeps_them(tmp_path, hopper, snapshots):
    for kept in (hopper, snapshots):
        kept.save(tmp_path / "kept.safetensors")
        found = Snapshots.load(tmp_path / "kept.safetensors")
        assert found.world == kept.world
        assert np.array_equal(found.observations, kept.observations)
        assert found.observations.dtype == kept.observations.dtype
        assert all(np.array_equal(found.states[name], array) for name, array in kept.states.items())
    (tmp_path / "damaged.safetensors").write_bytes((tmp_path / "kept.safetensors").read_bytes()[:200])
    for name in ("damaged.safetensors", "missing.safetensors"):
        with pytest.raises(CheckpointError, match=name):
            Snapshots.load(tmp_path / name)
    copies = collect_snapshots(TimeLimit(Drifting(), 9), lambda _: np.ones(1), episodes=1)
    with pytest.raises(UsageError, match="only states made of arrays"):
        copies.save(tmp_path / "copies.safetensors")


def test_what_cannot_be_right_is_refused(snapshots, hopper):
    with pytest.raises(UsageError, match="checksum"):
        SnapshotWorld(MountainCar(continuous=False), snapshots)
    heavier = make_environment("Hopper-v5")
    heavier.unwrapped.model.body_mass[:] *= 2
    with pytest.raises(UsageError, match="its version, options or model differ"):
        SnapshotEnv(heavier, hopper)
    assert checksum(make_environment("Hopper-v5")) == checksum(make_environment("Hopper-v5")) == hopper.world
    assert checksum(make_environment("Hopper-v5", healthy_reward=2.0)) != hopper.world
    with pytest.raises(UsageError, match="snapshot 2 is of a terminated state"):
        Snapshots({"x": np.zeros(3)}, np.zeros((3, 1)), np.zeros(3), np.arange(3), "", np.array([False, False, True]))
    with pytest.raises(UsageError, match="value of snapshot 1 is not finite"):
        Snapshots({"x": np.zeros(2)}, np.zeros((2, 1)), np.array([0, np.nan]), np.arange(2), "")
    with pytest.raises(UsageError, match="clusters=1000 for"):
        SnapshotWorld(WORLD, snapshots, clusters=1000)
    with pytest.raises(UsageError, match="did you mean uniform"):
        SnapshotWorld(WORLD, snapshots, chooser="unifrm")
    with pytest.raises(UsageError, match="truncate_after=0"):
        SnapshotEnv(FunctionalEnv(WORLD), snapshots, truncate_after=0)
    with pytest.raises(UsageError, match="no scripted controller"):
        collect_snapshots(make_environment("Hopper-v5"))


def test_an_environment_that_cannot_be_copied_is_told_what_it_lacks():
    class Rendering(Drifting):
        def __deepcopy__(self, memo):
            raise TypeError("cannot copy a rendering context")

    with pytest.raises(UsageError, match=r"get_state\(\) and set_state\(state\)"):
        collect_snapshots(Rendering(), lambda _: np.zeros(1))
