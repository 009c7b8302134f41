"""Rows that were recorded before: one iteration over them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.encoding import Encoded
from headstart.language.encoded_rows import EncodedRow, encode_rows
from headstart.language.hypo import HyPO
from headstart.language.kto import KTO
from headstart.language.learner import Learner
from headstart.language.sampler import Sampling


class Recorded:
    """Recorded rows; see ``headstart.language.trainer.RowSource``.

    Args:
        data: rows of the method's kind, checked.
        steps: optimiser steps.
        seed: of the completions that HyPO draws.
        max_tokens: longest of those, in tokens.
        keep_reference: keep the reference model after its log-probabilities are there.
    """

    iterations = 1
    history = "current"

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        steps: int,
        seed: int,
        max_tokens: int = 128,
        keep_reference: bool = True,
    ):
        self.data, self.steps, self.seed, self.max_tokens = data, steps, seed, max_tokens
        self.keep_reference = keep_reference

    def rows(self, iteration: int, learner: Learner, folder: Path) -> list[EncodedRow]:
        """All of them, with the reference's log-probabilities where the method needs them."""
        rows = learner.prepare(encode_rows(list(self.data), learner.method, learner.encoder))
        if not self.keep_reference and not self._draws(learner) and not isinstance(learner.method, KTO):
            learner.forget_reference()
        return rows

    def own(self, rows: Sequence[EncodedRow], learner: Learner, step: int) -> list[EncodedRow]:
        """HyPO's completions, drawn from the policy as it is at temperature 1; nothing for other methods."""
        method = learner.method
        if not isinstance(method, HyPO) or not self._draws(learner) or step % method.online_every:
            return []
        prompts = [next(iter(row.sides.values())).prompt for row in rows]
        seed = int(np.random.SeedSequence((self.seed, 11, step)).generate_state(1, np.uint32)[0])
        groups = learner.draw(prompts, method.generations, Sampling(max_tokens=self.max_tokens), seed)
        cut = [sample.truncated for samples in groups for sample in samples]
        if sum(cut) > 0.1 * len(cut):
            warnings.warn(
                f"over a tenth of HyPO's completions are cut at {self.max_tokens} tokens: the KL is of their beginnings"
                " alone; allow them more tokens",
                stacklevel=2,
            )
        fresh = [
            EncodedRow({"online": Encoded(prompt, sample.ids, sample.truncated)})
            for prompt, samples in zip(prompts, groups, strict=True)
            for sample in samples
        ]
        return learner.referred(fresh)

    def _draws(self, learner: Learner) -> bool:
        return isinstance(learner.method, HyPO) and learner.method.kl_coef > 0
