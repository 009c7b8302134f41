"""FTPedel on the world of rare doors: what data save, what it returns, what it refuses."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import Counts
from headstart.finite.episodic_vi_lcb import EpisodicVILCB
from headstart.finite.ftpedel import FTPedel
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.rare_rooms import door_policies, rare_rooms, recorded_doors

WORLD = rare_rooms()
POLICIES = door_policies(WORLD)
VALUES = np.array([value_of(WORLD, policy) for policy in POLICIES])


def recorded(doors, samples=100_000):
    return recorded_doors(WORLD, doors, samples, np.random.default_rng(0))


def test_the_world_is_worth_what_it_says():
    assert len(np.unique(POLICIES.reshape(24, -1), axis=0)) == 24
    assert VALUES.max() == pytest.approx(0.44)
    assert VALUES[:20].max() == pytest.approx(0.29)
    assert backward_induction(WORLD).values[0, 0] == pytest.approx(0.44)


def test_data_save_episodes_and_the_policy_is_right():
    learner = FTPedel(epsilon=0.2)
    found = {doors: learner.run(WORLD, POLICIES, recorded(doors), seed=1) for doors in (0, 5, 6)}
    assert found[6].online_episodes == 0 < found[5].online_episodes < 0.5 * found[0].online_episodes
    for result in found.values():
        assert result.certified
        assert VALUES.max() - VALUES[result.index] <= result.certificate <= 0.2
        assert np.array_equal(result.policy, POLICIES[result.index])


def test_no_data_are_as_empty_data_and_a_seed_is_a_run():
    learner = FTPedel(epsilon=0.5)
    nothing = Counts(np.zeros((2, 8, 6, 8)), np.zeros((2, 8, 6)))
    runs = [learner.run(WORLD, POLICIES, data, seed=3) for data in (None, nothing, None)]
    assert np.array_equal(runs[0].episodes, runs[1].episodes)
    assert np.array_equal(runs[0].episodes, runs[2].episodes)


def test_the_oracle_design_needs_no_more_than_the_optimistic_one_by_much():
    oracle, optimistic = (
        FTPedel(epsilon=0.2, design=design).run(WORLD, POLICIES) for design in ("oracle", "optimistic")
    )
    assert oracle.online_episodes <= 1.2 * optimistic.online_episodes


def test_out_of_episodes_it_says_so():
    found = FTPedel(max_episodes=500).run(WORLD, POLICIES)
    assert not found.certified
    assert found.certificate > 0.1
    assert found.online_episodes == 500


def test_pessimism_has_the_best_policy_of_expert_data_and_never_leaves_what_is_covered():
    expert = draw_episodes(WORLD, POLICIES[VALUES.argmax()], 20_000, np.random.default_rng(0))
    plan = EpisodicVILCB().plan(expert)
    assert value_of(WORLD, plan.policy) == pytest.approx(0.44)
    assert 0 < plan.values[0, 0] < 0.44
    assert value_of(WORLD, EpisodicVILCB().plan(recorded(5)).policy) == pytest.approx(0.29)


def test_refusals():
    with pytest.raises(UsageError, match="at least 1, 2, 8, 6"):
        FTPedel().run(WORLD, POLICIES[:0])
    with pytest.raises(UsageError, match="not probabilities"):
        FTPedel().run(WORLD, POLICIES * 2)
    with pytest.raises(DataError, match="count them again"):
        FTPedel().run(WORLD, POLICIES, Counts(np.zeros((2, 3, 2, 3)), np.zeros((2, 3, 2))))
    whole = recorded(1)
    with pytest.raises(DataError, match="rescale"):
        FTPedel().run(WORLD, POLICIES, whole._replace(reward_sums=5 * whole.reward_sums))
    with pytest.raises(UsageError, match="epsilon"):
        FTPedel(epsilon=0.0)
    with pytest.raises(UsageError, match="oracle"):
        FTPedel(**{"design": "orcale"})
    with pytest.raises(UsageError, match="doors"):
        rare_rooms(1)
