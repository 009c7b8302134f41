"""Imitation of large numbers of states by a few features: a log-linear policy of largest likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.core.errors import DataError, HeadstartError, UsageError
from headstart.finite.episodes import Counts


@dataclass(frozen=True, eq=False)
class LogLinearCloning:
    """``pi_h(a | s) proportional to exp(parameter_h . features(s, a))``, mixed with uniform actions.

    Tiapkin et al. 2023 (arXiv 2310.17303), section 3, for linear worlds. The mixture keeps every action possible, which
    keeps divergences from the imitation finite.
    """

    features: Float[np.ndarray, "states actions dimension"]
    ridge: float = 1e-3
    """Half of it times the squared norm of each step's parameter is added to the mean loss, so that a demonstrator who
    never errs has a finite one."""
    floor: float | None = None
    """Share of uniform actions; None: one over one more than the demonstrations."""

    def __post_init__(self) -> None:
        if self.features.ndim != 3 or not np.isfinite(self.features).all():
            raise UsageError(
                f"features have the shape {list(self.features.shape)}; expected finite [states, actions, dimension]"
            )
        if not self.ridge > 0 or (self.floor is not None and not 0 <= self.floor < 1):
            raise UsageError(f"ridge is {self.ridge} and floor {self.floor}; expected above 0, and in [0, 1) or None")

    def fit(self, counts: Counts) -> Float[np.ndarray, "horizon states actions"]:
        """The imitation of demonstrations that were counted step by step.

        Raises:
            DataError: the counts are of other states or actions than the features.
            HeadstartError: the likelihood was not maximised.
        """
        visits = counts.visits
        if visits.ndim != 3 or visits.shape[1:] != self.features.shape[:2]:
            raise DataError(
                f"demonstrations were counted over {list(visits.shape)}; expected [horizon, "
                f"{', '.join(map(str, self.features.shape[:2]))}]"
            )
        floor = 1 / (visits[0].sum() + 1) if self.floor is None else self.floor
        fitted = np.stack([self._fit_step(step) for step in visits])
        return (1 - floor) * fitted + floor / visits.shape[-1]

    def _fit_step(self, visits: Float[np.ndarray, "states actions"]) -> Float[np.ndarray, "states actions"]:
        from scipy.optimize import minimize
        from scipy.special import log_softmax

        seen, total = visits.sum(-1), max(visits.sum(), 1.0)

        def loss(parameter: np.ndarray) -> tuple[float, np.ndarray]:
            logs = log_softmax(self.features @ parameter, axis=-1)
            surplus = seen[:, None] * np.exp(logs) - visits
            gradient = np.einsum("sa,sad->d", surplus, self.features) / total + self.ridge * parameter
            return -(visits * logs).sum() / total + self.ridge / 2 * parameter @ parameter, gradient

        found = minimize(loss, np.zeros(self.features.shape[-1]), jac=True, method="L-BFGS-B")
        if not np.isfinite(found.fun):
            raise HeadstartError(f"the likelihood of the demonstrations was not maximised: {found.message}")
        return np.exp(log_softmax(self.features @ found.x, axis=-1))
