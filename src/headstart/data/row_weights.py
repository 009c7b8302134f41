"""A weight for every row, held as one number for each run of rows that share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class RowWeights:
    """Weights of rows, as many as ``len()`` says, spelt out block by block only.

    Attributes:
        values: the weight of each run of consecutive rows, float64.
        ends: the row after the last one of each run, ascending; the last is the number of rows.
    """

    values: Float[np.ndarray, " runs"]
    ends: Int[np.ndarray, " runs"]

    @classmethod
    def of(cls, weights: Float[np.ndarray, " rows"]) -> RowWeights:
        """Weights given row by row."""
        values = np.asarray(weights, np.float64).reshape(-1)
        return cls(values, np.arange(1, len(values) + 1))

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def read(self, start: int, stop: int) -> Float[np.ndarray, " block"]:
        """The weights of rows ``start`` up to ``stop``."""
        first, last = np.searchsorted(self.ends, [start, stop - 1], side="right")
        ends = np.clip(self.ends[first : last + 1], start, stop)
        return np.repeat(self.values[first : last + 1], np.diff(ends, prepend=start))

    def whole(self) -> Float[np.ndarray, " rows"]:
        """All of them."""
        return np.repeat(self.values, np.diff(self.ends, prepend=0))

    def blocks(self) -> Iterator[tuple[int, Float[np.ndarray, " block"]]]:
        """Every block with the row it begins at."""
        for start in range(0, len(self), _BLOCK):
            yield start, self.read(start, min(start + _BLOCK, len(self)))

    def total(self) -> float:
        """Their sum, to the last bit that of ``whole().sum()``: added up pairwise, in halves, as NumPy does."""
        return self._total(0, len(self))

    def _total(self, start: int, count: int) -> float:
        if count <= _BLOCK:
            return float(self.read(start, start + count).sum()) if count else 0.0
        half = count // 2
        half -= half % 8  # as NumPy's own sum is unrolled
        return self._total(start, half) + self._total(start + half, count - half)
