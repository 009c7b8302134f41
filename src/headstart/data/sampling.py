"""Which rows to learn from: uniformly, or with given weights, inside jit."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.core.errors import DataError


class AliasTable(eqx.Module):
    """Draws from a fixed discrete distribution in constant time (Walker 1977; Vose 1991).

    Attributes:
        keep: probability of keeping the uniformly drawn row, float32.
        alias: the row taken otherwise, int32.
    """

    keep: Float[Array, " rows"]
    alias: Int[Array, " rows"]

    @classmethod
    def from_weights(cls, weights: Float[np.ndarray, " rows"]) -> AliasTable:
        """Build the table for weights that need not sum to one.

        Raises:
            DataError: a weight is negative or not finite, or none is positive.
        """
        weights = np.asarray(weights, np.float64).reshape(-1)
        bad = ~np.isfinite(weights) | (weights < 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{int(bad.sum())} sampling weights are negative or not finite (first: row {row}, {weights[row]})"
            )
        total = weights.sum()
        if total <= 0:
            raise DataError(f"all {len(weights)} sampling weights are zero; at least one must be positive")
        keep, alias = _build_alias(weights / total * len(weights))
        return cls(jnp.asarray(keep, jnp.float32), jnp.asarray(alias, jnp.int32))

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


def _build_alias(scaled: Float[np.ndarray, " rows"]) -> tuple[np.ndarray, np.ndarray]:
    """Vose's table for probabilities times their number (mean one), without a loop.

    Rows above one lend to rows below one in order. With needs and means summed up, who lends to whom is a search: a
    row in need borrows from the first lender whose means outlast the needs before it, and a lender that overreached
    borrows from the next.
    """
    keep = np.minimum(scaled, 1.0)
    alias = np.arange(len(scaled))
    poor, rich = np.flatnonzero(scaled < 1.0), np.flatnonzero(scaled >= 1.0)
    needs, means = np.cumsum(1.0 - scaled[poor]), np.cumsum(scaled[rich] - 1.0)
    if len(poor):
        before = np.concatenate([[0.0], needs[:-1]])
        alias[poor] = rich[np.minimum(np.searchsorted(means, before, side="right"), len(rich) - 1)]
        at = np.searchsorted(needs, means[:-1], side="left")
        overreached = at < len(needs)
        keep[rich[:-1][overreached]] = 1.0 - (needs[at[overreached]] - means[:-1][overreached])
        alias[rich[:-1]] = rich[1:]
    return keep, alias
