"""Scores that a completion gets from the other completions of its prompt: by comparing with them, or by agreeing.

They see what is judged together: give all completions of a prompt in one batch.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headstart.core.errors import UsageError
from headstart.evaluate.tournament import fair_preferences
from headstart.judges.judge import Answers, Columns, Forgiving, PairJudge, plain_text

BASELINE = "baseline"
"""A column of completions that are compared with in place of the others, where the rows have it."""


@dataclass(frozen=True)
class AgainstOthers:
    """A score from a judge that only compares, both orders averaged.

    Attributes:
        judge: compares.
        kind: ``wins``: the mean probability of being preferred to each other completion of the prompt; ``odds``: the
            log-odds of being preferred to one of them, the first (RSO, Liu et al. 2024, section 3.2: a random sample of
            the reference policy, as they are exchangeable), whose own score is 0.
        least: probabilities are kept this far from 0 and 1 in log-odds.
    """

    judge: PairJudge
    kind: Literal["wins", "odds"] = "wins"
    least: float = 1e-6

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> Answers:
        """A score for each completion; not-a-number, with the reason, where there is nothing to compare with."""
        asked = self._matches(prompts, completions, (columns or {}).get(BASELINE))
        rows = [row for row, _, _ in asked]
        picked = None if columns is None else {name: [values[i] for i in rows] for name, values in columns.items()}
        answers = fair_preferences(
            Forgiving(self.judge),
            [prompts[row] for row in rows],
            [completions[row] for row in rows],
            [text for _, _, text in asked],
            picked,
        )
        held: list[list[float]] = [[] for _ in completions]
        reasons = dict.fromkeys(range(len(completions)), "no other completion of its prompt to compare with")
        for (row, rival, _), answer in zip(asked, answers, strict=True):
            for side, preferred in ((row, answer), (rival, 1 - answer)):
                if side is not None:
                    reasons[side] = "the judge gave no comparison"
                    held[side] += [] if math.isnan(preferred) else [preferred]
        scores = [self._score(found) for found in held]
        return Answers(scores, {row: reasons[row] for row, score in enumerate(scores) if math.isnan(score)})

    def _matches(
        self, prompts: Sequence[Any], completions: Sequence[Any], baselines: Sequence[Any] | None
    ) -> list[tuple[int, int | None, Any]]:
        """Which completion meets which: its row, the row of the other if that is scored by it too, and its text."""
        if baselines is not None:
            return [(row, None, baseline) for row, baseline in enumerate(baselines)]
        found: list[tuple[int, int | None, Any]] = []
        for group in _groups(prompts).values():
            if self.kind == "wins":
                found += [(a, b, completions[b]) for place, a in enumerate(group) for b in group[place + 1 :]]
            elif len(group) > 1:
                found += [(row, None, completions[group[0]]) for row in group]
        return found

    def _score(self, preferred: Sequence[float]) -> float:
        if not preferred:
            return math.nan
        mean = float(np.mean(preferred))
        if self.kind == "wins":
            return mean
        kept = min(max(mean, self.least), 1 - self.least)
        return math.log(kept) - math.log1p(-kept)


class Majority:
    """How many completions of the prompt give the same answer (self-consistency).

    Args:
        pattern: a regular expression whose last match is the answer: its first group if it has one, else all of it;
            without one the whole completion is the answer. A completion without an answer agrees with itself alone.

    Raises:
        UsageError: the expression is not one.
    """

    def __init__(self, pattern: str | None = None):
        try:
            self.pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise UsageError(f"judge majority:{pattern}: {error}; give a regular expression") from error

    def answer(self, completion: Any) -> str | None:
        """The answer of a completion, or None."""
        text = plain_text(completion).strip()
        if self.pattern is None:
            return text
        found = list(self.pattern.finditer(text))
        if not found:
            return None
        return found[-1].group(1) if self.pattern.groups else found[-1].group()

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """For each completion, how many of its prompt's agree with it, itself among them."""
        given = [(_key(prompt), self.answer(text)) for prompt, text in zip(prompts, completions, strict=True)]
        counts = Counter(given)
        return [1.0 if answer is None else float(counts[prompt, answer]) for prompt, answer in given]


def _key(prompt: Any) -> str:
    return plain_text(prompt)


def _groups(prompts: Sequence[Any]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(_key(prompt), []).append(row)
    return groups
