"""Prompts with a model's own completions: their scores, and the file in which both are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.core.errors import UsageError
from headstart.judges.judge import Judge, PairJudge, checked_scores
from headstart.language.online_plan import Online


class SelfJudge:
    """The likelihood of each completion under the model that began: sharpening's reward.

    Args:
        mean: the mean over tokens in place of the sum.
    """

    def __init__(self, mean: bool = False):
        self.mean = mean


SAMPLED = "sampled.jsonl"
"""In an iteration's folder, completions as they were drawn, until all of them are judged."""
_NO_COLUMNS = {
    "calibration_ids",
    "calibration_truncated",
    "completions",
    "completion_ids",
    "truncated",
    "sources",
    "forced",
    "log_probabilities",
    "rewards",
    "left_out",
}
_PER_COMPLETION = ("completions", "completion_ids", "truncated", "sources", "forced", "log_probabilities", "rewards")


def judged(groups: list[dict[str, Any]], judge: Judge | PairJudge | SelfJudge, plan: Online) -> list[dict[str, Any]]:
    """The groups with ``rewards``, and ``left_out``, the completions that the judge would not score, with the reason.

    Args:
        groups: prompts with ``completions`` and what was written down of each.
        judge: scores them; where they are compared later, all are 0.
        plan: what is made of them.

    Raises:
        UsageError: the judge is set up wrongly.
    """
    if isinstance(judge, SelfJudge):
        for group in groups:
            own = group.pop("own", group["log_probabilities"])
            sums, lengths = [sum(values) for values in own], [len(values) for values in own]
            rewards = [total / length for total, length in zip(sums, lengths)] if judge.mean else sums
            # A completion without its end has too much likelihood.
            group["rewards"] = rewards
            _leave_out(group, {i: "cut before its end" for i, cut in enumerate(group["truncated"]) if cut})
    elif plan.pairing == "knockout":
        for group in groups:
            group["rewards"] = [0.0] * len(group["completions"])
    else:
        flat = [(row, i) for row, group in enumerate(groups) for i in range(len(group["completions"]))]
        columns = {name: [groups[row][name] for row, _ in flat] for name in groups[0] if name not in _NO_COLUMNS}
        assert isinstance(judge, Judge)
        scores = checked_scores(
            judge,
            columns.pop("prompt"),
            [groups[row]["completions"][i] for row, i in flat],
            columns,
            timeout=plan.judge_timeout,
        )
        for group in groups:
            group["rewards"] = []
        refused: dict[int, dict[int, str]] = {}
        for number, ((row, i), value) in enumerate(zip(flat, scores, strict=True)):
            groups[row]["rewards"].append(0.0 if value is None else float(value))
            if value is None:
                refused.setdefault(row, {})[i] = scores.reasons[number]
        for row, reasons in refused.items():
            _leave_out(groups[row], reasons)
    return groups


def check_columns(judge: Any, prompts: Sequence[Mapping[str, Any]], name: str) -> None:
    """Refuse prompts whose columns a judge cannot read, before anything is drawn for it.

    Args:
        judge: one that says which it needs by a method ``check_columns``; others are not asked.
        prompts: rows with a ``prompt``.
        name: of the prompts, for the error.

    Raises:
        UsageError: a column is missing, or holds what the judge cannot read; the row is named.
    """
    if not prompts or not hasattr(judge, "check_columns"):
        return
    names = [column for column in prompts[0] if column not in (*_NO_COLUMNS, "prompt")]
    try:
        judge.check_columns({column: [row.get(column) for row in prompts] for column in names})
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def _leave_out(group: dict[str, Any], reasons: Mapping[int, str]) -> None:
    if not reasons:
        return
    group["left_out"] = [{"completion": group["completions"][i], "reason": reason} for i, reason in reasons.items()]
    for name in _PER_COMPLETION:
        group[name] = [value for i, value in enumerate(group[name]) if i not in reasons]


def complete_lines(path: Path) -> list[dict[str, Any]]:
    """Lines that were written whole; a last one that a kill cut short is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().split("\n")[:-1]:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


def drawn_before(path: Path) -> dict[int, dict[str, Any]]:
    """Groups that were drawn and not yet judged, by their place in the iteration; what a kill cut short is cut off."""
    lines = complete_lines(path)
    if lines:
        rewrite(path, lines)
    else:
        path.unlink(missing_ok=True)
    return {line["place"]: line["group"] for line in lines}


def rewrite(path: Path, groups: Sequence[Mapping[str, Any]]) -> None:
    """Write a file of these groups alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(group) + "\n" for group in groups))


def append(path: Path, groups: Sequence[Mapping[str, Any]]) -> None:
    """Add groups to a file, on disk when this returns."""
    with open(path, "a") as file:
        file.writelines(json.dumps(group) + "\n" for group in groups)
        file.flush()
        os.fsync(file.fileno())
