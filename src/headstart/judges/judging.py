"""Judge many rows in batches: every answer is written down as it comes, so nothing is judged twice after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.core.errors import DataError, UsageError
from headstart.core.progress import progress
from headstart.evaluate.tournament import fair_preferences
from headstart.judges.judge import Checked, Judge, PairJudge, checked_preferences, checked_scores, plain_text

OWN = ("completion", "completions", "rewards", "chosen", "rejected", "sources", "behavior_logps")
"""Columns that are not handed to a judge beside the completion."""


@dataclass(frozen=True)
class Judging:
    """How judging goes about it.

    Attributes:
        batch_size: completions or pairs handed to the judge at a time.
        attempts: how often a batch that fails is tried before its rows are judged one by one.
        timeout: seconds that one call may take; None waits for ever.
        show_progress: show a bar.
    """

    batch_size: int = 64
    attempts: int = 3
    timeout: float | None = None
    show_progress: bool = True


@dataclass(frozen=True)
class Judged:
    """Rows with what the judge said of them.

    Attributes:
        rows: the rows with ``reward`` (of a completion), ``rewards`` (of several), ``preference_prob`` or
            ``chosen_reward`` and ``rejected_reward`` (of a pair); None where there is no answer.
        answers: every answer given, in the rows' order.
        lengths: characters of the completion of each answer; of a pair, of the chosen less the rejected.
        asked: how many answers were wanted.
        failures: positions of the rows without an answer, by reason.
    """

    rows: list[dict[str, Any]]
    answers: list[float]
    lengths: list[int]
    asked: int
    failures: dict[str, list[int]]


def judge_rows(
    judge: Judge | PairJudge,
    rows: Sequence[Mapping[str, Any]],
    journal: Path | None = None,
    name: str = "",
    judging: Judging | None = None,
) -> Judged:
    """Judge completions, groups of completions or pairs.

    Args:
        judge: a judge; pairs are compared if it can compare, otherwise both sides are scored.
        rows: with ``prompt`` and one of ``completion``, ``completions``, or ``chosen`` and ``rejected``.
        journal: file in which answers are kept as they come; those already in it are not asked for again.
        name: of the judge: answers of another are not taken for its own.
        judging: batches, attempts, patience.

    Raises:
        DataError: rows without completions.
        UsageError: a judge that can only compare, and rows to score.
    """
    if not rows:
        raise DataError("there are no rows to judge")
    columns = set(rows[0])
    if {"prompt", "chosen", "rejected"} <= columns and isinstance(judge, PairJudge):
        items = [Item(row["prompt"], (row["chosen"], row["rejected"]), row) for row in rows]
        found = ask(judge, items, journal, name, judging)
        judged = [{**row, "preference_prob": answer} for row, answer in zip(rows, found)]
        return _judged(judged, items, found, list(range(len(rows))))
    if not isinstance(judge, Judge):
        raise UsageError("the judge compares two completions; give rows with chosen and rejected, or one that scores")
    kind = next((kind for kind in ("completion", "completions", "chosen") if kind in columns), None)
    if kind is None or "prompt" not in columns or (kind == "chosen" and "rejected" not in columns):
        raise DataError(
            f"the rows have the columns {', '.join(sorted(columns))}; expected prompt with completion, completions, or"
            " chosen and rejected"
        )
    each = [_completions(row, kind) for row in rows]
    items = [Item(row["prompt"], (text,), row) for row, texts in zip(rows, each) for text in texts]
    found = ask(judge, items, journal, name, judging)
    answers, judged = iter(found), []
    for row, texts in zip(rows, each):
        given = [next(answers) for _ in texts]
        if kind == "completion":
            judged.append({**row, "reward": given[0]})
        elif kind == "completions":
            judged.append({**row, "rewards": given})
        else:
            judged.append({**row, "chosen_reward": given[0], "rejected_reward": given[1]})
    return _judged(judged, items, found, [i for i, texts in enumerate(each) for _ in texts])


@dataclass(frozen=True)
class Item:
    """One thing that a judge is asked.

    Attributes:
        prompt: what was asked of the model.
        texts: one completion to score, or two to compare.
        row: where further columns are.
    """

    prompt: Any
    texts: tuple[Any, ...]
    row: Mapping[str, Any]


def ask(
    judge: Any, items: Sequence[Item], journal: Path | None, name: str = "", judging: Judging | None = None
) -> Checked:
    """Scores of items with one text, preferences (averaged over both orders) of items with two."""
    judging = judging or Judging()
    keys = [_key(name, item) for item in items]
    known = _read(journal)
    left = [i for i, key in enumerate(keys) if key not in known]
    reasons: dict[int, str] = {}
    with progress("judging", len(left), judging.show_progress and bool(left)) as bar:
        for start in range(0, len(left), judging.batch_size):
            part = left[start : start + judging.batch_size]
            found = _ask_batch(judge, [items[i] for i in part], judging)
            lines = []
            for position, (i, answer) in enumerate(zip(part, found)):
                if answer is None:
                    reasons[i] = found.reasons[position]
                else:
                    known[keys[i]] = answer
                    lines.append(json.dumps({"key": keys[i], "answer": answer}) + "\n")
            if journal is not None:
                with journal.open("a") as file:
                    file.writelines(lines)
            bar.update(start + len(part), f"{len(reasons)} failed" if reasons else "")
    return Checked([known.get(key) for key in keys], reasons)


class _Fair:
    """Both orders of each pair, averaged."""

    def __init__(self, judge: PairJudge):
        self.judge = judge

    def prefer(self, prompts: Any, first: Any, second: Any, columns: Any = None) -> Sequence[float]:
        if getattr(self.judge, "averages_orders", False):
            return self.judge.prefer(prompts, first, second, columns)  # with its reasons
        return fair_preferences(self.judge, prompts, first, second, columns)


def _ask_batch(judge: Any, items: Sequence[Item], judging: Judging) -> Checked:
    prompts = [item.prompt for item in items]
    names = [name for name in items[0].row if name not in (*OWN, "prompt")]
    columns = {name: [item.row.get(name) for item in items] for name in names}
    sides = [[item.texts[side] for item in items] for side in range(len(items[0].texts))]
    limits: dict[str, Any] = {"attempts": judging.attempts, "timeout": judging.timeout}
    if len(sides) == 1:
        return checked_scores(judge, prompts, sides[0], columns, **limits)
    return checked_preferences(_Fair(judge), prompts, sides[0], sides[1], columns, **limits)


def _judged(rows: list[dict[str, Any]], items: Sequence[Item], found: Checked, positions: list[int]) -> Judged:
    failures: dict[str, list[int]] = {}
    for i, reason in found.reasons.items():
        failures.setdefault(reason, []).append(positions[i])
    given = [i for i, answer in enumerate(found) if answer is not None]
    lengths = [len(plain_text(item.texts[0])) - sum(len(plain_text(t)) for t in item.texts[1:]) for item in items]
    answers = [answer for answer in found if answer is not None]
    return Judged(rows, answers, [lengths[i] for i in given], len(items), failures)


def _completions(row: Mapping[str, Any], kind: str) -> list[Any]:
    if kind == "completions":
        return list(row["completions"] or ())
    return [row["completion"]] if kind == "completion" else [row["chosen"], row["rejected"]]


def _key(name: str, item: Item) -> str:
    further = {column: value for column, value in item.row.items() if column not in (*OWN, "prompt", "row_id")}
    content = json.dumps([name, item.prompt, item.texts, further], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _read(journal: Path | None) -> dict[str, float]:
    known: dict[str, float] = {}
    if journal is not None and journal.exists():
        for line in journal.read_text().splitlines():
            try:
                entry = json.loads(line)
                known[entry["key"]] = float(entry["answer"])
            except (json.JSONDecodeError, KeyError, TypeError):  # the line that a kill cut off
                continue
    return known


def reasons_in_words(failures: Mapping[str, Sequence[int]], describe: Callable[[int], str] = str) -> list[str]:
    """One line a reason: how many rows, which first, and why."""
    lines = []
    for reason, rows in sorted(failures.items(), key=lambda entry: -len(entry[1])):
        shown = ", ".join(describe(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
        lines.append(f"{len(rows)} not judged (rows {shown}): {reason}")
    return lines
