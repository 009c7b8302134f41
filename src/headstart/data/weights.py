"""Draw good trajectories more often, whatever the method.

Hong et al. 2023, "Harnessing Mixed Offline RL Datasets via Trajectory Weighting".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError, UsageError
from headstart.data.experience import Experience
from headstart.data.row_weights import RowWeights

Baseline = Callable[[Float[np.ndarray, "trajectories ..."], Float[np.ndarray, " trajectories"]], np.ndarray]

# Returns of single-precision rewards, and what an exact fit leaves of them, differ by this part of them at random.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class WeightedTrajectories:
    """Trajectories and how often each is drawn.

    Attributes:
        returns: undiscounted return of each trajectory, float64.
        lengths: its number of transitions.
        probabilities: probability that a drawn transition belongs to it; they sum to one.
    """

    returns: Float[np.ndarray, " trajectories"]
    lengths: Int[np.ndarray, " trajectories"]
    probabilities: Float[np.ndarray, " trajectories"]

    def effective_trajectories(self) -> float:
        """How many equally likely trajectories would be as concentrated: ``1 / sum(p ** 2)``."""
        return float(1.0 / np.sum(self.probabilities**2))

    def expected_return(self) -> float:
        """Mean return of a drawn transition's trajectory."""
        return float(self.probabilities @ self.returns)

    def positive_sided_variance(self) -> float:
        """``E[max(G - E[G], 0) ** 2]`` over trajectories: what weighting has to gain from."""
        return float(np.mean(np.maximum(self.returns - self.returns.mean(), 0.0) ** 2))


@dataclass(frozen=True)
class TrajectoryWeights:
    """How often each trajectory is drawn, from its return G and its first observation s.

    - "return": ``w = exp(z / alpha)``, z being G scaled to [0, 1] by the smallest and largest of all trajectories.
    - "advantage": the same of ``G - V(s)``, V being the return expected from s; right where starts differ in luck.
    - "top": the best ``fraction`` of trajectories alone, uniformly.

    Every transition of a trajectory has its trajectory's weight, so that longer trajectories are drawn more often.

    Attributes:
        kind: see above.
        alpha: temperature; small concentrates on the best. The paper's 0.1.
        fraction: part of trajectories kept by "top". The paper's 10 %.
        baseline: V: "linear" (least squares with intercept, the paper's), "mean", or a function from first
            observations [trajectories, ...] and returns to values [trajectories].
        per_trajectory: draw trajectories by weight whatever their length (not the paper's).
        incomplete: a trajectory whose recording stopped before its end: "drop" never draws it, "keep" takes what
            was recorded for its whole return.
    """

    kind: Literal["advantage", "return", "top"] = "advantage"
    alpha: float = 0.1
    fraction: float = 0.1
    baseline: Literal["linear", "mean"] | Baseline = "linear"
    per_trajectory: bool = False
    incomplete: Literal["drop", "keep"] = "drop"

    def __post_init__(self):
        if self.kind not in ("advantage", "return", "top"):
            raise UsageError(f"trajectory weights {self.kind!r}; expected advantage, return or top")
        if not self.alpha > 0.0:
            raise UsageError(f"alpha {self.alpha}; expected more than 0 (0.1 is the paper's)")
        if not 0.0 < self.fraction <= 1.0:
            raise UsageError(f"fraction {self.fraction}; expected more than 0 and at most 1")

    def weigh(self, experience: Experience) -> WeightedTrajectories:
        """The trajectories of a dataset and how often each is drawn.

        Raises:
            DataError: no trajectory ends, a return is not finite, or a linear baseline cannot be fitted.
        """
        return self._weigh(experience)[0]

    def transition_weights(self, experience: Experience) -> Float[np.ndarray, " rows"]:
        """Probability of drawing each row, float64, summing to one; what ``Replay.from_experience`` takes.

        Raises:
            DataError: as ``weigh``.
        """
        return self.row_weights(experience).whole()

    def row_weights(self, experience: Experience) -> RowWeights:
        """The same, held as one number for each trajectory where trajectories lie one after another.

        Raises:
            DataError: as ``weigh``.
        """
        trajectories, chosen = self._weigh(experience)
        episodes = experience.episodes()
        per_row = np.zeros(len(episodes))
        per_row[chosen] = trajectories.probabilities / trajectories.lengths
        if episodes.order is None:
            return RowWeights(per_row, episodes.ends)
        weights = np.empty(len(experience))
        weights[episodes.order] = np.repeat(per_row, episodes.lengths)
        return RowWeights.of(weights)

    def _weigh(self, experience: Experience) -> tuple[WeightedTrajectories, Int[np.ndarray, " trajectories"]]:
        episodes = experience.episodes()
        if not episodes.complete.any():
            raise DataError(
                "trajectory weights need trajectories, but no row is a termination or truncation; mark where "
                "episodes end (for D4RL files, give the horizon)"
            )
        chosen = np.flatnonzero(episodes.complete) if self.incomplete == "drop" else np.arange(len(episodes))
        returns, lengths = experience.returns(incomplete=True)[chosen], episodes.lengths[chosen]
        bad = np.flatnonzero(~np.isfinite(returns))
        if len(bad):
            raise DataError(f"{len(bad)} returns are NaN or infinite, first of trajectory {chosen[bad[0]]}")
        firsts = episodes.starts[chosen]
        starts = experience.take("observations", firsts if episodes.order is None else episodes.order[firsts])
        weights = self._weights(returns, starts)
        mass = weights if self.per_trajectory else weights * lengths
        return WeightedTrajectories(returns, lengths, mass / mass.sum()), chosen

    def _weights(self, returns: np.ndarray, starts: np.ndarray) -> np.ndarray:
        if self.kind == "top":
            kept = np.zeros(len(returns))
            kept[np.argsort(-returns, kind="stable")[: max(1, int(self.fraction * len(returns)))]] = 1.0
            return kept
        scores = returns if self.kind == "return" else returns - self._baseline(starts, returns)
        spread = scores.max() - scores.min()
        if spread <= _ROUNDING * max(1.0, np.abs(returns).max()):
            return np.ones(len(returns))
        # The largest weight is one: nothing overflows however small alpha is.
        return np.exp(((scores - scores.min()) / spread - 1.0) / self.alpha)

    def _baseline(self, starts: np.ndarray, returns: np.ndarray) -> np.ndarray:
        if callable(self.baseline):
            values = np.asarray(self.baseline(starts, returns), np.float64)
            if values.shape != returns.shape or not np.isfinite(values).all():
                raise DataError(
                    f"the baseline gave {values.dtype}{list(values.shape)}; expected {len(returns)} finite values"
                )
            return values
        if self.baseline == "mean" or len(returns) == 1:
            return np.full(len(returns), returns.mean())
        if starts.ndim != 2:
            raise DataError(
                f"first observations of shape {list(starts.shape[1:])} have no linear baseline; "
                'use baseline="mean", or a function of features of them'
            )
        inputs = np.concatenate([starts.astype(np.float64), np.ones((len(starts), 1))], axis=1)
        rank = np.linalg.matrix_rank(inputs)
        if rank >= len(returns):
            raise DataError(
                f"{len(returns)} trajectories are too few for a linear baseline of {starts.shape[1]} observed numbers "
                '(it would explain every return); use baseline="mean", or weights by return'
            )
        return inputs @ np.linalg.lstsq(inputs, returns, rcond=None)[0]
