"""Classification turned into a bandit: a row is shown, an arm named, and only whether it is the row's class is seen."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from headstart.bandits.bandit import Bandit, BanditSpec, Context
from headstart.bandits.real_data import classification
from headstart.core.errors import DataError, UsageError


class ClassificationBandit(Bandit):
    """Rows drawn evenly with replacement; reward 1 for the row's class, else 0.

    Arm ``k`` has a block of features of its own, which holds the row while all other blocks are zero.
    """

    rows: Float[Array, "rows size"]
    chances: Float[Array, "rows arms"]
    often: Float[Array, " rows"]

    @classmethod
    def of(cls, features: ArrayLike, labels: ArrayLike, noise: float = 0.0) -> ClassificationBandit:
        """From a table; rows that are equal are one, whose class is one of theirs at random.

        Args:
            features: ``[rows, size]``; neural learners expect rows of norm one (``standardised``).
            labels: ``[rows]``, classes from 0.
            noise: probability that the class is replaced by one drawn evenly.

        Raises:
            DataError: shapes that do not match, features that are not finite, or labels that are not classes from 0.
            UsageError: noise outside [0, 1].
        """
        features, labels = np.asarray(features, np.float32), np.asarray(labels)
        if features.ndim != 2 or labels.shape != features.shape[:1] or features.size == 0:
            raise DataError(
                f"features must be [rows, size] and labels [rows]; given {list(features.shape)}, {list(labels.shape)}"
            )
        if not np.isfinite(features).all():
            raise DataError(f"row {int(np.argmin(np.isfinite(features).all(1)))} has features that are not finite")
        if not np.array_equal(labels, labels.astype(np.int64)) or labels.min() < 0:
            raise DataError(f"labels must be whole numbers from 0; given {np.unique(labels)[:10]}")
        if not 0 <= noise <= 1:
            raise UsageError(f"noise must lie within [0, 1]; given {noise}")
        rows, number = np.unique(features, axis=0, return_inverse=True)
        chances = np.zeros((len(rows), int(labels.max()) + 1), np.float32)
        np.add.at(chances, (number.reshape(-1), labels.astype(np.int64)), 1.0)
        often = chances.sum(1)
        chances = (1 - noise) * chances / often[:, None] + noise / chances.shape[1]
        return cls(jnp.asarray(rows), jnp.asarray(chances), jnp.asarray(often / often.sum()))

    @property
    def spec(self) -> BanditSpec:
        """An arm a class, a block of features an arm."""
        arms = self.chances.shape[1]
        return BanditSpec(arms, arms * self.rows.shape[1])

    def context(self, step: Int[Array, ""], key: PRNGKeyArray) -> Context:
        """A row, in each arm's own block."""
        row = self.rows[jnp.searchsorted(jnp.cumsum(self.often), jax.random.uniform(key)).clip(max=len(self.often) - 1)]
        return jnp.kron(jnp.eye(self.spec.arms), row)

    def means(self, context: Context) -> Float[Array, " arms"]:
        """Chance of each class, for the row that this context shows."""
        row = context[0, : self.rows.shape[1]]
        return self.chances[jnp.argmin(jnp.sum(jnp.abs(self.rows - row), axis=1))]

    def reward(self, context: Context, action: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """1 if the arm is the class, else 0."""
        return (jax.random.uniform(key) < self.means(context)[action]).astype(jnp.float32)


def standardised(features: ArrayLike) -> Float[np.ndarray, "rows size"]:
    """Columns of mean zero and deviation one (constant ones zero), then rows of norm one."""
    features = np.asarray(features, np.float64)
    deviation = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)


def table_bandit(name: str = "digits", noise: float = 0.0) -> ClassificationBandit:
    """One of scikit-learn's own tables (digits, wine, breast-cancer, iris), standardised.

    Raises:
        UsageError: another name, or noise outside [0, 1].
        DataError: the table is neither installed nor in the cache, and could not be downloaded.
    """
    features, labels = classification(name)
    return ClassificationBandit.of(standardised(features), labels, noise)


def rings_bandit(rows: int = 4000, noise: float = 0.0, seed: int = 0) -> ClassificationBandit:
    """Rings of normal features (``rings``)."""
    return ClassificationBandit.of(*rings(rows, np.random.default_rng(seed)), noise)


def rings(rows: int, generator: np.random.Generator) -> tuple[Float[np.ndarray, "rows 11"], Int[np.ndarray, " rows"]]:
    """Ten normal features and four classes, by the first four features' sum of squares, cut at 2.2, 3.4 and 5.

    Rows are scaled to norms of at most one, and one more column makes their norms one.
    """
    features = generator.normal(size=(rows, 10))
    labels = np.searchsorted([2.2, 3.4, 5.0], np.square(features[:, :4]).sum(axis=1))
    squares = np.square(features).sum(axis=1)
    scale = squares.max()
    return np.column_stack([features, np.sqrt(scale - squares)]) / np.sqrt(scale), labels
