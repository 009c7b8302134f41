"""Host worlds: exact successors, reproducible episodes, states that continue bit for bit, errors that locate."""

import gymnasium
import numpy as np
import pytest

from headstart.core.errors import UsageError, WorldError
from headstart.core.specs import Discrete
from headstart.envs.registry import functional, list_worlds, make
from headstart.envs.worlds import GymnasiumWorlds, episode_seed


class Counter(gymnasium.Env):
    """Observes (steps this episode, a number drawn at the reset); ends by action or after four steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(5)

    def __init__(self, sabotage=None, truncate_at=4):
        self.sabotage, self.truncate_at = sabotage, truncate_at

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.drawn = 0, self.np_random.random()
        return np.array([0.0, self.drawn]), {}

    def step(self, action):
        self.steps += 1
        observation, reward = np.array([self.steps, self.drawn]), 1.0
        if action == 4:
            if self.sabotage == "raise":
                raise RuntimeError("motor failed")
            if self.sabotage == "observation":
                observation[1] = np.nan
            if self.sabotage == "reward":
                reward = float("inf")
        return observation, reward, bool(action == 3), self.steps >= self.truncate_at, {}


def drive(worlds, steps, seed=0):
    """The transitions of random actions, the same for the same seed."""
    random = np.random.default_rng(seed)
    return [worlds.step(random_actions(worlds, random)) for _ in range(steps)]


def random_actions(worlds, random):
    action = worlds.spec.action
    if isinstance(action, Discrete):
        return random.integers(0, action.n, worlds.count)
    return random.uniform(action.low, action.high, (worlds.count, action.size)).astype(np.float32)


def assert_equal(left, right):
    for a, b in zip(left, right, strict=True):
        for name, x, y in zip(a._fields, a, b, strict=True):
            assert np.array_equal(x, y), name


def test_successors_are_true_and_both_kinds_of_end_apart():
    worlds = GymnasiumWorlds(Counter, count=3, seed=1)
    first = worlds.reset()
    assert first.dtype == np.float32
    for step in range(3):
        moved = worlds.step(np.array([0, 3 if step == 1 else 0, 0]))
    assert moved.next_observations[:, 0].tolist() == [3, 1, 3]
    ended = worlds.step(np.array([0, 0, 3]))  # the last world terminates at its time limit: a termination
    assert ended.truncations.tolist() == [True, False, False]
    assert ended.terminations.tolist() == [False, False, True]
    assert ended.next_observations[:, 0].tolist() == [4, 2, 4]
    assert ended.observations[:, 0].tolist() == [0, 2, 0]
    assert ended.next_observations[0, 1] == first[0, 1] != ended.observations[0, 1]
    assert [array.dtype for array in ended[:4]] == [np.float32, np.float32, bool, bool]


def test_episodes_are_seeded_by_seed_world_and_number():
    one, other = GymnasiumWorlds(Counter, 2, seed=5), GymnasiumWorlds(Counter, 4, seed=5)
    assert np.array_equal(one.reset(), other.reset()[:2])
    drawn = {float(x) for w in range(4) for x in [other.reset()[w, 1]]} | {float(x) for x in one.reset()[:, 1]}
    assert len(drawn) > 4
    assert np.array_equal(one.reset(episode=0), GymnasiumWorlds(Counter, 2, seed=5).reset())
    assert len({episode_seed(s, w, e) for s in range(5) for w in range(5) for e in range(5)}) == 125
    assert all(0 <= episode_seed(s, 0, 0) < 2**31 for s in range(100))


@pytest.mark.parametrize("name", ["Hopper-v5", "Pendulum-v1", "CartPole-v1", "lava-gap", "point-maze-umaze"])
def test_a_restored_state_continues_bit_for_bit(name):
    worlds = make(name, count=2, seed=3)
    worlds.reset()
    drive(worlds, 75)
    state = worlds.save_state()
    assert all(array.dtype != object for array in state.values())
    expected = drive(worlds, 60, seed=1)
    other = make(name, count=2, seed=99)
    observations = other.load_state(state)
    assert np.array_equal(observations, state["observations"])
    assert_equal(drive(other, 60, seed=1), expected)
    again = other.save_state()
    assert all(np.array_equal(again[key], array) for key, array in worlds.save_state().items())


def test_a_state_from_before_the_first_reset_restores():
    worlds = GymnasiumWorlds(Counter, 2, seed=4)
    other = GymnasiumWorlds(Counter, 2, seed=0)
    other.load_state(worlds.save_state())
    assert np.array_equal(other.reset(), worlds.reset())


def test_a_world_that_ignores_its_seed_cannot_be_restored_silently():
    class Unseeded(Counter):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=None)

    worlds = GymnasiumWorlds(Unseeded, name="unseeded")
    worlds.reset()
    worlds.step(np.array([0]))
    with pytest.raises(WorldError, match=r"unseeded, world 0: replaying the 1 actions of episode 0"):
        GymnasiumWorlds(Unseeded, name="unseeded").load_state(worlds.save_state())


def test_a_state_of_other_worlds_is_refused():
    worlds = make("Pendulum-v1", count=2)
    worlds.reset()
    with pytest.raises(UsageError, match="does not fit 1 of Pendulum-v1"):
        make("Pendulum-v1").load_state(worlds.save_state())
    with pytest.raises(UsageError, match="does not fit 2 of CartPole-v1"):
        make("CartPole-v1", count=2).load_state(worlds.save_state())


@pytest.mark.parametrize(
    ("sabotage", "message"),
    [
        ("raise", r"counter, world 1, step 2 of episode 1, raised RuntimeError: motor failed"),
        ("observation", r"counter, world 1, step 2 of episode 1, returned an observation .*element 1 is nan"),
        ("reward", r"counter, world 1, step 2 of episode 1, returned the reward inf"),
    ],
)
def test_a_failing_world_is_located_and_the_state_before_it_saved(sabotage, message):
    def build():
        return GymnasiumWorlds(lambda: Counter(sabotage), count=2, seed=7, name="counter")

    worlds = build()
    worlds.reset()
    for _ in range(5):
        before = worlds.step(np.array([0, 0]))
    with pytest.raises(WorldError, match=message):
        worlds.step(np.array([0, 4]))
    with pytest.raises(UsageError, match="reset"):
        worlds.step(np.array([0, 0]))
    restored = build()
    assert np.array_equal(restored.load_state(worlds.save_state()), before.observations)
    restored.step(np.array([0, 0]))


def test_a_failing_reset_is_located():
    class Fragile(Counter):
        def reset(self, *, seed=None, options=None):
            observation, info = super().reset(seed=seed)
            return (observation if seed == episode_seed(0, 0, 0) else observation[:1]), info

    worlds = GymnasiumWorlds(Fragile, name="fragile")
    worlds.reset()
    with pytest.raises(WorldError, match=r"world 0, at the reset of episode 1, gave an observation of shape \(1,\)"):
        worlds.step(np.array([3]))


def test_unusable_actions_are_refused():
    worlds = make("Pendulum-v1", count=2)
    with pytest.raises(UsageError, match="call reset"):
        worlds.step(np.zeros((2, 1)))
    worlds.reset()
    with pytest.raises(UsageError, match=r"shape \(1, 1\); expected \(2, 1\)"):
        worlds.step(np.zeros((1, 1)))
    with pytest.raises(UsageError, match=r"\[-2, 2\]"):
        worlds.step(np.full((2, 1), 7.0))
    counter = GymnasiumWorlds(Counter)
    counter.reset()
    with pytest.raises(UsageError, match="integers from 0 to 4"):
        counter.step(np.array([5]))
    worlds.step(np.ones((2, 1)))
    with pytest.raises(WorldError, match="given an action that is not finite"):
        worlds.step(np.array([[0.0], [np.nan]]))


def test_the_callers_arrays_may_be_reused():
    worlds, other = make("Pendulum-v1"), make("Pendulum-v1")
    worlds.reset()
    actions = np.zeros((1, 1), np.float32)
    for step in range(5):
        actions[:] = step / 4
        moved = worlds.step(actions)
    expected = moved.observations.copy()
    moved.observations[:] = 0
    assert np.array_equal(other.load_state(worlds.save_state()), expected)


def test_own_worlds_and_those_of_others_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_worlds.py").write_text(
        "import gymnasium\n"
        "from headstart.envs.pendulum import Pendulum\n"
        "class Mine(gymnasium.Env):\n"
        "    action_space = gymnasium.spaces.Box(-1, 1, (2,))\n"
        "    def __init__(self, size=3):\n"
        "        self.observation_space = gymnasium.spaces.Dict({'a': gymnasium.spaces.Box(-1, 1, (size, 2))})\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        return self.observation_space.sample(), {}\n"
        "    def step(self, action):\n"
        "        return self.observation_space.sample(), 0.0, False, False, {}\n"
        "def moon():\n"
        "    return Pendulum(gravity=1.6)\n"
        "gymnasium.register('Mine-v0', Mine, max_episode_steps=2)\n"
    )
    flat = make("my_worlds:Mine", size=4, flatten=True, max_episode_steps=3)
    assert flat.spec.observation.shape == (8,)
    flat.reset()
    assert [bool(flat.step(np.zeros((1, 2))).truncations[0]) for _ in range(4)] == [False, False, True, False]
    assert make("my_worlds:Mine-v0", flatten=True).spec.observation.shape == (6,)
    assert make("my_worlds:moon").spec == functional("pendulum").spec
    assert functional("my_worlds:moon").gravity == 1.6
    with pytest.raises(UsageError, match="FlattenObservation"):
        make("my_worlds:Mine")
    with pytest.raises(UsageError, match="did you mean"):
        make("my_worlds:Mines")
    with pytest.raises(UsageError, match=r"options \{'weight': 3\}"):
        make("my_worlds:Mine", weight=3)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("HalfCheeta-v5", "HalfCheetah-v5"), ("Hopper-v99", "Hopper-v5"), ("point-maze-big", "point-maze-")],
)
def test_unknown_names_offer_the_nearest(name, nearest):
    with pytest.raises(UsageError, match=f"unknown world.*{nearest}"):
        make(name)


def test_options_reach_the_world_or_are_refused():
    assert make("Hopper-v5", exclude_current_positions_from_observation=False).spec.observation.shape == (12,)
    assert functional("point-maze-medium", start="random").start == "random"
    with pytest.raises(UsageError, match="gravitas"):
        make("pendulum", gravitas=3)
    with pytest.raises(UsageError, match="gravitas"):
        make("Hopper-v5", gravitas=3)
    with pytest.raises(UsageError, match="at least one world"):
        make("Pendulum-v1", count=0)


def test_listed_worlds_can_be_made():
    entries = list_worlds()
    names = [entry.name for entry in entries]
    assert {"point-maze-medium", "lava-gap", "Hopper-v5", "CartPole-v1"} <= set(names)
    assert "Hopper-v4" not in names
    for entry in entries:
        if entry.target.startswith("headstart"):
            assert make(entry.name).reset().dtype == np.float32
