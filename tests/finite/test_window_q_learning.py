"""Q-learning on windows of observations."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.pomdp import FinitePOMDP, play
from headstart.finite.window_q_learning import WindowQLearning, uniform_actions, window


def remember() -> FinitePOMDP:
    """A sign is shown at the first step and hidden later; at the last, the action that it names pays."""
    transition = np.tile(np.eye(2)[:, None], (1, 2, 1))
    emission = np.zeros((3, 2, 3))
    emission[0, [0, 1], [0, 1]] = 1
    emission[1:, :, 2] = 1
    reward = np.zeros((3, 2, 2))
    reward[2] = np.eye(2)
    return FinitePOMDP.of(transition, emission, reward, 3, [0.5, 0.5])


def value(policy) -> float:
    return play(remember(), policy.choose, 500, np.random.default_rng(9)).rewards.sum(1).mean()


def test_a_window_that_reaches_back_to_the_sign_learns_what_shorter_ones_cannot():
    assert value(WindowQLearning(window=3).run(remember(), 600).policy) == 1
    assert value(WindowQLearning(window=1).run(remember(), 600).policy) < 0.7


def test_what_is_hidden_can_be_remembered_by_what_was_done():
    """The sign is out of sight of the last window, but the action in between is not."""
    assert value(WindowQLearning(window=2).run(remember(), 600).policy) == 1


def test_actions_are_part_of_a_window():
    assert window(2, np.array([5, 6, 7]), np.array([0, 1]), 2) == (2, 6, 1, 7)
    assert window(0, np.array([5]), np.array([]), 2) == (0, 5)


def test_random_actions_are_even():
    generator = np.random.default_rng(0)
    played = play(remember(), uniform_actions(remember(), generator), 4000, generator)
    assert played.actions.mean() == pytest.approx(0.5, abs=0.02)
    assert played.rewards.sum(1).mean() == pytest.approx(0.5, abs=0.03)


def test_impossible_fields_are_refused():
    with pytest.raises(UsageError, match="at least 1"):
        WindowQLearning(window=0)
