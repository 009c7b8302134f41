"""Coverage told from data, against the coverage of the known world."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.coverage import concentrability, single_policy_concentrability
from headstart.finite.episodes import collect, count
from headstart.finite.estimated_coverage import estimate_concentrability, estimate_discounted_concentrability
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.planning import backward_induction, discounted_occupancy, occupancy, value_iteration
from headstart.finite.transitions import Transitions
from headstart.finite.worlds import random_world

WORLD = random_world(states=3, actions=2, horizon=3)
BEST = backward_induction(WORLD).policy
MIXED = 0.6 * BEST + 0.2


def test_many_episodes_tell_the_true_coefficient():
    estimate = estimate_concentrability(count(collect(WORLD, MIXED, 40_000), WORLD.spec), BEST)
    assert estimate.concentrability == pytest.approx(
        single_policy_concentrability(WORLD, occupancy(WORLD, MIXED)), rel=0.05
    )
    assert estimate.unseen == 0
    assert BEST[estimate.cell] == 1


def test_a_policys_own_data_cover_it_and_others_lose_mass():
    counts = count(collect(WORLD, BEST, 5000), WORLD.spec)
    assert estimate_concentrability(counts, BEST).concentrability == pytest.approx(1)
    other = estimate_concentrability(counts, np.roll(BEST, 1, axis=-1))
    assert other.unseen == pytest.approx(1)
    assert concentrability(WORLD, np.roll(BEST, 1, axis=-1), occupancy(WORLD, BEST)) == np.inf


def test_a_log_of_a_bandit_is_an_episode_of_one_step():
    rows = np.array([[0, 0], [0, 1], [0, 1], [1, 0]])  # context, arm
    world = random_world(states=2, actions=2, horizon=1)
    data = collect(world, np.full((1, 2, 2), 0.5), 4)._replace(observations=rows[:, :1], actions=rows[:, 1:])
    expert = np.eye(2)[[[0, 0]]]
    estimate = estimate_concentrability(count(data, world.spec), expert)
    assert estimate == (pytest.approx(3.0), (0, 0, 0), 0.0)


def test_discounted_transitions_tell_it_too():
    random = np.random.default_rng(0)
    world = DiscountedMDP.of(random.dirichlet(np.ones(3), (3, 2)), random.random((3, 2)), 0.8)
    best = value_iteration(world).policy
    mixed = 0.5 * best + 0.25
    mu = discounted_occupancy(world, mixed)
    cells = random.choice(6, 30_000, p=mu.ravel())
    states, actions = np.divmod(cells, 2)
    following = (np.asarray(world.transition)[states, actions].cumsum(1) < random.random((30_000, 1))).sum(1)
    data = Transitions.of(states, actions, np.zeros(30_000), following, n_states=3, n_actions=2)
    estimate = estimate_discounted_concentrability(data.counts(), best, world.initial, 0.8)
    assert estimate.concentrability == pytest.approx(single_policy_concentrability(world, mu), rel=0.1)
    with pytest.raises(UsageError, match=r"in \[0, 1\)"):
        estimate_discounted_concentrability(data.counts(), best, world.initial, 1.0)
    with pytest.raises(DataError, match="3 probabilities"):
        estimate_discounted_concentrability(data.counts(), best, [1.0, 1.0, 0.0], 0.8)


def test_no_data_and_policies_of_another_shape_are_refused():
    counts = count(collect(WORLD, MIXED, 0), WORLD.spec)
    with pytest.raises(DataError, match="no data"):
        estimate_concentrability(counts, BEST)
    with pytest.raises(DataError, match="expected"):
        estimate_concentrability(counts, BEST[0])
    full = count(collect(WORLD, MIXED, 10), WORLD.spec)
    with pytest.raises(DataError, match="probabilities"):
        estimate_concentrability(full, 2 * BEST)
