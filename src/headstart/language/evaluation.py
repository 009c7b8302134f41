"""How good a policy's completions to held-out prompts are, and how far it has gone from its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headstart.core.encoding import Encoded
from headstart.judges.judge import Judge, checked_scores
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.sampler import Sampling

SHOWN = 8
"""Completions that are kept to be looked at."""


class Evaluation:
    """Judges one completion to each held-out prompt.

    Attributes:
        samples: prompt, completion and reward of the first few, as they last were.

    Args:
        prompts: rows with a ``prompt`` and whatever the judge reads.
        judge: scores completions; without one, lengths and the KL alone are told.
        sampling: how completions are drawn.
        seed: of the samples: the same noise at every evaluation.
        judge_timeout: seconds that the judge may take over all of them; None waits for ever. Completions without a
            score are left out of the mean.
    """

    def __init__(
        self,
        prompts: Sequence[Mapping[str, Any]],
        judge: Any,
        sampling: Sampling,
        seed: int,
        judge_timeout: float | None = None,
    ):
        self.prompts, self.judge, self.sampling, self.seed = prompts, judge, sampling, seed
        self.judge_timeout = judge_timeout
        self.samples: list[dict[str, Any]] = []

    def __call__(self, learner: Learner) -> dict[str, float]:
        """Mean reward, tokens, characters, distinct share, share cut short, and KL to the reference if there is one."""
        ids = [learner.encoder.encode_prompt(row["prompt"]) for row in self.prompts]
        drawn = [group[0] for group in learner.draw(ids, 1, self.sampling, self.seed)]
        texts = [sample.text for sample in drawn]
        told = {
            "tokens": float(np.mean([len(sample.ids) for sample in drawn])),
            "characters": float(np.mean([len(text) for text in texts])),
            "distinct": len(set(zip((str(row["prompt"]) for row in self.prompts), texts))) / len(texts),
            "truncated": float(np.mean([sample.truncated for sample in drawn])),
        }
        scores: Sequence[float | None] = [None] * len(texts)
        if isinstance(self.judge, Judge):
            scores = learner.processes.told(lambda: self._scores(texts))
            given = [score for score in scores if score is not None]
            told["reward"] = float(np.mean(given)) if given else float("nan")
        self.samples = [
            {"prompt": row["prompt"], "completion": text, "reward": score}
            for row, text, score in zip(self.prompts[:SHOWN], texts, scores, strict=False)
        ]
        if learner.keeps_reference:
            rows = [
                EncodedRow({"completion": Encoded(prompt, sample.ids, sample.truncated)})
                for prompt, sample in zip(ids, drawn, strict=True)
            ]
            rows = learner.referred(rows)
            ratios = [
                sum(sample.model_log_probabilities) - sum(row.reference["completion"])
                for sample, row in zip(drawn, rows, strict=True)
            ]
            told["kl"] = float(np.mean(ratios))
        return told

    def _scores(self, texts: Sequence[str]) -> list[float | None]:
        columns = {name: [row[name] for row in self.prompts] for name in self.prompts[0]}
        return list(checked_scores(self.judge, columns.pop("prompt"), texts, columns, timeout=self.judge_timeout))
