"""Worlds from files that others wrote."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import DiscountedMDP, FiniteMDP, load_world


def read_world(path: Path | str) -> FiniteMDP | DiscountedMDP:
    """A world as ``mdp.load_world`` reads it, its horizon and discount checked first.

    Raises:
        UsageError: the horizon is no whole number of at least 1, or the discount is outside [0, 1).
        DataError: the file is missing or is not a world's; the message names the first entry that is wrong.
    """
    numbers = _scalars(path)
    horizon, discount = numbers.get("horizon"), numbers.get("discount")
    if horizon is not None and not (math.isfinite(horizon) and horizon == int(horizon) and horizon >= 1):
        raise UsageError(f"{path}: horizon is {horizon:g}; an episode needs a whole number of steps, at least 1")
    if horizon is None and discount is not None and not 0 <= discount < 1:
        raise UsageError(f"{path}: discount is {discount:g}; a world without end needs one in [0, 1)")
    try:
        return load_world(path)
    except (DataError, UsageError) as error:
        place = "" if str(path) in str(error) else f"{path}: "
        raise type(error)(f"{place}{error}") from error


def _scalars(path: Path | str) -> dict[str, float]:
    """Numbers of the file that stand alone; none where it cannot be read, which ``load_world`` tells."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("horizon", "discount") if name in file.files}
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile):
        return {}
    return {
        name: float(array.item()) for name, array in arrays.items() if array.size == 1 and array.dtype.kind in "iuf"
    }
