"""Which rows to learn from: uniformly, or with given weights, inside jit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import DataError
from headstart.data.row_weights import RowWeights


class AliasTable(eqx.Module):
    """Draws from a fixed discrete distribution in constant time (Walker 1977; Vose 1991).

    Attributes:
        keep: probability of keeping the uniformly drawn row, float32.
        alias: the row taken otherwise, int32.
    """

    keep: Float[Array, " rows"]
    alias: Int[Array, " rows"]

    @classmethod
    def from_weights(cls, weights: Float[np.ndarray, " rows"] | RowWeights) -> AliasTable:
        """Build the table for weights that need not sum to one; beside it, in memory for a few blocks of rows.

        Raises:
            DataError: a weight is negative or not finite, or none is positive.
        """
        rows = weights if isinstance(weights, RowWeights) else RowWeights.of(weights)
        bad, first = 0, None
        for start, block in rows.blocks():
            wrong = np.flatnonzero(~np.isfinite(block) | (block < 0))
            if len(wrong) and first is None:
                first = start + int(wrong[0]), block[wrong[0]]
            bad += len(wrong)
        if first is not None:
            raise DataError(f"{bad} sampling weights are negative or not finite (first: row {first[0]}, {first[1]})")
        total = rows.total()
        if total <= 0:
            raise DataError(f"all {len(rows)} sampling weights are zero; at least one must be positive")
        keep, alias = _build_alias(rows, total)
        return cls(jnp.asarray(keep), jnp.asarray(alias))

    def draw(self, key: PRNGKeyArray, count: int) -> Int[Array, " count"]:
        """``count`` rows, with replacement."""
        row_key, keep_key = jax.random.split(key)
        rows = jax.random.randint(row_key, (count,), 0, self.keep.shape[0])
        return jnp.where(jax.random.uniform(keep_key, (count,)) < self.keep[rows], rows, self.alias[rows])


def draw_rows(key: PRNGKeyArray, count: int, size: Int[Array, ""] | int, table: AliasTable | None = None) -> Array:
    """``count`` rows below ``size``, with replacement, int32.

    With a table, rows it covers are drawn with its weights and any rows added since are drawn uniformly, each part
    with its share of all rows.
    """
    if table is None:
        return jax.random.randint(key, (count,), 0, size)
    covered = table.keep.shape[0]
    table_key, new_key, part_key = jax.random.split(key, 3)
    new = jax.random.randint(new_key, (count,), covered, jnp.maximum(size, covered + 1))
    is_new = jax.random.randint(part_key, (count,), 0, size) >= covered
    return jnp.where(is_new, new, table.draw(table_key, count))


def _build_alias(weights: RowWeights, total: float) -> tuple[Float[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    """Vose's table, float32 and int32, without a loop over rows; ``scaled`` are weights with a mean of one.

    Rows above one lend to rows below one in order. With needs and means summed up, who lends to whom is a search: a
    row in need borrows from the first lender whose means outlast the needs before it, and a lender that overreached
    borrows from the next. Both sums ascend, so that the searches are one walk along them, block by block.
    """
    keep, alias = np.empty(len(weights), np.float32), np.arange(len(weights), dtype=np.int32)
    poor = rich = False
    for start, scaled in _scaled(weights, total):
        keep[start : start + len(scaled)] = np.minimum(scaled, 1.0)
        poor, rich = poor or bool((scaled < 1.0).any()), rich or bool((scaled >= 1.0).any())
    if not (poor and rich):  # all alike, up to rounding
        return keep, alias
    lenders = _summed(weights, total, lending=True)
    for found in _first_beyond(_before(_summed(weights, total, lending=False)), lenders, "right"):
        alias[found.asking] = found.rows
    previous = None
    for rows, _ in _summed(weights, total, lending=True):
        if previous is not None:
            alias[previous] = rows[0]
        alias[rows[:-1]] = rows[1:]
        previous = rows[-1]
    borrowers = _summed(weights, total, lending=False)
    for found in _first_beyond(_summed(weights, total, lending=True), borrowers, "left"):
        overreached = (found.values >= found.asked) & (found.asking != previous)
        left = found.values[overreached] - found.asked[overreached]
        keep[found.asking[overreached]] = 1.0 - left
    return keep, alias


class _Found(NamedTuple):
    """Some rows that ask, the sums they ask with, and the rows found for them with theirs."""

    asking: Int[np.ndarray, " block"]
    asked: Float[np.ndarray, " block"]
    rows: Int[np.ndarray, " block"]
    values: Float[np.ndarray, " block"]


_Sums = Iterator[tuple[np.ndarray, np.ndarray]]
"""Rows and an ascending value of each, block by block."""


def _scaled(weights: RowWeights, total: float) -> Iterator[tuple[int, Float[np.ndarray, " block"]]]:
    for start, block in weights.blocks():
        yield start, block / total * len(weights)


def _summed(weights: RowWeights, total: float, lending: bool) -> _Sums:
    """The rows above one with their means summed up, or those below one with their needs."""
    carried = 0.0
    for start, scaled in _scaled(weights, total):
        rows = np.flatnonzero(scaled >= 1.0 if lending else scaled < 1.0)
        if len(rows):
            parts = scaled[rows] - 1.0 if lending else 1.0 - scaled[rows]
            sums = np.cumsum(np.concatenate([[carried], parts]))[1:]
            carried = sums[-1]
            yield start + rows, sums


def _before(sums: _Sums) -> _Sums:
    """Each row with the sum up to the one before it."""
    carried = 0.0
    for rows, values in sums:
        yield rows, np.concatenate([[carried], values[:-1]])
        carried = values[-1]


def _first_beyond(asking: _Sums, held: _Sums, side: Literal["left", "right"]) -> Iterator[_Found]:
    """For every value asked with, the first held one that is larger ("right"), or at least as large ("left").

    The last one held where there is none.
    """
    rows, values = next(held)
    for asking_rows, asked in asking:
        done = 0
        while done < len(asked):
            reached = int(np.searchsorted(asked, values[-1], "left" if side == "right" else "right"))
            following = next(held, None) if reached < len(asked) else None
            stop = reached if following is not None else len(asked)
            at = np.minimum(np.searchsorted(values, asked[done:stop], side), len(values) - 1)
            yield _Found(asking_rows[done:stop], asked[done:stop], rows[at], values[at])
            done = max(done, stop)
            if following is not None:
                rows, values = following
