"""UCBVI with recorded data."""

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.finite.bpi_ucbvi import BPIUCBVI
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import Counts
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.rare_rooms import rare_rooms
from headstart.finite.warm_start import WarmStartUCBVI

WORLD = rare_rooms()
UNIFORM = np.full((WORLD.horizon, WORLD.states, WORLD.actions), 1 / WORLD.actions)


def test_recorded_data_save_episodes_and_none_change_nothing():
    learner = WarmStartUCBVI(epsilon=0.3, bonus_scale=0.02)
    recorded = draw_episodes(WORLD, UNIFORM, 20_000, np.random.default_rng(0))
    none = Counts(np.zeros_like(recorded.transitions), np.zeros_like(recorded.reward_sums))
    warm, cold = learner.continue_from(WORLD, recorded), learner.continue_from(WORLD, none)
    plain = BPIUCBVI(epsilon=0.3, bonus_scale=0.02).run(WORLD)
    assert cold.episodes == plain.episodes
    np.testing.assert_array_equal(cold.policy, plain.policy)
    assert warm.episodes < cold.episodes / 2
    assert value_of(WORLD, backward_induction(WORLD).policy) - value_of(WORLD, warm.policy) <= 0.3


def test_data_of_another_world_are_refused():
    other = Counts(np.zeros((1, 2, 3, 2)), np.zeros((1, 2, 3)))
    with pytest.raises(DataError, match="this world has"):
        WarmStartUCBVI().continue_from(WORLD, other)
