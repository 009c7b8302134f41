"""MABO with value functions and weights that are linear in features: the minimax problem solved by least squares.

Amortila, Foster, Jiang, Sekhari and Xie 2024 (arXiv 2401.09681), eq. 13. For weights ``w = psi . omega`` of either sign
the inner maximum of ``mean[w error] - alpha mean[w^2]`` is ``mean[psi error]^T mean[psi psi^T]^-1 mean[psi error] / (4
alpha)``, where the constant plays no part: the error is averaged against the weights' features before it is squared, so
noise of the next state does not count. With the greedy actions of the next step held fixed the error is linear in the
value's parameters and the outer minimum is least squares; the two are alternated. NumPy: a few small systems.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts, Episodes, count
from headstart.finite.features import checked_features
from headstart.finite.linear import one_hot_features
from headstart.finite.mdp import FiniteSpec, Numbers
from headstart.finite.planning import greedy


class LinearSolution(NamedTuple):
    """What ``LinearMABO`` found."""

    policy: Float[np.ndarray, "horizon states actions"]
    """Greedy for the values."""
    action_values: Float[np.ndarray, "horizon states actions"]
    objective: float
    """What is left of the minimax objective, up to its constant factor: 0 where no weight exposes an error."""
    rounds: int
    """Alternations until then; 0 for the start, which fits step by step from the last one back."""


@dataclass(frozen=True, eq=False)
class LinearMABO:
    """The value function, linear in features, whose errors no linear weight of the data can expose.

    With one-hot features in both places it is fitted Q-iteration on the cells that were seen. As an offline learner of
    ``hybrid.H2O`` it makes a HyGLOW for worlds that are too large for a list of candidates.
    """

    spec: FiniteSpec
    """Of the world."""
    features: Float[Numbers, "states actions dimension"] | None = None
    """Of values; None: one dimension for each state and action."""
    weight_features: Float[Numbers, "states actions weights"] | None = None
    """Of weights; None: every weight of the cells (``mabo.MABO``'s). Fewer than those of values leave several
    minimisers, of which the one of least norm is taken."""
    ridge: float = 1e-8
    """Multiple of the identity in both least-squares problems, relative to the number of episodes."""
    most_rounds: int = 50
    """Alternations end when greedy actions come again, or after so many; the best of them counts."""

    def __post_init__(self) -> None:
        for name in ("features", "weight_features"):
            if getattr(self, name) is not None:
                checked_features(getattr(self, name), (self.spec.states, self.spec.actions))
        if not self.ridge > 0 or self.most_rounds < 1:
            raise UsageError(f"ridge is {self.ridge}, most_rounds {self.most_rounds}; expected above 0 and at least 1")

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """The policy that is greedy for the minimiser; uniform without data."""
        return self.solve(data).policy

    def solve(self, data: Episodes) -> LinearSolution:
        """The policy with its values and what is left of the objective.

        Raises:
            DataError: the episodes do not fit the world.
        """
        counts = count(data, self.spec)
        shape = (self.spec.horizon, self.spec.states, self.spec.actions)
        if not len(data.actions):
            return LinearSolution(np.full(shape, 1 / self.spec.actions), np.zeros(shape), 0.0, 0)
        features = self._flat(self.features)
        values = self._backwards(counts, features).reshape(shape)
        best = LinearSolution(np.asarray(greedy(values)), values, self._objective(counts, values), 0)
        met: set[bytes] = set()
        while len(met) < self.most_rounds and (chosen := values.argmax(-1)).tobytes() not in met:
            met.add(chosen.tobytes())
            values = self._minimise(counts, features, chosen).reshape(shape)
            left = self._objective(counts, values)
            if left < best.objective:
                best = LinearSolution(np.asarray(greedy(values)), values, left, len(met))
        return best

    def _flat(self, features: Numbers | None) -> Float[np.ndarray, "cells dimension"]:
        given = one_hot_features(self.spec.states, self.spec.actions) if features is None else features
        return np.asarray(given, np.float64).reshape(self.spec.states * self.spec.actions, -1)

    def _backwards(self, counts: Counts, features: np.ndarray) -> np.ndarray:
        """Values that make each step's whitened errors least, the step after being fixed."""
        later, values = np.zeros(self.spec.states), []
        for step in reversed(range(self.spec.horizon)):
            whiten, visits = self._whitener(counts, step)
            follows = counts.transitions[step].reshape(len(visits), -1)
            design, target = (whiten * visits) @ features, whiten @ (counts.reward_sums[step].ravel() + follows @ later)
            moment = design.T @ design + self.ridge * np.eye(features.shape[1])
            fitted = np.clip(features @ np.linalg.solve(moment, design.T @ target), 0, self.spec.horizon - step)
            values.insert(0, fitted)
            later = fitted.reshape(self.spec.states, -1).max(-1)
        return np.stack(values)

    def _minimise(self, counts: Counts, features: np.ndarray, chosen: Int[np.ndarray, "horizon states"]) -> np.ndarray:
        """Values at all steps that make the whitened errors least, the next step's actions being given."""
        horizon, dimension = self.spec.horizon, features.shape[1]
        rows, targets = [], []
        for step in range(horizon):
            whiten, visits = self._whitener(counts, step)
            block = np.zeros((len(whiten), horizon, dimension))
            block[:, step] = (whiten * visits) @ features
            if step + 1 < horizon:
                cells = np.arange(self.spec.states) * self.spec.actions + chosen[step + 1]
                follows = counts.transitions[step].reshape(len(visits), -1)
                block[:, step + 1] -= whiten @ (follows @ features[cells])
            rows.append(block.reshape(len(whiten), -1))
            targets.append(whiten @ counts.reward_sums[step].ravel())
        design, target = np.concatenate(rows), np.concatenate(targets)
        moment = design.T @ design + self.ridge * np.eye(design.shape[1])
        parameter = np.linalg.solve(moment, design.T @ target).reshape(horizon, dimension)
        return np.clip(parameter @ features.T, -horizon, horizon)

    def _whitener(self, counts: Counts, step: int) -> tuple[np.ndarray, np.ndarray]:
        """``mean[psi psi^T]^-1/2 psi^T`` at a step, to be applied to sums over visits, and the visits."""
        visits = counts.visits[step].ravel()
        weights = self._flat(self.weight_features)
        moment = (weights * visits[:, None]).T @ weights + self.ridge * max(visits.sum(), 1.0) * np.eye(
            weights.shape[1]
        )
        return np.linalg.solve(np.linalg.cholesky(moment), weights.T), visits

    def _objective(self, counts: Counts, values: np.ndarray) -> float:
        total = 0.0
        for step in range(self.spec.horizon):
            whiten, visits = self._whitener(counts, step)
            later = values[step + 1].max(-1) if step + 1 < self.spec.horizon else np.zeros(self.spec.states)
            follows = counts.transitions[step].reshape(len(visits), -1)
            error = visits * values[step].ravel() - counts.reward_sums[step].ravel() - follows @ later
            total += float(((whiten @ error) ** 2).sum())
        return total
