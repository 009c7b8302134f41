"""Recorded transitions of a world that is the same at every step: checked, counted, split at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.episodes import Counts


@dataclass(frozen=True)
class Transitions:
    """Recorded transitions of a world that is the same at every step. Build them with ``of``, which checks them."""

    observations: Int[np.ndarray, " rows"]
    actions: Int[np.ndarray, " rows"]
    rewards: Float[np.ndarray, " rows"]
    next_observations: Int[np.ndarray, " rows"]
    terminations: Bool[np.ndarray, " rows"]
    spec: tuple[int, int]
    """Number of states and of actions."""

    @classmethod
    def of(
        cls,
        observations: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        next_observations: ArrayLike,
        terminations: ArrayLike | None = None,
        *,
        n_states: int,
        n_actions: int,
    ) -> Transitions:
        """Transitions from their columns, which may be empty.

        Args:
            observations: states, whole numbers below ``n_states``.
            actions: whole numbers below ``n_actions``.
            rewards: within [0, 1].
            next_observations: states; of a row that terminated it is not looked at.
            terminations: whether the world ended there, so that nothing follows; nowhere when None.
            n_states: number of states.
            n_actions: number of actions.

        Raises:
            DataError: columns differ in length, are not whole numbers or out of range, or rewards are not within
                [0, 1]; the message names the first such row.
        """
        ended = np.zeros(np.shape(rewards), bool) if terminations is None else np.asarray(terminations, bool)
        columns = {
            "observations": indices(observations, n_states, "observations"),
            "actions": indices(actions, n_actions, "actions"),
            "rewards": unit_rewards(rewards),
            "next_observations": indices(next_observations, n_states, "next_observations"),
            "terminations": ended,
        }
        lengths = {name: column.shape for name, column in columns.items()}
        if len(set(lengths.values())) > 1 or ended.ndim != 1:
            raise DataError(f"columns need one axis and equal lengths; given {lengths}")
        return cls(**columns, spec=(n_states, n_actions))

    def __len__(self) -> int:
        return len(self.actions)

    def counts(self) -> Counts:
        """What these transitions count up to, ``[states, actions]``."""
        return self._count(slice(None))

    def split(self, parts: int, seed: int = 0) -> list[Counts]:
        """Counts of ``parts`` random parts of (nearly) equal size.

        Raises:
            UsageError: fewer than one part.
        """
        if parts < 1:
            raise UsageError(f"parts is {parts}; it needs to be at least 1")
        order = np.random.default_rng(seed).permutation(len(self))
        return [self._count(rows) for rows in np.array_split(order, parts)]

    def _count(self, rows: Any) -> Counts:
        shape = (*self.spec, self.spec[0])
        pair = self.observations[rows] * shape[1] + self.actions[rows]
        followed = pair * shape[2] + self.next_observations[rows]
        ended = self.terminations[rows]
        size = shape[0] * shape[1]
        return Counts(
            np.bincount(followed[~ended], minlength=size * shape[2]).reshape(shape).astype(np.float64),
            np.bincount(pair, self.rewards[rows], size).reshape(shape[:2]),
            np.bincount(pair[ended], minlength=size).reshape(shape[:2]).astype(np.float64),
        )


def indices(values: ArrayLike, below: int, name: str) -> Int[np.ndarray, "..."]:
    """Whole numbers from 0 to ``below - 1``.

    Raises:
        DataError: some are not.
    """
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} are of type {array.dtype}; expected whole numbers from 0 to {below - 1}")
    wrong = (array < 0) | (array >= below)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise DataError(f"{name} hold {array[where]} at {list(where)}; expected whole numbers from 0 to {below - 1}")
    return array.astype(np.int64)


def unit_rewards(values: ArrayLike) -> Float[np.ndarray, "..."]:
    """Rewards within [0, 1], as float64.

    Raises:
        DataError: some are not, or are not numbers.
    """
    array = np.asarray(values, np.float64)
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise DataError(f"rewards hold {array[where]:g} at {list(where)}; expected numbers within [0, 1]: rescale them")
    return array
