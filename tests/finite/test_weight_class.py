"""GLOW and MABO with weights that are listed."""

import numpy as np
import pytest

from headstart.core.errors import DataError, HeadstartError, UsageError
from headstart.finite.coverage import coverability
from headstart.finite.episodes import collect, count
from headstart.finite.planning import backward_induction, occupancy, value_of
from headstart.finite.slip_lock import explanations, slip_lock
from headstart.finite.value_class import ValueClass
from headstart.finite.weight_class import DensityRatios, ListedWeights, WeightedGLOW, WeightedMABO, violations

WORLDS = explanations(horizon=3, actions=2)
VALUES = ValueClass.of_worlds(WORLDS)
WORLD = slip_lock(1, horizon=3, actions=2)
OPTIMUM = backward_induction(WORLD).policy
UNIFORM = np.full(OPTIMUM.shape, 0.5)
RATIOS = DensityRatios.of(WORLDS, VALUES)


def loss(policy) -> float:
    return float(value_of(WORLD, OPTIMUM) - value_of(WORLD, policy))


def test_ratios_hold_that_of_the_true_world():
    ratios = RATIOS.after(UNIFORM[None])
    assert len(ratios) == len(RATIOS)
    expected = occupancy(WORLD, OPTIMUM) / np.where(occupancy(WORLD, UNIFORM) > 0, occupancy(WORLD, UNIFORM), 1)
    assert any(np.allclose(ratio[np.isfinite(ratio)], expected[np.isfinite(ratio)]) for ratio in ratios)


def test_exploring_with_density_ratios_finds_the_code_and_keeps_the_truth():
    learner = WeightedGLOW(VALUES, RATIOS, coverability(WORLD))
    played, kept = learner.run(WORLD, rounds=100)
    losses = [loss(policy) for policy in played.policies]
    assert np.mean(losses[-40:]) < 0.02 < np.mean(losses[:40])
    assert kept[0].all()
    assert kept.sum(1)[-1] < len(VALUES) / 2
    best = [index for index in range(len(VALUES)) if np.allclose(VALUES.action_values[index], true_values())]
    assert kept[:, best].all()


def true_values() -> np.ndarray:
    return np.asarray(backward_induction(WORLD).action_values)


def test_weights_of_one_cell_expose_its_error():
    counts = count(collect(WORLD, UNIFORM, 400), WORLD.spec)
    step, state, action = np.unravel_index(VALUES.residuals(counts).max(0).argmax(), OPTIMUM.shape)
    weights = np.zeros((1, *OPTIMUM.shape))
    weights[0, step, state, action] = 3.0
    found = violations(VALUES, counts, weights, clip=2.0)
    share = counts.visits[step, state, action] / counts.visits[step].sum()
    residual = VALUES.residuals(counts)[:, step, state, action]
    by_factor = [share * (factor * 2 * residual - factor**2 * 8 / 2 * 4) for factor in np.linspace(0, 1, 2001)]
    np.testing.assert_allclose(found[:, 0, step], np.max(by_factor, axis=0), atol=1e-6)
    assert found.max() > 0
    np.testing.assert_allclose(np.delete(found[:, 0], step, axis=1), 0)


def test_offline_with_the_ratio_of_the_optimum_finds_it():
    data = collect(WORLD, UNIFORM, 4000)
    ratios = RATIOS.after(UNIFORM[None])
    weights = np.where(np.isfinite(ratios), ratios, 0)
    assert loss(WeightedMABO(VALUES, weights).fit(data)) < 1e-6


def test_impossible_weights_and_constants_are_refused():
    with pytest.raises(DataError, match="at least 0"):
        ListedWeights.of(-np.ones((1, 3, 3, 2)))
    with pytest.raises(DataError, match=r"shape \[3, 3, 2\]"):
        ListedWeights.of(np.ones((3, 3, 2)))
    with pytest.raises(DataError, match="at least 0"):
        WeightedMABO(VALUES, np.full((1, 3, 3, 2), np.nan))
    with pytest.raises(DataError, match="weights are of"):
        violations(VALUES, count(collect(WORLD, UNIFORM, 1), WORLD.spec), np.ones((1, 2, 3, 2)), 1.0)
    with pytest.raises(UsageError, match="coverability"):
        WeightedGLOW(VALUES, RATIOS, 0.0)
    wrong = ValueClass.of(3 + VALUES.action_values)
    with pytest.raises(HeadstartError, match="were refuted"):
        WeightedGLOW(wrong, ListedWeights.of(np.ones((1, 3, 3, 2))), 6.0, confidence_scale=1e-6).run(WORLD, 60)
