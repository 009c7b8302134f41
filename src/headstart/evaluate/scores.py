"""Normalised scores: 0 is a uniform random policy, 100 the reference policy, of D4RL's worlds and of our own."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from headstart.core.errors import UsageError
from headstart.core.registry import unknown


@dataclass(frozen=True)
class Reference:
    """The returns that stand for 0 and 100.

    Attributes:
        low: mean undiscounted return of score 0.
        high: mean undiscounted return of score 100.
        source: whose policies these are.
    """

    low: float
    high: float
    source: str


_D4RL = "D4RL (Fu et al. 2020): random policy, domain expert"
_OWN = "this library, 10 000 episodes: random policy, scripted controller"
_OWN_GYMNASIUM = "this library, at least 500 episodes: random policy, scripted controller"

REFERENCE_SCORES: dict[str, Reference] = {
    name: Reference(low, high, source)
    for source, rows in {
        _D4RL: (
            ("halfcheetah", -280.178953, 12135.0),
            ("hopper", -20.272305, 3234.3),
            ("walker2d", 1.629008, 4592.3),
            ("ant", -325.6, 3879.7),
            ("pen", 96.262799, 3076.8331017826877),
            ("hammer", -274.856578, 12794.134825156867),
            ("door", -56.512833, 2880.5693087298737),
            ("relocate", -6.425911, 4233.877797728884),
            ("antmaze", 0.0, 1.0),
            ("kitchen", 0.0, 4.0),
            ("maze2d-open-v0", 0.01, 20.66),
            ("maze2d-umaze-v1", 23.85, 161.86),
            ("maze2d-medium-v1", 13.13, 277.39),
            ("maze2d-large-v1", 6.7, 273.99),
            ("maze2d-umaze-v0", 0.94, 62.6),
            ("maze2d-medium-v0", 5.77, 85.14),
            ("maze2d-large-v0", 4.83, 191.99),
            ("maze2d-open-dense-v0", 11.17817, 27.166538620695782),
            ("maze2d-umaze-dense-v1", 68.537689, 193.66285642381482),
            ("maze2d-medium-dense-v1", 44.264742, 297.4552547777125),
            ("maze2d-large-dense-v1", 30.569041, 303.4857382709002),
            ("maze2d-eval-umaze-v1", 36.63, 141.4),
            ("maze2d-eval-medium-v1", 13.07, 204.93),
            ("maze2d-eval-large-v1", 16.4, 302.22),
            ("minigrid-fourrooms", 0.01442, 2.89685),
            ("flow-ring", -165.22, 24.42),
            ("flow-merge", 118.67993, 330.03179),
            ("carla-lane", -0.8503839912088142, 1023.5784385429523),
            ("carla-town", -114.81579500772153, 2440.1772022247314),
            ("bullet-halfcheetah", -1275.766996, 2381.6725),
            ("bullet-hopper", 20.058972, 1441.8059623430963),
            ("bullet-ant", 373.705955, 2650.495),
            ("bullet-walker2d", 16.523877, 1623.6476303317536),
            ("bullet-maze2d-open", 8.75, 64.15),
            ("bullet-maze2d-umaze", 32.46, 153.99),
            ("bullet-maze2d-medium", 14.87, 238.05),
            ("bullet-maze2d-large", 1.82, 285.92),
        ),
        # Default options of each world; the table kitchen's controller follows the sequence with all four targets.
        _OWN: (
            ("point-maze-umaze", 0.0174, 1.0),
            ("point-maze-medium", 0.0027, 1.0),
            ("point-maze-large", 0.0010, 1.0),
            ("pendulum", -1229.2, -149.65),
            ("mountain-car", -200.0, -119.43),
            ("mountain-car-continuous", -6.662, 89.348),
            ("table-kitchen", -149.15, -27.553),
            ("lava-gap", 0.0223, 0.95224),
        ),
        _OWN_GYMNASIUM: (
            ("pendulum-v1", -1230.7, -147.0),
            ("mountaincar-v0", -200.0, -119.8),
        ),
        "this library, 2 000 episodes: random policy, the longest possible episode": (("cartpole-v1", 22.1, 500.0),),
    }.items()
    for name, low, high in rows
}
"""References by the lower-case name of the world. All datasets and versions of a D4RL family share its entry, unless
the version is part of the name."""

_GYMNASIUM = {
    "halfcheetah": "halfcheetah",
    "hopper": "hopper",
    "walker2d": "walker2d",
    "ant": "ant",
    "adroithandpen": "pen",
    "adroithandhammer": "hammer",
    "adroithanddoor": "door",
    "adroithandrelocate": "relocate",
    "frankakitchen": "kitchen",
}
_MINARI = {
    "mujoco": {"halfcheetah", "hopper", "walker2d", "ant"},
    "d4rl": {"pen", "hammer", "door", "relocate", "kitchen"},
}
_VARIANT = re.compile(
    r"(-(random|medium|expert|replay|full|human|cloned|complete|partial|mixed|umaze|large|play|diverse|undirected"
    r"|controller|v\d+))+"
)


def find_reference(name: str) -> Reference | None:
    """The reference of a world or dataset name, or None when there is none.

    Understood are the keys of ``REFERENCE_SCORES``, alone or followed by a dataset's variant ("hopper-medium-v2"), the
    Gymnasium ids of the same worlds ("Hopper-v5") and their Minari ids ("mujoco/hopper/medium-v0").
    """
    name = name.lower()
    parts = name.split("/")
    if len(parts) == 3:
        return REFERENCE_SCORES.get(parts[1]) if parts[1] in _MINARI.get(parts[0], ()) else None
    if name in REFERENCE_SCORES:
        return REFERENCE_SCORES[name]
    family = _GYMNASIUM.get(re.sub(r"-v\d+$", "", name))
    if family is not None:
        return REFERENCE_SCORES[family]
    for known in sorted(REFERENCE_SCORES, key=len, reverse=True):
        if name.startswith(f"{known}-") and _VARIANT.fullmatch(name[len(known) :]):
            return REFERENCE_SCORES[known]
    return None


def reference(name: str) -> Reference:
    """The reference of a world or dataset name.

    Raises:
        UsageError: there is none; the nearest names are offered.
    """
    found = find_reference(name)
    if found is None:
        raise unknown("reference for normalised scores of", name, REFERENCE_SCORES, "Add one with register_reference.")
    return found


def register_reference(name: str, low: float, high: float, source: str) -> None:
    """Add a reference for a world of your own.

    Args:
        name: the world's name; case does not matter.
        low: mean undiscounted return of score 0, by custom a uniform random policy's.
        high: mean undiscounted return of score 100.
        source: whose returns these are.

    Raises:
        UsageError: ``low`` is not below ``high``, or the name has another reference already.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"reference of {name!r}: low={low}, high={high}; expected finite numbers with low below high")
    new = Reference(float(low), float(high), source)
    if REFERENCE_SCORES.setdefault(name.lower(), new) != new:
        raise UsageError(f"{name!r} has a reference already ({REFERENCE_SCORES[name.lower()]}); use another name")


def normalized_score(name: str, returns: ArrayLike) -> Float[np.ndarray, "..."]:
    """Undiscounted returns as percentages: 0 the random policy, 100 the reference policy.

    Args:
        name: world or dataset, as for ``find_reference``.
        returns: any shape; the result has the same.

    Raises:
        UsageError: there is no reference of that name.
    """
    scale = reference(name)
    return (np.asarray(returns, np.float64) - scale.low) / (scale.high - scale.low) * 100.0


def returns_of_score(name: str, scores: ArrayLike) -> Float[np.ndarray, "..."]:
    """The inverse of ``normalized_score``: percentages back to undiscounted returns."""
    scale = reference(name)
    return np.asarray(scores, np.float64) / 100.0 * (scale.high - scale.low) + scale.low
