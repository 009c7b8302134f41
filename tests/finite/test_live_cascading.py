"""A learner of lists on a system of one's own."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.best_permutation import NOTHING
from headstart.finite.cascading import CascadingSpec
from headstart.finite.cascading_counts import counts_of_log
from headstart.finite.cascading_vi import CascadingVI
from headstart.finite.live_cascading import LiveCascading

SPEC = CascadingSpec(states=2, items=4, horizon=2, list_size=2)
REWARD = np.full((2, 4), 0.5)
LEARNER = CascadingVI()


@pytest.fixture(scope="module")
def live() -> LiveCascading:
    return LiveCascading(LEARNER, SPEC, REWARD)


def test_it_comes_to_show_what_is_clicked(live):
    for _ in range(25):
        for step in range(2):
            shown = live.recommend(0, step)
            assert 1 <= len(set(shown)) == len(shown) <= 2
            live.update(0, shown, shown.index(3) if 3 in shown else None, 0)
        live.begin()
    assert 3 in live.recommend(0, 0)
    assert live.counts()[0].sum() >= 50


def test_it_starts_from_a_log_as_if_it_had_seen_it():
    sessions = ([0, 0, 1], [[1, 2], [2, 1], [0]], [1, NOTHING, 0], [1, 0, 0])
    logged = LiveCascading(LEARNER, SPEC, REWARD, counts_of_log(SPEC, *sessions))
    seen = LiveCascading(LEARNER, SPEC, REWARD)
    for state, shown, clicked, following in zip(*sessions):
        seen.update(state, shown, None if clicked == NOTHING else clicked, following)
    for ours, theirs in zip(seen.state.counts, logged.state.counts):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ((0, [], None, 0), "0 items; expected 1 to 2"),
        ((0, [0, 1, 2], None, 0), "3 items"),
        ((0, [1, 1], 0, 0), "twice"),
        ((0, [0, 9], None, 0), "0 to 3"),
        ((0, [0, 1], 2, 0), "at place 2"),
        ((2, [0], None, 0), "state 2 of 2"),
        ((0, [0], None, -1), "next state -1"),
    ],
)
def test_reports_that_cannot_be_are_refused_and_not_learned(live, report, words):
    before = live.counts()
    with pytest.raises(DataError, match=words):
        live.update(*report)
    np.testing.assert_array_equal(live.counts(), before)


def test_states_and_rewards_that_are_not_there_are_refused(live):
    with pytest.raises(UsageError, match="2 states and 2 steps"):
        live.recommend(0, 2)
    with pytest.raises(DataError, match=r"\[2, 4\]"):
        LiveCascading(LEARNER, SPEC, 2 * REWARD + 0.1)
