"""Transition models learned by contrast: tell what followed from what might have followed.

Half of the pairs shown are true transitions, half have the next state replaced by a draw from a known distribution. A
classifier with odds ``ratio(s' | s, a) = psi(s') . phi(s, a)`` is best when the ratio is that of the transition
probability to the negatives' (noise-contrastive estimation; Qiu et al. 2022, arXiv 2207.14800), so it holds the
transition probabilities and, in ``phi``, features in which these are linear. JAX: the fit is one compiled loop of Adam
on counts of transitions, with the expectation over negatives exact.
"""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import Numbers


class ContrastiveModel(eqx.Module):
    """Odds that a next state is the true one, as a product of positive features."""

    @abc.abstractmethod
    def log_ratio(self) -> Float[Array, "steps states actions next"]:
        """Logarithm of ``psi(s') . phi(s, a)`` at each step; ``steps`` is 1 when it is the same at all."""

    @abc.abstractmethod
    def features(self) -> Float[Array, "states actions dimension"]:
        """``phi(s, a)``, of norm at most 1."""


class LowRankModel(ContrastiveModel):
    """Free features for each state and action, the same at every step: ``phi`` sums to one, ``psi`` is positive."""

    phi: Float[Array, "states actions dimension"]
    """Logits."""
    psi: Float[Array, "dimension next"]
    """Logarithms."""

    @classmethod
    def random(cls, states: int, actions: int, dimension: int, key: PRNGKeyArray) -> LowRankModel:
        """Nearly even features."""
        phi, psi = jax.random.split(key)
        return cls(
            0.1 * jax.random.normal(phi, (states, actions, dimension)),
            0.1 * jax.random.normal(psi, (dimension, states)),
        )

    def log_ratio(self) -> Float[Array, "1 states actions next"]:
        """The product, in logarithms."""
        return jnp.log(jax.nn.softmax(self.phi) @ jnp.exp(self.psi))[None]

    def features(self) -> Float[Array, "states actions dimension"]:
        """Probabilities over the dimensions."""
        return jax.nn.softmax(self.phi)


class BlockModel(ContrastiveModel):
    """A few hidden states: a decoder and an emission shared by all steps, hidden transitions of each step.

    ``phi(s, a)`` is the decoder's distribution over hidden states, in the block of the action. What is learned of an
    observation at one step serves at all, and an observation seldom seen gets meaningful features from the rest.
    """

    decoder: Float[Array, "states hidden"]
    """Logits."""
    hidden_transition: Float[Array, "steps hidden actions hidden"]
    """Logits."""
    emission: Float[Array, "next hidden"]
    """Logarithms."""

    @classmethod
    def random(cls, states: int, actions: int, horizon: int, hidden: int, key: PRNGKeyArray) -> BlockModel:
        """Nearly even probabilities."""
        decoder, moves, emission = jax.random.split(key, 3)
        return cls(
            0.1 * jax.random.normal(decoder, (states, hidden)),
            0.1 * jax.random.normal(moves, (horizon, hidden, actions, hidden)),
            0.1 * jax.random.normal(emission, (states, hidden)),
        )

    def log_ratio(self) -> Float[Array, "steps states actions next"]:
        """The product, in logarithms."""
        moves = jax.nn.softmax(self.hidden_transition)
        ahead = jnp.einsum("hiaj,nj->hian", moves, jnp.exp(self.emission))
        return jnp.log(jnp.einsum("si,hian->hsan", jax.nn.softmax(self.decoder), ahead))

    def features(self) -> Float[Array, "states actions dimension"]:
        """The decoder's distribution, in the block of the action; zero elsewhere."""
        actions = self.hidden_transition.shape[2]
        decoded = jax.nn.softmax(self.decoder)
        blocks = jnp.einsum("si,ab->saib", decoded, jnp.eye(actions))
        return blocks.reshape(len(decoded), actions, -1)


class FreeModel(ContrastiveModel):
    """No structure: a ratio for each transition by itself. Its best fit are the frequencies that were counted."""

    logarithm: Float[Array, "steps states actions next"]

    def log_ratio(self) -> Float[Array, "steps states actions next"]:
        """As it is."""
        return self.logarithm

    def features(self) -> Float[Array, "states actions dimension"]:
        """One dimension for each state and action."""
        states, actions = self.logarithm.shape[1:3]
        return jnp.eye(states * actions).reshape(states, actions, -1)


