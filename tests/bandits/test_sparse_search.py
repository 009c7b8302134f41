"""Searches for good actions when rewards are nearly linear in a few of many features."""

import itertools
import math

import numpy as np
import pytest

from headstart.bandits.misspecified import MisspecifiedLinearBandit, against_least_squares, needle
from headstart.bandits.optimal_design import LeastSquaresSearch, largest_variance, optimal_design
from headstart.bandits.sparse_net import SparseNetSearch, explicit_net, net_size, sparse_net
from headstart.bandits.sparse_regression import (
    SparseRegressionSearch,
    coherence,
    lasso,
    matching_pursuit,
)
from headstart.core.errors import DataError, UsageError

EPSILON = 0.05


def world(seed, dimension=6, actions=400, epsilon=EPSILON):
    generator = np.random.default_rng(seed)
    parameter = np.zeros(dimension)
    share = generator.uniform(0.3, 0.7)
    parameter[generator.choice(dimension, 2, replace=False)] = generator.choice([-1, 1], 2) * [share, 1 - share]
    features = generator.uniform(-1, 1, (actions, dimension))
    return MisspecifiedLinearBandit(features, parameter, generator.choice([-epsilon, epsilon], actions))


@pytest.mark.parametrize("strategy", ["elimination", "net"])
def test_net_searches_keep_their_certificates(strategy):
    for seed in range(10):
        bandit = world(seed)
        found = SparseNetSearch(2, EPSILON, strategy, step=0.09).search(bandit.features, bandit.queries())
        assert bandit.suboptimality(found.action) <= found.certificate
        assert found.certificate == pytest.approx(2 * (EPSILON + 0.09), rel=0.01)


def test_elimination_asks_for_less():
    asked = {}
    for strategy in ("elimination", "net"):
        search = SparseNetSearch(2, EPSILON, strategy, step=0.1)
        asked[strategy] = sum(search.search(w.features, w.queries()).queries for w in map(world, range(5)))
    assert asked["elimination"] < 0.5 * asked["net"]


def test_a_net_has_the_size_foretold_and_its_error_covers_every_sparse_parameter():
    features = np.random.default_rng(0).uniform(-1, 1, (50, 5))
    for sparsity, step in ((1, 0.3), (2, 0.2), (3, 0.5)):
        net = sparse_net(features, sparsity, step)
        steps = math.floor(1 / step + sparsity / 2)
        assert len(net.weights) == net_size(5, sparsity, steps)
        dense = np.zeros((len(net.weights), 5))
        np.add.at(dense, (np.arange(len(dense))[:, None], net.supports), net.weights)
        assert len(np.unique(dense.round(6), axis=0)) == len(dense)
        generator = np.random.default_rng(1)
        for _ in range(20):
            parameter = np.zeros(5)
            chosen = generator.choice(5, sparsity, replace=False)
            parameter[chosen] = generator.dirichlet(np.ones(sparsity)) * generator.choice([-1, 1], sparsity)
            off = np.abs((dense - parameter) @ features.T).max(axis=1).min()
            assert off <= net.error + 1e-9
        predictions = np.stack([net.predictions(row) for row in features], axis=1)
        assert np.allclose(predictions, dense @ features.T)
    count = sum(
        1 for v in itertools.product(range(-4, 5), repeat=3) if np.abs(v).sum() <= 4 and np.count_nonzero(v) <= 2
    )
    assert net_size(3, 2, 4) == count


def test_noise_is_averaged_away():
    bandit = world(0, dimension=3, actions=60)
    noisy = MisspecifiedLinearBandit(bandit.features, bandit.parameter, bandit.deviation, noise=0.05)
    search = SparseNetSearch(2, EPSILON, step=0.1, noise=0.05)
    found = search.search(noisy.features, noisy.queries(np.random.default_rng(1)))
    assert found.queries % search._repeats(60) == 0 or found.queries > 1
    assert noisy.suboptimality(found.action) <= found.certificate == pytest.approx(2 * (2 * EPSILON + 0.1), rel=0.02)
    with pytest.raises(UsageError, match="generator"):
        noisy.queries()


def test_rewards_far_from_sparse_are_reported():
    features = np.eye(6)
    with pytest.raises(DataError, match="raise epsilon"):
        SparseNetSearch(1, 0.01, step=0.02).search(features, lambda action: -0.9)


def test_without_deviation_linear_bandits_are_solved():
    bandit = world(3, epsilon=0.0)
    found = LeastSquaresSearch(0.0).search(bandit.features, bandit.queries())
    assert bandit.suboptimality(found.action) == pytest.approx(0)
    assert found.certificate == 0
    for method, expected in (("omp", 1e-9), ("lasso", 1e-3)):
        found = SparseRegressionSearch(2, 1e-4, method, queries=30).search(bandit.features, bandit.queries())
        assert bandit.suboptimality(found.action) <= expected
        assert (found.queries, found.certificate) == (30, math.inf)


