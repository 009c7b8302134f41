"""How well estimated policy values serve to choose among policies (off-policy evaluation metrics of Fu et al. 2020,
"D4RL", and Fu et al. 2021, "Benchmarks for deep off-policy evaluation").

Every function takes ``estimated`` and ``true`` values ``[policies]`` in the same units. Of equal estimates the earlier
policy counts as ranked higher.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.evaluate.correlation import spearman


def value_error(estimated: ArrayLike, true: ArrayLike) -> float:
    """Mean absolute error of the estimates, in their units."""
    estimated, true = _values(estimated, true)
    return float(np.abs(estimated - true).mean())


def regret_at_k(estimated: ArrayLike, true: ArrayLike, k: int = 1) -> float:
    """True value of the best policy, less that of the best among the ``k`` with the highest estimates."""
    estimated, true = _values(estimated, true)
    return float(true.max() - true[_top(estimated, k)].max())


def rank_correlation(estimated: ArrayLike, true: ArrayLike) -> float:
    """Spearman correlation of estimated and true values.

    Raises:
        DataError: fewer than three policies, or all estimates or all true values equal.
    """
    return spearman(*_values(estimated, true))


def precision_at_k(estimated: ArrayLike, true: ArrayLike, k: int = 1, relevant: int | None = None) -> float:
    """Fraction of the ``k`` policies estimated highest that are among the ``relevant`` truly best (default k)."""
    estimated, true = _values(estimated, true)
    return len(_hits(estimated, true, k, relevant)) / k


def recall_at_k(estimated: ArrayLike, true: ArrayLike, k: int = 1, relevant: int | None = None) -> float:
    """Fraction of the ``relevant`` truly best policies (default k) that are among the ``k`` estimated highest."""
    estimated, true = _values(estimated, true)
    return len(_hits(estimated, true, k, relevant)) / (k if relevant is None else relevant)


def _hits(
    estimated: Float[np.ndarray, " policies"], true: Float[np.ndarray, " policies"], k: int, relevant: int | None
) -> Int[np.ndarray, " hits"]:
    return np.intersect1d(_top(estimated, k), _top(true, k if relevant is None else relevant))


def _top(values: Float[np.ndarray, " policies"], k: int) -> Int[np.ndarray, " k"]:
    if not 1 <= k <= len(values):
        raise UsageError(f"asked for the top {k} of {len(values)} policies; expected 1 to {len(values)}")
    return np.argsort(-values, kind="stable")[:k]


def _values(estimated: ArrayLike, true: ArrayLike) -> list[Float[np.ndarray, " policies"]]:
    values = [np.asarray(estimated, np.float64), np.asarray(true, np.float64)]
    if values[0].ndim != 1 or values[0].shape != values[1].shape or not values[0].size:
        raise DataError(
            f"estimated and true values have the shapes {[list(v.shape) for v in values]}; "
            "expected one value a policy in both"
        )
    if not np.isfinite(values).all():
        raise DataError("estimated and true values have to be finite")
    return values