def contrastive_loss(
    model: ContrastiveModel,
    transitions: Float[Array, "steps states actions next"],
    negatives: Float[Array, " next"],
) -> Float[Array, ""]:
    """Mean over the data of ``log(1 + 1 / ratio)`` for what followed, plus that of ``log(1 + ratio)`` over negatives.

    Args:
        model: the classifier.
        transitions: counts.
        negatives: probabilities of the next states that stand in for true ones.
    """
    logarithm = model.log_ratio()
    visits = transitions.sum(-1)
    true = (transitions * jax.nn.softplus(-logarithm)).sum()
    false = (visits * (jax.nn.softplus(logarithm) @ negatives)).sum()
    return (true + false) / jnp.maximum(visits.sum(), 1.0)


def fit_contrastive(
    model: Any,
    transitions: Float[Numbers, "steps states actions next"],
    negatives: Float[Numbers, " next"],
    updates: int = 150,
    learning_rate: float = 0.03,
    decay: bool = False,
) -> Any:
    """The model after some steps of Adam on the contrastive loss.

    Args:
        model: where to start.
        transitions: counts of the data; ``steps`` is that of the model.
        negatives: probabilities of negative next states, positive wherever data have any.
        updates: steps of Adam.
        learning_rate: its step size.
        decay: whether the step size falls to 0 along a cosine.

    Raises:
        DataError: shapes do not fit, there are no data, or they hold next states that negatives never are.
    """
    transitions, negatives = np.asarray(transitions, np.float32), np.asarray(negatives, np.float64)
    check_negatives(negatives, transitions)
    if (shape := jax.eval_shape(model.log_ratio).shape) != transitions.shape:
        raise DataError(f"transitions have the shape {list(transitions.shape)}; this model has {list(shape)}")
    return _fit(model, jnp.asarray(transitions), jnp.asarray(negatives, jnp.float32), updates, learning_rate, decay)


@eqx.filter_jit
def _fit(model: Any, transitions: Array, negatives: Array, updates: int, learning_rate: float, decay: bool) -> Any:
    schedule = optax.cosine_decay_schedule(learning_rate, updates) if decay else learning_rate
    optimizer = optax.adam(schedule)

    def update(carry: Any, _: None) -> Any:
        model, state = carry
        gradient = jax.grad(contrastive_loss)(model, transitions, negatives)
        change, state = optimizer.update(gradient, state)
        return (eqx.apply_updates(model, change), state), None

    return jax.lax.scan(update, (model, optimizer.init(model)), None, length=updates)[0][0]


def transition_of(
    model: ContrastiveModel, negatives: Float[Numbers, " next"]
) -> Float[np.ndarray, "steps states actions next"]:
    """The transition probabilities that a model stands for: its ratio times the negatives', summing to one."""
    logarithm = np.asarray(model.log_ratio(), np.float64)
    weights = np.exp(logarithm - logarithm.max(-1, keepdims=True)) * np.asarray(negatives, np.float64)
    return weights / weights.sum(-1, keepdims=True)


def marginal(transitions: Float[Numbers, "*steps states actions next"]) -> Float[np.ndarray, " next"]:
    """How often each next state followed in the data, with half its mass spread evenly so that none is left out."""
    seen = np.asarray(transitions, np.float64)
    seen = seen.reshape(-1, seen.shape[-1]).sum(0)
    if seen.sum() == 0:
        raise DataError("there are no transitions to take negatives from")
    return 0.5 * seen / seen.sum() + 0.5 / len(seen)


def check_negatives(negatives: Float[np.ndarray, " next"], transitions: Float[np.ndarray, "... next"]) -> None:
    """Refuse negatives that are no distribution, or that cannot stand in for what was seen.

    Raises:
        UsageError: they are not probabilities of the next states.
        DataError: there are no data, or some next state has data and no mass.
    """
    if negatives.shape != transitions.shape[-1:] or (negatives < 0).any() or abs(negatives.sum() - 1) > 1e-5:
        raise UsageError(
            f"negatives have the shape {list(negatives.shape)} and sum {negatives.sum():.6g}; expected "
            f"probabilities of {transitions.shape[-1]} states"
        )
    seen = transitions.reshape(-1, len(negatives)).sum(0)
    if seen.sum() == 0:
        raise DataError("there are no transitions to learn from")
    if (missing := np.flatnonzero((seen > 0) & (negatives == 0))).size:
        raise DataError(f"state {missing[0]} follows in the data but is never a negative; give it some mass")