def test_least_squares_keeps_its_certificate_but_can_be_misled_where_sparse_fits_are_not():
    lost = {"least squares": 0.0, "omp": 0.0, "lasso": 0.0}
    for seed in range(3):
        plain, generator = world(seed, dimension=64, actions=800), np.random.default_rng(seed)
        design = np.arange(128)
        bandit = against_least_squares(plain.features, plain.parameter, EPSILON, design, generator)
        assert bandit.epsilon == EPSILON
        misled = LeastSquaresSearch(EPSILON).search(bandit.features, bandit.queries(), design)
        assert bandit.suboptimality(misled.action) <= misled.certificate
        lost["least squares"] += bandit.suboptimality(misled.action)
        for method in ("omp", "lasso"):
            found = SparseRegressionSearch(2, EPSILON, method).search(bandit.features, bandit.queries(), actions=design)
            lost[method] += bandit.suboptimality(found.action)
    assert max(lost["omp"], lost["lasso"]) < 0.5 * lost["least squares"]


def test_designs_reach_the_bound_of_kiefer_and_wolfowitz():
    features = np.random.default_rng(0).normal(size=(300, 7))
    exact = optimal_design(features, tolerance=0.01)
    assert 7 - 1e-9 <= exact.variance <= 7.07
    assert exact.weights.sum() == pytest.approx(1)
    inverse = np.linalg.inv((features.T * exact.weights) @ features)
    assert exact.variance == pytest.approx(np.einsum("ai,ij,aj->a", features, inverse, features).max())
    rough = optimal_design(features)
    assert rough.variance <= 14
    assert len(rough.support) < len(exact.support) <= 30
    assert optimal_design(np.eye(4)).weights == pytest.approx(np.full(4, 0.25))
    assert largest_variance(np.eye(4), np.arange(4)) == pytest.approx(4)
    assert largest_variance(np.eye(4), np.arange(3)) == math.inf


def test_sparse_fits_find_the_features_that_matter():
    generator = np.random.default_rng(0)
    design = generator.normal(size=(60, 100))
    parameter = np.zeros(100)
    parameter[[3, 70]] = 1.0, -0.5
    rewards = design @ parameter
    assert matching_pursuit(design, rewards, 2) == pytest.approx(parameter)
    found = lasso(design, rewards, 0.01)
    assert found == pytest.approx(parameter, abs=0.03)
    residual = design.T @ (rewards - design @ found) / 60  # the optimality condition of the lasso
    assert np.abs(residual).max() <= 0.01 + 1e-6
    assert residual[[3, 70]] == pytest.approx([0.01, -0.01], abs=1e-6)
    assert not matching_pursuit(design, np.zeros(60), 5).any()


def test_needles_hide_until_they_are_queried():
    bandit = needle(36, 0.5, np.random.default_rng(0), dimension=40)
    assert len(bandit.features) == math.ceil(math.exp(36 / 16))
    assert bandit.epsilon <= 0.5 + 1e-9
    assert sorted(bandit.rewards.round(9))[-2:] == [0, 1]
    assert np.linalg.norm(bandit.features, axis=1) == pytest.approx(1)
    net = explicit_net(bandit.features)
    found = SparseNetSearch(36, 0.5).search(bandit.features, bandit.queries(), net)
    assert bandit.suboptimality(found.action) == 0
    assert found.queries == np.argmax(bandit.rewards) + 1  # each query rules out one action only


def test_coherence_tells_whether_sparse_fits_can_be_trusted():
    generator = np.random.default_rng(0)
    fine = generator.normal(size=(200, 30))
    assert coherence(fine, 2).good
    twins = fine.copy()
    twins[:, 1] = twins[:, 0]
    found = coherence(twins, 1)
    assert found.mutual == pytest.approx(1)
    assert found.eigenvalue == pytest.approx(0, abs=1e-9)
    assert not found.good
    assert coherence(np.eye(4), 2) == (0.0, 1.0, True)
    assert not coherence(np.array([[1.0, 0.0]]), 1).good


def test_input_that_cannot_work():
    features = np.eye(3)
    for arguments in ((0, 0.1), (1, -0.1), (1, 0.0)):
        with pytest.raises(UsageError):
            SparseNetSearch(*arguments)
    with pytest.raises(UsageError, match="double it"):
        SparseNetSearch(1, 0)
    with pytest.raises(UsageError, match="confidence"):
        SparseNetSearch(1, 0.1, confidence=1.0)
    with pytest.raises(UsageError, match="sparsity is 4, but there are 3"):
        SparseNetSearch(4, 0.1).search(features, lambda action: 0.0)
    with pytest.raises(UsageError, match="limit of 10:"):
        SparseNetSearch(2, 0.1, limit=10).search(features, lambda action: 0.0)
    with pytest.raises(DataError, match="span 2 of 3"):
        optimal_design(features[:2])
    with pytest.raises(DataError, match="action 1 are not finite"):
        LeastSquaresSearch(0.1).search([[1.0], [math.nan]], lambda action: 0.0)
    with pytest.raises(UsageError, match="method"):
        SparseRegressionSearch(1, 0.1, "ridge")
    with pytest.raises(DataError, match="weights"):
        MisspecifiedLinearBandit(features, np.zeros(2), np.zeros(3))
    with pytest.raises(UsageError, match="coherence"):
        needle(4, 1.5, np.random.default_rng(0))
