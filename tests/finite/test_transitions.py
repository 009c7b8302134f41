"""Recorded transitions: what they count up to, how they are split, what is refused."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.transitions import Transitions


def some(rows=50, seed=0):
    generator = np.random.default_rng(seed)
    states, actions, following = (generator.integers(0, below, rows) for below in (4, 3, 4))
    rewards, ended = generator.random(rows), generator.random(rows) < 0.2
    return Transitions.of(states, actions, rewards, following, ended, n_states=4, n_actions=3)


def test_counts_are_what_a_loop_would_count():
    data = some()
    visits, rewards, following = np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3, 4))
    for row in range(len(data)):
        cell = data.observations[row], data.actions[row]
        visits[cell] += 1
        rewards[cell] += data.rewards[row]
        if not data.terminations[row]:
            following[(*cell, data.next_observations[row])] += 1
    counts = data.counts()
    np.testing.assert_allclose(counts.visits, visits)
    np.testing.assert_allclose(counts.reward_sums, rewards)
    np.testing.assert_allclose(counts.transitions, following)


def test_parts_are_of_equal_size_and_add_up():
    data = some()
    parts = data.split(7, seed=3)
    assert {int(part.visits.sum()) for part in parts} == {7, 8}
    np.testing.assert_allclose(sum(part.reward_sums for part in parts), data.counts().reward_sums)
    with pytest.raises(UsageError, match="parts is 0"):
        data.split(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": [0, 4]}, r"observations hold 4 at \[1\]; expected whole numbers from 0 to 3"),
        ({"actions": [0.0, 1.0]}, "actions are of type float64"),
        ({"rewards": [0.5, np.nan]}, r"rewards hold nan at \[1\]"),
        ({"rewards": [0.5, 1.5]}, "within"),
        ({"next_observations": [1]}, "equal lengths"),
    ],
)
def test_malformed_columns_are_refused(change, message):
    columns = {"observations": [0, 1], "actions": [0, 1], "rewards": [0.0, 1.0], "next_observations": [1, 2]} | change
    with pytest.raises(DataError, match=message):
        Transitions.of(**columns, n_states=4, n_actions=3)
