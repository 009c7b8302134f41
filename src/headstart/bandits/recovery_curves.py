"""Recovery curves: what an arm pays on average after each idle time, checked, repaired, estimated, made up.

``curves[arm, d - 1]`` is the mean reward of an arm pulled ``d`` periods after its last pull; the last column stands
for all longer idle times too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from headstart.core.errors import DataError, UsageError

RecoveryCurves = Float[np.ndarray, "arms idle"]
"""Mean rewards within [0, 1], never decreasing along a row."""


def check_curves(curves: ArrayLike, repair: bool = False) -> RecoveryCurves:
    """The curves as an array of float64.

    Args:
        curves: ``[arms, idle]``.
        repair: where a curve falls somewhere, put the nearest non-decreasing one (least squares) in its place.

    Raises:
        DataError: not a table of at least one arm and one idle time, values outside [0, 1] or not finite, or a curve
            that falls and is not to be repaired; says which arm.
    """
    curves = np.array(curves, np.float64)
    if curves.ndim != 2 or 0 in curves.shape:
        raise DataError(f"curves have the shape {list(curves.shape)}; expected [arms, idle times], neither empty")
    wrong = ~((curves >= 0) & (curves <= 1))
    if wrong.any():
        arm, idle = np.argwhere(wrong)[0]
        raise DataError(
            f"the mean reward of arm {arm} after {idle + 1} idle periods is {curves[arm, idle]}; rewards must lie "
            "within [0, 1]: scale them first"
        )
    falling = (np.diff(curves, axis=1) < 0).any(axis=1)
    if falling.any() and not repair:
        arm = int(np.argmax(falling))
        idle = int(np.argmax(np.diff(curves[arm]) < 0)) + 1
        raise DataError(
            f"the curve of arm {arm} falls from {curves[arm, idle - 1]} after {idle} idle periods to "
            f"{curves[arm, idle]} after {idle + 1}; an arm must not pay less for resting longer: give curves that "
            "never fall, or ask for repair"
        )
    for arm in np.flatnonzero(falling):
        curves[arm] = isotonic_regression(curves[arm]).x
    return curves


class CurveEstimate(NamedTuple):
    """Recovery curves as far as a log tells.

    Attributes:
        curves: least-squares fit that never falls; 0 before the first and level after the last idle time seen.
        low: lower ends of the intervals, which never fall either.
        high: upper ends.
        counts: pulls seen after each idle time.
    """

    curves: RecoveryCurves
    low: RecoveryCurves
    high: RecoveryCurves
    counts: Int[np.ndarray, "arms idle"]


def estimate_recovery_curves(
    arms: ArrayLike, periods: ArrayLike, rewards: ArrayLike, longest: int, confidence: float = 0.95
) -> CurveEstimate:
    """Recovery curves from a log of pulls.

    The first pull of each arm only starts its clock. All intervals together hold with the given confidence
    (Hoeffding's inequality and a union bound over arms and idle times), for independent rewards within [0, 1].

    Args:
        arms: ``[pulls]``, numbered from 0.
        periods: ``[pulls]``, whole numbers, in any order.
        rewards: ``[pulls]``, within [0, 1].
        longest: idle time from which on a curve is level, in periods.
        confidence: within (0, 1).

    Raises:
        DataError: columns that do not match, rewards out of range, or an arm pulled twice in one period.
        UsageError: ``longest`` is below 1 or ``confidence`` not within (0, 1).
    """
    if longest < 1 or not 0 < confidence < 1:
        raise UsageError(f"longest must be 1 or more and confidence within (0, 1); given {longest} and {confidence}")
    arms, periods, rewards = np.asarray(arms, np.int64), np.asarray(periods, np.int64), np.asarray(rewards, np.float64)
    if not arms.shape == periods.shape == rewards.shape or arms.ndim != 1 or not len(arms):
        shapes = [list(column.shape) for column in (arms, periods, rewards)]
        raise DataError(f"arms, periods and rewards have the shapes {shapes}; expected three columns of equal length")
    if arms.min() < 0 or not ((rewards >= 0) & (rewards <= 1)).all():
        raise DataError("arms must be numbered from 0 and rewards lie within [0, 1]")
    order = np.lexsort((periods, arms))
    arms, periods, rewards = arms[order], periods[order], rewards[order]
    again = np.flatnonzero(arms[1:] == arms[:-1]) + 1
    idle = periods[again] - periods[again - 1]
    if (idle == 0).any():
        twice = again[np.argmax(idle == 0)]
        raise DataError(f"arm {arms[twice]} is pulled twice in period {periods[twice]}; keep one of the two")
    shape = (int(arms[-1]) + 1, longest)
    place = (arms[again], np.minimum(idle, longest) - 1)
    counts, totals = np.zeros(shape, np.int64), np.zeros(shape)
    np.add.at(counts, place, 1)
    np.add.at(totals, place, rewards[again])
    means = totals / np.maximum(counts, 1)
    width = np.sqrt(np.log(2 * counts.size / (1 - confidence)) / (2 * np.maximum(counts, 1)))
    high = np.where(counts > 0, np.minimum(means + width, 1.0), 1.0)
    low = np.where(counts > 0, np.maximum(means - width, 0.0), 0.0)
    curves = np.zeros(shape)
    for arm, seen in enumerate(counts > 0):
        if seen.any():
            fit = isotonic_regression(means[arm, seen], weights=counts[arm, seen].astype(float)).x
            last = np.cumsum(seen) - 1
            curves[arm] = np.where(last >= 0, fit[last], 0.0)
    return CurveEstimate(curves, np.maximum.accumulate(low, axis=1), tightened(high), counts)


def tightened(bounds: Float[np.ndarray, "arms idle"]) -> Float[np.ndarray, "arms idle"]:
    """Upper bounds that also use those of longer idle times, above which no curve that never falls can be."""
    return np.minimum.accumulate(bounds[:, ::-1], axis=1)[:, ::-1]


def dirichlet_curves(arms: int, longest: int, concentration: float, generator: np.random.Generator) -> RecoveryCurves:
    """Curves that rise to a height from U(0.3, 1), by increments from a symmetric Dirichlet distribution.

    Args:
        arms: how many.
        longest: idle time from which on they are level.
        concentration: small for few large jumps.
        generator: of their randomness.
    """
    increments = generator.dirichlet(np.full(longest, concentration), arms)
    heights = generator.uniform(0.3, 1.0, (arms, 1))
    return np.minimum(np.cumsum(increments, axis=1), 1.0) * heights


def step_curves(arms: int, longest: int, generator: np.random.Generator) -> RecoveryCurves:
    """Curves that pay nothing before an idle time drawn evenly from 1 to ``longest``, then a height from U(0.3, 1)."""
    jumps = generator.integers(1, longest + 1, (arms, 1))
    return np.where(np.arange(1, longest + 1) >= jumps, generator.uniform(0.3, 1.0, (arms, 1)), 0.0)


def geometric_curves(arms: int, longest: int, generator: np.random.Generator) -> RecoveryCurves:
    """Curves height * (1 - forgetting^d), height from U(0.3, 1) and forgetting from U(0.5, 0.95)."""
    heights, forgetting = generator.uniform(0.3, 1.0, (arms, 1)), generator.uniform(0.5, 0.95, (arms, 1))
    return heights * (1 - forgetting ** np.arange(1, longest + 1))
