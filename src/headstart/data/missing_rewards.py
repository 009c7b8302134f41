"""Completions that a judge gave no reward, left out of the groups they stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from headstart.data.rows import PER_COMPLETION

_EACH = ("completions", *PER_COMPLETION)


def without_unrewarded(dataset: Dataset) -> tuple[Dataset, list[int]]:
    """Scored rows without the completions whose reward is missing (None or not-a-number); all else is as it was.

    Args:
        dataset: rows with ``completions`` and ``rewards``, one for each; other rows are left alone.

    Returns:
        The rows, of which some may have no completion left, and how many completions each of those that lost some lost.
    """
    rows, lost = [], []
    for row in dataset.to_list():
        rewards, completions = row.get("rewards"), row.get("completions")
        if not rewards or not completions or len(rewards) != len(completions):
            rows.append(row)
            continue
        kept = [place for place, reward in enumerate(rewards) if not _missing(reward)]
        if len(kept) < len(rewards):
            lost.append(len(rewards) - len(kept))
            row |= {name: _taken(row[name], kept, len(rewards)) for name in _EACH if row.get(name)}
        rows.append(row)
    return (Dataset.from_list(rows), lost) if lost else (dataset, [])


def _missing(reward: Any) -> bool:
    return reward is None or (isinstance(reward, float) and math.isnan(reward))


def _taken(values: Sequence[Any], places: Sequence[int], count: int) -> list[Any]:
    """A column that has not one entry for each completion is left to be refused."""
    return [values[place] for place in places] if len(values) == count else list(values)
