"""Contrastive models: the best fit is what was counted, structure recovers the truth, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.finite.contrastive import (
    BlockModel,
    FreeModel,
    LowRankModel,
    contrastive_loss,
    fit_contrastive,
    marginal,
    transition_of,
)
from headstart.finite.linear import random_linear_world

RANDOM = np.random.default_rng(0)
NEGATIVES = RANDOM.dirichlet(np.full(4, 5.0))


def counted(states=4, actions=2, steps=1, rows=4000):
    truth = RANDOM.dirichlet(np.ones(states), (steps, states, actions))
    return RANDOM.multinomial(rows, truth).astype(np.float64)


def test_without_structure_the_best_fit_is_the_frequencies_whatever_the_negatives():
    transitions = counted()
    fitted = fit_contrastive(FreeModel(jnp.zeros(transitions.shape)), transitions, NEGATIVES, 2000, 0.05, decay=True)
    frequencies = transitions / transitions.sum(-1, keepdims=True)
    assert np.abs(transition_of(fitted, NEGATIVES) - frequencies).max() < 1e-3
    assert np.allclose(np.exp(fitted.log_ratio()), frequencies / NEGATIVES, rtol=1e-2, atol=5e-3)


def test_the_loss_by_hand():
    transitions = np.zeros((1, 1, 1, 2))
    transitions[..., 0] = 3.0
    model = FreeModel(jnp.log(jnp.array([[[[2.0, 0.5]]]])))
    expected = np.log(1 + 1 / 2) + 0.25 * np.log(1 + 2) + 0.75 * np.log(1 + 0.5)
    assert float(contrastive_loss(model, transitions, jnp.array([0.25, 0.75]))) == pytest.approx(expected, rel=1e-5)


def test_low_rank_structure_needs_less_data_than_counts():
    truth = np.asarray(random_linear_world(20, 3, 3, 1, seed=1).transition)
    transitions = RANDOM.multinomial(60, truth / truth.sum(-1, keepdims=True)).astype(np.float64)
    negatives = marginal(transitions)
    model = fit_contrastive(LowRankModel.random(20, 3, 3, jax.random.key(0)), transitions, negatives, 600, decay=True)
    learned = np.abs(transition_of(model, negatives) - truth).sum(-1).mean()
    assert learned < 0.7 * np.abs(transitions / 60 - truth).sum(-1).mean()


@pytest.mark.parametrize("kind", ["block", "low rank"])
def test_features_are_short_and_transitions_sum_to_one(kind):
    key = jax.random.key(0)
    model = BlockModel.random(6, 2, 3, 2, key) if kind == "block" else LowRankModel.random(6, 2, 4, key)
    features = np.asarray(model.features())
    assert features.shape == (6, 2, 4)
    assert np.linalg.norm(features, axis=-1).max() <= 1 + 1e-6
    transition = transition_of(model, np.full(6, 1 / 6))
    assert transition.shape == ((3 if kind == "block" else 1), 6, 2, 6)
    assert np.allclose(transition.sum(-1), 1)


def test_block_features_span_the_ratio():
    model = BlockModel.random(6, 2, 3, 2, jax.random.key(0))
    features = np.asarray(model.features(), np.float64).reshape(12, 4)
    ratio = np.exp(np.asarray(model.log_ratio(), np.float64))
    assert all(np.linalg.matrix_rank(np.hstack([features, step.reshape(12, 6)]), tol=1e-4) == 4 for step in ratio)


def test_negatives_of_the_marginal_leave_no_state_out():
    transitions = np.zeros((2, 3, 1, 3))
    transitions[0, 0, 0, 1] = 5
    assert np.allclose(marginal(transitions), [1 / 6, 4 / 6, 1 / 6])
    with pytest.raises(DataError, match="no transitions"):
        marginal(np.zeros((2, 3, 1, 3)))


def test_refusals():
    transitions = counted()
    model = FreeModel(jnp.zeros(transitions.shape))
    with pytest.raises(DataError, match="state 0 follows"):
        fit_contrastive(model, transitions, [0, 0.5, 0.25, 0.25])
    with pytest.raises(UsageError, match="probabilities of 4 states"):
        fit_contrastive(model, transitions, [0.5, 0.5])
    with pytest.raises(DataError, match="no transitions to learn"):
        fit_contrastive(model, 0 * transitions, NEGATIVES)
    with pytest.raises(DataError, match="this model has"):
        fit_contrastive(model, counted(steps=2), NEGATIVES)
