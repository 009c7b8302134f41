"""A batch in parts whose losses, each weighing what it has of the rows, add up to the whole batch's loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from headstart.language.encoded_rows import EncodedRow
from headstart.language.method import LanguageMethod, LossBatch
from headstart.language.processes import Processes


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
    method: LanguageMethod,
    rows: Sequence[EncodedRow],
    own: Sequence[EncodedRow],
    size: int | None,
    together: Processes,
) -> list[MicroBatch]:
    """This process's share of a batch in parts of at most ``size`` rows, the longest rows first, so that little is
    padding; the same number of parts in all processes.

    Args:
        method: whose loss it is.
        rows: the batch.
        own: see `MicroBatch`.
        size: rows of a part; None leaves a process's share whole, and the batch of a process alone in its order.
        together: the processes.
    """
    most = math.ceil(len(rows) / together.count)
    size = min(size or most, most)
    if together.count == 1 and size == most:
        return [MicroBatch(list(rows), list(own))]
    each = len(own) // len(rows)
    means = method.batch_means(rows) if isinstance(method, DividesByMeans) else None
    order = sorted(range(len(rows)), key=lambda i: -_length(rows[i]))
    mine, parts = together.share(order), []
    for start in range(0, most, size):
        chosen = mine[start : start + size]
        share = len(chosen) / len(rows)
        chosen = chosen or order[-1:]  # a row that counts nothing, so that no process is behind
        fresh = [completion for i in chosen for completion in own[i * each : (i + 1) * each]]
        parts.append(MicroBatch([rows[i] for i in chosen], fresh, share, means))
    return parts


def _length(row: EncodedRow) -> int:
    """Tokens of all sides, prompts included."""
    return sum(len(side.prompt) + len(side.completion) for side in row.sides.values())
