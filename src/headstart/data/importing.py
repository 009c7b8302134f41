"""What every reader of a foreign format does: guess what the file does not say, and note what was changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from headstart.core.errors import DataError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.columns import COLUMNS, column_layout
from headstart.data.experience import Experience


def infer_spec(observations: Shaped[np.ndarray, "rows ..."], actions: Shaped[np.ndarray, "rows ..."]) -> Spec:
    """The narrowest usual spec that holds the data, for files that do not state one.

    Whole-number actions of no dimension are choices, from 0 to the largest seen. Other actions lie within [-1, 1] if
    all do, else within the range seen. Observations are unbounded, 8-bit ones lie within [0, 255].
    """
    low, high = (0.0, 255.0) if observations.dtype == np.uint8 else (-np.inf, np.inf)
    observation = Box.uniform(observations.shape[1:], low, high)
    flat = actions[:, 0] if actions.ndim == 2 and actions.shape[1] == 1 else actions
    if flat.dtype.kind in "iu" and flat.ndim == 1:
        return Spec(observation, Discrete(int(flat.max()) + 1 if len(flat) else 1))
    shape = actions.shape[1:] or (1,)
    finite = actions[np.isfinite(actions)]
    if not len(finite) or np.abs(finite).max() <= 1.0:
        return Spec(observation, Box.uniform(shape, -1.0, 1.0))
    seen = np.where(np.isfinite(actions), actions, 0.0).reshape(len(actions), -1)
    return Spec(observation, Box(shape, tuple(seen.min(0).tolist()), tuple(seen.max(0).tolist())))


def import_columns(
    columns: Mapping[str, np.ndarray],
    spec: Spec | None = None,
    metadata: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Experience:
    """Experience of foreign columns, with what had to be changed noted under ``metadata["notes"]``.

    Args:
        columns: an array for every name in ``COLUMNS``.
        spec: observations and actions; inferred where the file does not state them.
        metadata: facts to keep.
        notes: what the reader itself had to assume.

    Raises:
        DataError: a column is missing, not numeric, or of a shape that does not fit.
    """
    for name in COLUMNS:
        if name in columns and np.asarray(columns[name]).dtype.kind not in "biuf":
            raise DataError(f"{name} holds {np.asarray(columns[name]).dtype}, expected numbers")
    arrays = {name: np.asarray(columns[name]) for name in COLUMNS if name in columns}
    lines = list(notes)
    if spec is None and {"observations", "actions"} <= arrays.keys():
        spec = infer_spec(arrays["observations"], arrays["actions"])
        lines.append(f"the file states no bounds; taken from the data: {_describe(spec)}")
    if spec is None:
        raise DataError(f"observations or actions are missing; found columns {', '.join(sorted(columns))}")
    layout = column_layout(spec, np.uint8 if arrays["observations"].dtype == np.uint8 else np.float32)
    for name, array in arrays.items():
        if array.ndim == 1 and layout[name][1] == (1,):
            arrays[name] = array[:, None]
            lines.append(f"{name} of shape [rows] read as [rows, 1]")
        if array.ndim == 2 and array.shape[1] == 1 and layout[name][1] == ():
            lines.append(f"{name} of shape [rows, 1] flattened")
        if array.dtype.kind == "f" and array.dtype != layout[name][0]:
            lines.append(f"{name} converted from {array.dtype} to {layout[name][0]}")
    facts = dict(metadata or {})
    if lines:
        facts["notes"] = lines
    return Experience(spec, arrays, facts)


def derive_successors(
    observations: Shaped[np.ndarray, "rows ..."],
    actions: Shaped[np.ndarray, "rows ..."],
    rewards: Shaped[np.ndarray, " rows"],
    terminations: Bool[np.ndarray, " rows"],
    truncations: Bool[np.ndarray, " rows"],
) -> dict[str, np.ndarray]:
    """The columns of a file without ``next_observations``: they are the next row's observations.

    As in D4RL's own ``qlearning_dataset``, a step at a time limit, whose successor was not recorded, is dropped, and
    so is the last row. The step before a dropped one is marked as truncated, so that episodes stay apart. After a
    termination comes the next episode's first observation; nothing is ever bootstrapped from it.
    """
    kept = np.flatnonzero(~truncations[:-1])
    return {
        "observations": observations[kept],
        "actions": actions[kept],
        "rewards": rewards[kept],
        "next_observations": observations[kept + 1],
        "terminations": terminations[kept],
        "truncations": truncations[kept + 1] & ~terminations[kept],
    }


def _describe(spec: Spec) -> str:
    if isinstance(spec.action, Discrete):
        return f"{spec.action.n} choices"
    low, high = min(spec.action.low), max(spec.action.high)
    return f"actions within [{low:g}, {high:g}]"
