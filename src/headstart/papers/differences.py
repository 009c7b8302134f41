"""Differences between two arms of an experiment, paired by seed, as the numbers of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers.paper import Result


def values(results: Sequence[Result], *path: str | int) -> list[float]:
    """One number of each seed, found by keys and indices."""
    found: list[Any] = list(results)
    for key in path:
        found = [value[key] for value in found]
    return [float(value) for value in found]


def difference(ours: ArrayLike, theirs: ArrayLike, name: str = "difference") -> dict[str, float]:
    """Mean of ours minus theirs over seeds with its 95 % paired bootstrap interval, as ``name``, ``low``, ``high``."""
    return dict(zip((name, "low", "high"), paired_bootstrap(ours, theirs), strict=True))
