"""What every reader of a foreign format does: guess what the file does not say, and note what was changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped

from headstart.core.errors import DataError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.columns import COLUMNS, column_layout
from headstart.data.experience import Experience


class Kind(NamedTuple):
    """Dtype and shape of a column that has not been read."""

    dtype: np.dtype
    shape: tuple[int, ...]


@dataclass
class SeenActions:
    """What has to be known of actions to guess their bounds; they may be added block by block.

    Attributes:
        shape: of one row of them, where there is more than one number or none.
        choices: whether they are whole numbers of no dimension.
    """

    shape: tuple[int, ...] = ()
    choices: bool = False
    _low: np.ndarray | None = None
    _high: np.ndarray | None = None
    _within_one: bool = True

    def add(self, actions: Shaped[np.ndarray, "rows ..."]) -> None:
        """Look at a block of them."""
        flat = actions[:, 0] if actions.ndim == 2 and actions.shape[1] == 1 else actions
        self.choices, self.shape = flat.dtype.kind in "iu" and flat.ndim == 1, actions.shape[1:]
        if not len(actions):
            return
        finite = np.isfinite(actions)
        seen = np.where(finite, actions, 0.0).reshape(len(actions), -1) if not self.choices else flat.reshape(-1, 1)
        self._within_one &= not finite.any() or bool(np.abs(actions[finite]).max() <= 1.0)
        low, high = seen.min(0), seen.max(0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)

    def space(self) -> Box | Discrete:
        """Choices from 0 to the largest seen; else [-1, 1] if all lie within, else the range seen."""
        if self.choices:
            return Discrete(1 if self._high is None else int(self._high[0]) + 1)
        if self._within_one or self._low is None or self._high is None:
            return Box.uniform(self.shape or (1,), -1.0, 1.0)
        return Box(self.shape or (1,), tuple(self._low.tolist()), tuple(self._high.tolist()))


def infer_spec(observations: Kind, actions: SeenActions) -> Spec:
    """The narrowest usual spec that holds the data, for files that do not state one.

    Whole-number actions of no dimension are choices, from 0 to the largest seen. Other actions lie within [-1, 1] if
    all do, else within the range seen. Observations are unbounded, 8-bit ones lie within [0, 255].
    """
    low, high = (0.0, 255.0) if observations.dtype == np.uint8 else (-np.inf, np.inf)
    return Spec(Box.uniform(observations.shape[1:], low, high), actions.space())


@dataclass(frozen=True)
class Plan:
    """How the columns of a foreign file become ours.

    Attributes:
        spec: observations and actions of its world.
        observation_dtype: float32, or uint8 for images.
        metadata: facts to keep, with what is changed noted under "notes".
    """

    spec: Spec
    observation_dtype: np.dtype
    metadata: dict[str, Any]

    def shaped(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same arrays, those of shape [rows] as [rows, 1] where rows of one number are expected."""
        layout = column_layout(self.spec, self.observation_dtype)
        return {
            name: array[:, None] if array.ndim == 1 and layout[name][1] == (1,) else array
            for name, array in columns.items()
        }


def plan_import(
    kinds: Mapping[str, Kind],
    spec: Spec | None,
    look_at_actions: Callable[[], SeenActions],
    metadata: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Plan:
    """What has to be done to foreign columns, from their dtypes and shapes alone.

    Args:
        kinds: dtype and shape of every column that is there, those not in ``COLUMNS`` aside.
        spec: observations and actions; inferred where the file does not state them.
        look_at_actions: called in that case only.
        metadata: facts to keep.
        notes: what the reader itself had to assume.

    Raises:
        DataError: a column is not numeric, or the file says too little.
    """
    for name, kind in kinds.items():
        if kind.dtype.kind not in "biuf":
            raise DataError(f"{name} holds {kind.dtype}, expected numbers")
    lines = list(notes)
    if spec is None and {"observations", "actions"} <= kinds.keys():
        spec = infer_spec(kinds["observations"], look_at_actions())
        lines.append(f"the file states no bounds; taken from the data: {_describe(spec)}")
    if spec is None:
        raise DataError(f"observations or actions are missing; found columns {', '.join(sorted(kinds))}")
    dtype = np.dtype(np.uint8 if kinds["observations"].dtype == np.uint8 else np.float32)
    layout = column_layout(spec, dtype)
    for name, (found, shape) in kinds.items():
        expected, row = layout[name]
        if len(shape) == 1 and row == (1,):
            lines.append(f"{name} of shape [rows] read as [rows, 1]")
        if len(shape) == 2 and shape[1] == 1 and row == ():
            lines.append(f"{name} of shape [rows, 1] flattened")
        if found.kind == "f" and found != expected:
            lines.append(f"{name} converted from {found} to {expected}")
    return Plan(spec, dtype, dict(metadata or {}) | ({"notes": lines} if lines else {}))


def import_columns(
    columns: Mapping[str, np.ndarray],
    spec: Spec | None = None,
    metadata: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    left_out: Int[np.ndarray, " rows"] | None = None,
) -> Experience:
    """Experience of foreign columns, with what had to be changed noted under ``metadata["notes"]``.

    Args:
        columns: an array for every name in ``COLUMNS``.
        spec: observations and actions; inferred where the file does not state them.
        metadata: facts to keep.
        notes: what the reader itself had to assume.
        left_out: what ``rows_without_successor`` gave, where successors were derived.

    Raises:
        DataError: a column is missing, not numeric, or of a shape that does not fit.
    """
    arrays = {name: np.asarray(columns[name]) for name in COLUMNS if name in columns}

    def look_at_actions() -> SeenActions:
        seen = SeenActions()
        seen.add(arrays["actions"])
        return seen

    plan = plan_import(kinds_of(arrays), spec, look_at_actions, metadata, notes)
    return Experience(plan.spec, plan.shaped(arrays), plan.metadata, left_out)


def kinds_of(columns: Mapping[str, np.ndarray]) -> dict[str, Kind]:
    """Dtype and shape of each of our columns, in their order."""
    return {name: Kind(columns[name].dtype, columns[name].shape) for name in COLUMNS if name in columns}


def rows_without_successor(truncations: Bool[np.ndarray, " rows"], source: str) -> Int[np.ndarray, " rows"]:
    """The rows that ``derive_successors`` leaves out: ends at time limits, and the last.

    Raises:
        DataError: these are all rows.
    """
    left_out = np.append(np.flatnonzero(truncations[:-1]), len(truncations) - 1)
    if len(left_out) == len(truncations):
        raise DataError(
            f"{source}: all {len(truncations)} rows were one-step episodes cut at a time limit, whose next observation "
            "the file does not hold, so there are no transitions; add a column next_observations, or mark these steps "
            "as terminations if the world ended there"
        )
    return left_out


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
