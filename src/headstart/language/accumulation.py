"""A batch in parts whose losses, each weighing what it has of the rows, add up to the whole batch's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from headstart.language.encoded_rows import EncodedRow
from headstart.language.method import LanguageMethod, LossBatch


@runtime_checkable
class DividesByMeans(Protocol):
    """A method whose loss divides by something that is counted over the whole batch, such as its tokens."""

    def batch_means(self, rows: Sequence[EncodedRow]) -> dict[str, float]:
        """Means over a whole batch's rows, which the loss of a part of it finds among its fields under these names."""
        ...


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one forward pass.

    Attributes:
        rows: the rows.
        own: the policy's own completions to their prompts, as many for each row; mostly none.
        share: their part of the whole batch.
        means: of the whole batch, where the loss of a part needs them.
    """

    rows: list[EncodedRow]
    own: list[EncodedRow]
    share: float = 1.0
    means: Mapping[str, float] | None = None

    def completed(self, batch: LossBatch) -> LossBatch:
        """What the loss sees of these rows, with the whole batch's means."""
        if not self.means:
            return batch
        like = next(iter(batch.sides.values())).policy.detach()
        means = {name: torch.full_like(like[:, 0], value) for name, value in self.means.items()}
        return replace(batch, fields={**batch.fields, **means})


def micro_batches(
    method: LanguageMethod, rows: Sequence[EncodedRow], own: Sequence[EncodedRow], size: int | None
) -> list[MicroBatch]:
    """A batch in parts of at most ``size`` rows, the longest rows first, so that little is padding.

    Args:
        method: whose loss it is.
        rows: the batch.
        own: see `MicroBatch`.
        size: rows of a part; None leaves the batch whole and in its order.
    """
    if size is None or size >= len(rows):
        return [MicroBatch(list(rows), list(own))]
    each = len(own) // len(rows)
    means = method.batch_means(rows) if isinstance(method, DividesByMeans) else None
    order = sorted(range(len(rows)), key=lambda i: -_length(rows[i]))
    parts = []
    for start in range(0, len(rows), size):
        chosen = order[start : start + size]
        fresh = [completion for i in chosen for completion in own[i * each : (i + 1) * each]]
        parts.append(MicroBatch([rows[i] for i in chosen], fresh, len(chosen) / len(rows), means))
    return parts


def _length(row: EncodedRow) -> int:
    """Tokens of all sides, prompts included."""
    return sum(len(side.prompt) + len(side.completion) for side in row.sides.values())
