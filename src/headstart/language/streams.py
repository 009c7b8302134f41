"""The stream of rows that an online run learned from, kept and learned from again, in its order or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import UsageError
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.online import Collected

Stream = Sequence[Sequence[EncodedRow]]
"""The rows of each iteration."""


class Recording(Collected):
    """The policy's own completions as a source, whose rows are kept as ids.

    Attributes:
        stream: the rows of each iteration so far.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.stream: list[list[EncodedRow]] = []

    def rows(self, iteration: int, learner: Learner, folder: Path) -> list[EncodedRow]:
        """Rows of an iteration; see ``Collected.rows``."""
        found = super().rows(iteration, learner, folder)
        self.stream[iteration:] = [found]
        return found


class Replay:
    """A stream as a source; see ``headstart.language.trainer.RowSource``.

    In its own order and from the same start it leads to the very weights that the online run came to.

    Args:
        stream: the rows of each iteration.
        steps: optimiser steps an iteration.
    """

    history = "current"
    restart = False

    def __init__(self, stream: Stream, steps: int):
        self.stream, self.steps, self.iterations = stream, steps, len(stream)

    def rows(self, iteration: int, learner: Learner, folder: Path) -> list[EncodedRow]:
        """Rows of an iteration, with the reference's log-probabilities where the method needs them."""
        return learner.prepare(self.stream[iteration])

    def own(self, rows: Sequence[EncodedRow], learner: Learner, step: int) -> list[EncodedRow]:
        """None."""
        return []


def shuffled(stream: Stream, seed: int, block: int | None = None) -> list[list[EncodedRow]]:
    """The rows of a stream in another order, as many in each iteration as before.

    Args:
        stream: the rows of each iteration.
        seed: of the order.
        block: rows are shuffled within blocks of so many, one after the other; 1 leaves them as they are, None makes
            all of them one block.

    Raises:
        UsageError: a block of no rows.
    """
    rows = [row for part in stream for row in part]
    block = len(rows) if block is None else block
    if block < 1:
        raise UsageError(f"block is {block}; expected 1 row or more")
    generator = np.random.default_rng(seed)
    order = np.concatenate(
        [start + generator.permutation(min(block, len(rows) - start)) for start in range(0, len(rows), block)]
    )
    ends = np.cumsum([len(part) for part in stream])
    return [[rows[i] for i in order[end - len(part) : end]] for part, end in zip(stream, ends, strict=True)]


def frontier(points: Sequence[Mapping[str, float]], at: float) -> float:
    """The reward of a run where its KL is ``at``: linear between its evaluations in order of KL, flat beyond them."""
    ordered = sorted(points, key=lambda point: point["kl"])
    return float(np.interp(at, [point["kl"] for point in ordered], [point["reward"] for point in ordered]))
