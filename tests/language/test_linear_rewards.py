"""Linear rewards: VPO's two signs against likelihood alone, and the enhancer against the main policy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.core.errors import UsageError
from headstart.envs.preference_bandits import linear_bandit, optimal_value, rare_best_bandit, tilted
from headstart.language.dpo import DPO
from headstart.language.implicit_reward import Recorded
from headstart.language.linear_rewards import Duel, LinearExplorer, calibrated, likeliest_weights, mean_features
from headstart.language.vpo import VPO

WORLD, WEIGHTS = linear_bandit(0, responses=40, size=4)
FEATURES = calibrated(WORLD)
BETA = 0.4
EXPLORER = LinearExplorer(features=FEATURES, beta=BETA, rounds=6, pairs=8, steps=40)


def recorded(pairs):
    counts = Recorded(np.zeros((*WORLD.reference.shape, WORLD.responses, 2), np.int64))
    counts.add(pairs, np.zeros(len(pairs.prompts), bool))
    return counts


def fitted(method, pairs, explorer=EXPLORER):
    reference = torch.from_numpy(WORLD.reference)
    return explorer.fit(recorded(pairs), method, reference, torch.zeros_like(reference)).numpy()


def test_the_value_is_what_the_calibration_says():
    rewards = FEATURES @ WEIGHTS
    assert (np.exp(WORLD.reference) * rewards).sum() == pytest.approx(0, abs=1e-12)
    policy = tilted(WORLD.reference, rewards, BETA)
    by_ratio = -BETA * (np.exp(WORLD.reference) * (policy - WORLD.reference)).sum()
    assert by_ratio == pytest.approx(float(optimal_value(WORLD.reference, rewards, BETA)), abs=1e-10)


def test_without_the_term_it_is_the_likelihood_of_the_weights():
    pairs = WORLD.record(300, np.random.default_rng(0))
    rewards = fitted(DPO(beta=BETA), pairs, replace(EXPLORER, norm=6.0))
    gaps = FEATURES[0][pairs.chosen] - FEATURES[0][pairs.rejected]
    exact = likeliest_weights(gaps, 1e-9, np.zeros(4))
    assert np.linalg.norm(exact) < 6  # else the ball would matter
    assert rewards[0] == pytest.approx(FEATURES[0] @ exact, abs=2e-2)


def test_optimism_raises_the_promised_value_and_pessimism_lowers_it():
    pairs = WORLD.record(60, np.random.default_rng(1))
    plain = VPO(mode="offline", alpha=0, beta=BETA, calibration="calibration", normalization="sum", pairs=60)
    methods = (replace(plain, alpha=20.0), plain, replace(plain, alpha=20.0, mode="online"))
    values = [float(optimal_value(WORLD.reference, fitted(method, pairs), BETA)) for method in methods]
    assert values[0] < values[1] < values[2]


def test_rounds_of_pairs_bring_the_policy_near_the_best_one():
    def method(count):
        pairs = EXPLORER.pairs * count
        return VPO(mode="online", alpha=0.3, beta=BETA, calibration="calibration", normalization="sum", pairs=pairs)

    done = EXPLORER.explore(WORLD, method, 0)
    assert len(done.suboptimality) == 7
    assert done.suboptimality[-1] < 0.5 * done.suboptimality[0]


def test_the_enhancer_is_as_uncertain_as_it_may_be():
    duel = Duel(beta=BETA, width=0.3)
    main = tilted(WORLD.reference, FEATURES @ (0.3 * WEIGHTS), BETA)
    covariance = np.diag([1.0, 1.0, 50.0, 50.0])
    inverse = np.linalg.inv(covariance)
    enhancer = duel.enhancer(main, FEATURES, covariance)
    uncertainty = duel.uncertainty(main, enhancer, FEATURES, inverse)
    divergence = (np.exp(enhancer) * (enhancer - main)).sum()
    assert BETA * divergence == pytest.approx(uncertainty, rel=1e-5)
    generator = np.random.default_rng(0)
    for _ in range(200):  # no policy on the boundary is more uncertain
        other = duel._tilt(main, FEATURES, inverse, generator.normal(size=4))
        assert duel.uncertainty(main, other, FEATURES, inverse) <= uncertainty * (1 + 1e-6)
    gap = np.abs(mean_features(enhancer, FEATURES) - mean_features(main, FEATURES))
    assert gap[:2].max() > gap[2:].max()  # where little has been compared
    assert Duel(width=0).enhancer(main, FEATURES, covariance) is main


def test_duels_find_a_good_policy():
    done = Duel(beta=BETA, rounds=10).explore(WORLD, 0)
    assert done.suboptimality[-1] < 0.3 * done.suboptimality[0]


def test_worlds_without_features_and_bad_constants_are_refused():
    with pytest.raises(UsageError, match="no features"):
        calibrated(rare_best_bandit(0))
    with pytest.raises(UsageError, match="above 0"):
        Duel(ridge=0)
