"""ChebCB: SquareCB over a one-dimensional context, each arm's loss a Chebyshev series (arXiv 2310.02246, algorithm 3).

NumPy in double precision, one decision at a time: the fits are small constrained least-squares problems that branch,
and their normal equations are too ill-conditioned for 32 bits. So it cannot be traced, as by ``simulate``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray
from scipy.optimize import lsq_linear

from headstart.bandits.bandit import BanditSpec, Choice, Context, Learner
from headstart.core.errors import UsageError


class ChebCBState(NamedTuple):
    """Sufficient statistics of every arm's regression, and their fits.

    Attributes:
        gram: for each arm the sum of products of its rounds' features.
        moment: the sum of features times losses.
        squares: the sum of squared losses.
        coefficients: of each arm's series, in the units of losses.
        bounds: what the coefficients' sizes were held to.
        rounds: how many losses were seen.
        error: sum of squared errors of the predictions made before each loss was seen.
        least: the smallest loss seen.
        most: the largest.
        highest: the reward that counts as no loss.
    """

    gram: Float[np.ndarray, "arms terms terms"]
    moment: Float[np.ndarray, "arms terms"]
    squares: Float[np.ndarray, " arms"]
    coefficients: Float[np.ndarray, "arms terms"]
    bounds: Float[np.ndarray, " terms"]
    rounds: int
    error: float
    least: float
    most: float
    highest: float


@dataclass(frozen=True)
class ChebCB(Learner):
    """Predicts every arm's loss from the context, and pulls an arm the less likely the worse it looks.

    The normaliser K, the Lipschitz constant and the exploration rate, which theory fixes beforehand, are taken from the
    losses seen, as in the authors' code.
    """

    low: float
    """Where the context's interval begins."""
    high: float
    """Where it ends; contexts outside are clipped, with a warning."""
    terms: int = 6
    """Chebyshev polynomials in each series, the constant among them (the authors' experiments)."""
    exploration_rate: float | None = None
    """SquareCB's rate (theory: ``2 sqrt(arms T / R)``, R a bound on the regression's regret). None: from the errors so
    far, growing with the rounds, as in the authors' code."""

    traceable: ClassVar[bool] = False

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> ChebCBState:
        """No losses seen; all series zero."""
        if not self.low < self.high or self.terms < 1:
            raise UsageError(f"ChebCB needs low < high and a term; given {self.low}, {self.high}, {self.terms} terms")
        if spec.features != 1 or spec.reward_high == float("inf"):
            raise UsageError(
                f"ChebCB needs one number as context (features=1) and a largest reward, to measure losses from; "
                f"given features={spec.features}, reward_high={spec.reward_high}"
            )
        arms, terms = spec.arms, self.terms
        gram, moment = np.zeros((arms, terms, terms)), np.zeros((arms, terms))
        bounds = np.zeros(terms)
        return ChebCBState(gram, moment, np.zeros(arms), moment, bounds, 0, 0.0, np.inf, -np.inf, spec.reward_high)

    def features(self, context: Context) -> Float[np.ndarray, " terms"]:
        """``cos(j arccos z)`` for j = 0, 1, …, with z the context mapped from its interval to [-1, 1]."""
        value = float(np.asarray(context)[0, 0])
        inside = min(max(value, self.low), self.high)
        if abs(inside - value) > 1e-6 * (self.high - self.low):  # more than 32 bits round off
            warnings.warn(f"context {value:g} is outside [{self.low:g}, {self.high:g}]; clipped", stacklevel=3)
        z = 2 * (inside - self.low) / (self.high - self.low) - 1
        return np.cos(np.arange(self.terms) * np.arccos(z))

    def probabilities(self, state: ChebCBState, context: Context) -> Float[np.ndarray, " arms"]:
        """``1 / (arms + eta gap)`` for every arm but the one of least prediction, which has the rest."""
        scale = self._scale(state)
        predicted = state.coefficients @ self.features(context) / scale
        best = int(np.argmin(predicted))
        probabilities = 1 / (len(predicted) + self._exploration_rate(state) * (predicted - predicted[best]))
        probabilities[best] += 1 - probabilities.sum()
        return probabilities

    def choose(self, state: ChebCBState, context: Context, key: PRNGKeyArray) -> Choice:
        """An arm drawn with these probabilities."""
        probabilities = self.probabilities(state, context)
        reached = np.searchsorted(np.cumsum(probabilities), float(jax.random.uniform(key)), side="right")
        action = int(min(reached, len(probabilities) - 1))
        return Choice(jnp.asarray(action), jnp.asarray(probabilities[action]))

    def observe(self, state: ChebCBState, context: Context, action, reward, propensity) -> ChebCBState:
        """Fit the pulled arm again, and others whose bounds have moved past them."""
        arm, loss, features = int(action), state.highest - float(reward), self.features(context)
        if not np.isfinite(loss):
            raise UsageError(f"the reward of arm {arm} is {float(reward)}; rewards must be finite")
        gram, moment, squares = state.gram.copy(), state.moment.copy(), state.squares.copy()
        gram[arm] += np.outer(features, features)
        moment[arm] += loss * features
        squares[arm] += loss**2
        seen = state._replace(
            gram=gram,
            moment=moment,
            squares=squares,
            rounds=state.rounds + 1,
            error=state.error + (state.coefficients[arm] @ features - loss) ** 2,
            least=min(state.least, loss),
            most=max(state.most, loss),
        )
        bounds = np.concatenate([[seen.most], 2 * (seen.most - seen.least) / np.arange(1, self.terms)])
        moved = not np.array_equal(bounds, state.bounds)
        coefficients = state.coefficients.copy()
        for fitted in np.flatnonzero(gram[:, 0, 0]) if moved else (arm,):
            coefficients[fitted] = _bounded_least_squares(gram[fitted], moment[fitted], bounds)
        return seen._replace(coefficients=coefficients, bounds=bounds)

    def _scale(self, state: ChebCBState) -> float:
        """K N, what the paper divides losses by: N = 2 + 4 (range / K)(1 + log m), K the largest loss."""
        if not state.most > 0:
            return 1.0
        return 2 * state.most + 4 * (state.most - state.least) * (1 + np.log(self.terms))

    def _exploration_rate(self, state: ChebCBState) -> float:
        """``2 t sqrt(arms t / (R + 2 alpha^2 t))``: R is the regression's regret against the fits in hindsight, alpha
        the error of a Chebyshev series of so many terms (both in units of K N)."""
        if self.exploration_rate is not None:
            return self.exploration_rate
        if state.rounds == 0 or state.least == state.most:
            return 0.0
        fits = state.coefficients
        residuals = (
            state.squares.sum() - 2 * (fits * state.moment).sum() + np.einsum("ai,aij,aj->", fits, state.gram, fits)
        )
        regret = max(state.error - residuals, 0.0)
        alpha = (np.pi + 2 / np.pi * np.log(2 * self.terms + 1)) / (2 * (self.terms + 1)) * (state.most - state.least)
        rounds, arms = state.rounds, len(fits)
        return 2 * rounds * self._scale(state) * np.sqrt(arms * rounds / (regret + 2 * alpha**2 * rounds))


def _bounded_least_squares(
    gram: Float[np.ndarray, "terms terms"], moment: Float[np.ndarray, " terms"], bounds: Float[np.ndarray, " terms"]
) -> Float[np.ndarray, " terms"]:
    """The least-squares fit of smallest norm, or within the bounds where it violates them."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-12 * values[-1]
    roots = np.sqrt(values[kept])
    target = vectors[:, kept].T @ moment / roots
    fit = vectors[:, kept] @ (target / roots)
    if np.all(np.abs(fit) <= bounds):
        return fit
    # A bound of zero width, as before losses differ, would be refused.
    widths = np.maximum(bounds, 1e-12)
    return lsq_linear(roots[:, None] * vectors[:, kept].T, target, (-widths, widths), method="bvls").x
