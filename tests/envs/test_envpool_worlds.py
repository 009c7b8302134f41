"""EnvPool behind the same interface; the behaviour is tested where EnvPool is installed."""

import importlib.util

import numpy as np
import pytest

from headstart.core.errors import UsageError, WorldError
from headstart.envs.registry import make

installed = importlib.util.find_spec("envpool") is not None


def test_it_is_asked_for_or_left_out():
    if not installed:
        with pytest.raises(UsageError, match="EnvPool is not installed"):
            make("Hopper-v5", engine="envpool")
    assert make("pendulum", engine="auto").reset().shape == (1, 3)
    with pytest.raises(UsageError, match="unknown engine"):
        make("Hopper-v5", engine="envpol")


def test_successors_are_exact_and_no_step_is_spent_on_a_reset():
    pytest.importorskip("envpool")
    worlds = make("Hopper-v5", count=4, seed=1, engine="envpool", max_episode_steps=30)
    assert worlds.spec == make("Hopper-v5").spec
    random = np.random.default_rng(0)
    observations, length, ends = worlds.reset(), np.zeros(4, int), 0
    starts = {tuple(row) for row in observations.tolist()}
    for _ in range(150):
        moved = worlds.step(random.uniform(-1, 1, (4, 3)).astype(np.float32))
        length += 1
        ended = moved.terminations | moved.truncations
        assert not (moved.terminations & moved.truncations).any()
        assert np.array_equal(moved.truncations, (length == 30) & ~moved.terminations)
        assert np.all(moved.rewards != 0)  # a step spent on a reset pays exactly nothing
        assert np.array_equal(moved.observations[~ended], moved.next_observations[~ended])
        for index in np.flatnonzero(ended):
            assert abs(moved.observations[index, 0] - 1.25) < 0.01  # a fresh episode's height
            starts.add(tuple(moved.observations[index].tolist()))
        ends += ended.sum()
        length[ended] = 0
    assert ends > 10
    assert len(starts) == 4 + ends
    assert moved.observations.dtype == moved.rewards.dtype == np.float32


def test_limits_are_explained():
    pytest.importorskip("envpool")
    worlds = make("CartPole-v1", count=2, engine="auto")
    worlds.reset()
    assert worlds.step(np.array([0, 1])).rewards.tolist() == [1, 1]
    with pytest.raises(WorldError, match="in the middle of an episode"):
        worlds.load_state(worlds.save_state())
    with pytest.raises(UsageError, match=r"shape \(3,\); expected \(2,\)"):
        worlds.step(np.array([0, 1, 0]))
    with pytest.raises(UsageError, match="did you mean Hopper-v5"):
        make("Hoper-v5", engine="envpool")
    with pytest.raises(UsageError, match="flatten"):
        make("Hopper-v5", engine="envpool", flatten=True)
