"""Two systems' answers to the same prompts, compared by a judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import DataError
from headstart.evaluate.statistics import Interval
from headstart.evaluate.win_rate import length_controlled_win_rate, win_rate
from headstart.judges.judge import Judge, JudgeError, PairJudge, plain_text
from headstart.judges.judging import Item, Judging, ask


@dataclass(frozen=True)
class Comparison:
    """How the first system's answers fare against the second's.

    Attributes:
        win_rate: mean preference for the first, ties half, with its interval over prompts.
        length_controlled: the same if both wrote equally much.
        wins: answers of the first that are preferred.
        ties: answers that are equal.
        losses: answers of the second that are preferred.
        lengths: mean characters of the first's and the second's answers.
        prompts: prompts that both answered.
        unmatched: prompts that only the first, only the second answered.
        failures: positions among ``rows`` that the judge did not answer, by reason.
        rows: what was compared: ``prompt``, ``first``, ``second``, ``preference`` and, where scored, both scores.
    """

    win_rate: Interval
    length_controlled: Interval
    wins: int
    ties: int
    losses: int
    lengths: tuple[float, float]
    prompts: int
    unmatched: tuple[int, int]
    failures: dict[str, list[int]]
    rows: list[dict[str, Any]]


def compare_rows(
    judge: Judge | PairJudge,
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    journal: Path | None = None,
    name: str = "",
    judging: Judging | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare answers by prompt: the first answer to a prompt with the first, the second with the second, and so on.

    Args:
        judge: compares in both orders if it can, otherwise scores both.
        first: rows with ``prompt`` and ``completion`` or ``completions``, and whatever columns the judge reads.
        second: likewise, in any order.
        journal: file in which the judge's answers are kept as they come.
        name: of the judge.
        judging: batches, attempts, patience.
        confidence: of the intervals.
        seed: of their resampling.

    Raises:
        DataError: no prompt in common.
        JudgeError: the judge answered nothing.
    """
    answers, others = _by_prompt(first), _by_prompt(second)
    shared = [key for key in answers if key in others]
    if not shared:
        raise DataError(f"of {len(answers)} and {len(others)} prompts none is in both; compare answers to the same")
    items, groups = [], []
    for number, key in enumerate(shared):
        for (text, row), (other, _) in zip(answers[key], others[key]):
            items.append(Item(row["prompt"], (text, other), row))
            groups.append(number)
    rows = [{"prompt": item.prompt, "first": item.texts[0], "second": item.texts[1]} for item in items]
    failures: dict[str, list[int]] = {}
    if isinstance(judge, PairJudge):
        found = ask(judge, items, journal, name, judging)
        reasons = found.reasons
        preferences: list[float | None] = list(found)
    else:
        single = [Item(item.prompt, (item.texts[side],), item.row) for side in (0, 1) for item in items]
        scores = ask(judge, single, journal, name, judging)
        reasons = {i % len(items): reason for i, reason in scores.reasons.items()}
        preferences = [_better(one, other) for one, other in zip(scores[: len(items)], scores[len(items) :])]
        for i, row in enumerate(rows):
            row["first_score"], row["second_score"] = scores[i], scores[len(items) + i]
    for i, reason in sorted(reasons.items()):
        failures.setdefault(reason, []).append(i)
    for row, preference in zip(rows, preferences):
        row["preference"] = preference
    judged = [i for i, preference in enumerate(preferences) if preference is not None]
    if not judged:
        raise JudgeError(f"the judge answered none of {len(items)} rows: {next(iter(failures), 'no reason given')}")
    kept = np.array([preferences[i] for i in judged], np.float64)
    lengths = [[len(plain_text(items[i].texts[side])) for i in judged] for side in (0, 1)]
    prompts = [groups[i] for i in judged]
    return Comparison(
        win_rate(kept, prompts, confidence=confidence, seed=seed),
        length_controlled_win_rate(kept, lengths[0], lengths[1], prompts, confidence=confidence, seed=seed),
        int((kept > 0.5).sum()),
        int((kept == 0.5).sum()),
        int((kept < 0.5).sum()),
        (float(np.mean(lengths[0])), float(np.mean(lengths[1]))),
        len(set(prompts)),
        (len(answers) - len(shared), len(others) - len(shared)),
        failures,
        rows,
    )


def _by_prompt(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Any, Mapping[str, Any]]]]:
    found: dict[str, list[tuple[Any, Mapping[str, Any]]]] = {}
    for position, row in enumerate(rows):
        if "prompt" not in row or ("completion" not in row and "completions" not in row):
            raise DataError(f"row {position} has the columns {', '.join(row)}; expected prompt and completion(s)")
        texts = [row["completion"]] if row.get("completion") is not None else row.get("completions") or []
        found.setdefault(json.dumps(row["prompt"], sort_keys=True), []).extend((text, row) for text in texts)
    return found


def _better(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else 0.5 + 0.5 * float(np.sign(one - other))
