"""The columns of recorded experience: names, dtypes and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.core.errors import DataError
from headstart.core.specs import Box, Spec

COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations")


def column_layout(spec: Spec, observation_dtype: np.dtype | type = np.float32) -> dict[str, tuple[np.dtype, tuple]]:
    """The dtype of every column, and the shape of one of its rows."""
    observation = (np.dtype(observation_dtype), spec.observation.shape)
    action = (np.dtype(np.float32), spec.action.shape) if isinstance(spec.action, Box) else (np.dtype(np.int32), ())
    return {
        "observations": observation,
        "actions": action,
        "rewards": (np.dtype(np.float32), ()),
        "next_observations": observation,
        "terminations": (np.dtype(bool), ()),
        "truncations": (np.dtype(bool), ()),
    }


def conform(name: str, column: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The column as an array of the given dtype whose rows have the given shape; the same object if it is one.

    Raises:
        DataError: its rows have another shape, or its numbers are not whole where choices are expected.
    """
    array = column if isinstance(column, np.ndarray) else np.asarray(column)
    if shape == () and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 0 or array.shape[1:] != shape:
        expected = f"[rows{''.join(f', {size}' for size in shape)}]"
        raise DataError(f"{name} has shape {list(array.shape)}; expected {expected}")
    if array.dtype == dtype:
        return array
    if dtype == np.int32 and array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise DataError(f"{name} are {array.dtype} with fractions, but the world's actions are discrete choices")
    return np.array(array, dtype)
