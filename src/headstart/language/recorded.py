"""Rows that were recorded before: one iteration over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.language.encoded_rows import EncodedRow, encode_rows
from headstart.language.kto import KTO
from headstart.language.learner import Learner
from headstart.language.own_completions import OwnCompletions


class Recorded:
    """Recorded rows; see ``headstart.language.trainer.RowSource``.

    Args:
        data: rows of the method's kind, checked.
        steps: optimiser steps.
        seed: of the completions that HyPO draws.
        max_tokens: longest of those, in tokens.
        keep_reference: keep the reference model after its log-probabilities are there.
        prompts: rows with a ``prompt`` that HyPO completes; by default the prompts of each batch.
        stop: strings that end its completions.
    """

    iterations = 1
    history = "current"
    restart = False

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        steps: int,
        seed: int,
        max_tokens: int = 128,
        keep_reference: bool = True,
        prompts: Sequence[Mapping[str, Any]] = (),
        stop: tuple[str, ...] = (),
    ):
        self.data, self.steps, self.keep_reference = data, steps, keep_reference
        self.completions = OwnCompletions(seed, max_tokens, prompts, stop)

    def rows(self, iteration: int, learner: Learner, folder: Path) -> list[EncodedRow]:
        """All of them, with the reference's log-probabilities where the method needs them."""
        rows = learner.prepare(encode_rows(list(self.data), learner.method, learner.encoder))
        if not self.keep_reference and not self.completions.needed(learner) and not isinstance(learner.method, KTO):
            learner.forget_reference()
        return rows

    def own(self, rows: Sequence[EncodedRow], learner: Learner, step: int) -> list[EncodedRow]:
        """HyPO's completions; nothing for other methods."""
        return self.completions.draw(rows, learner, step)
