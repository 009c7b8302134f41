"""Who wrote the two sides of a pair: the policy, or what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.core.errors import DataError
from headstart.language.method import LanguageMethod

POLICY = "policy"
"""The source of the policy's own completions; every other is a comparator."""
FROM_COMPARATOR = "chosen_from_comparator"


def with_comparator(rows: Sequence[dict[str, Any]], method: LanguageMethod) -> list[dict[str, Any]]:
    """Recorded pairs with ``chosen_from_comparator`` by their ``chosen_source``, for a method that cannot do without.

    Args:
        rows: pairs; those that have the column keep theirs.
        method: others' rows are left as they are.

    Raises:
        DataError: a row says neither, or that both sides or none are the policy's.
    """
    if FROM_COMPARATOR not in method.fields:
        return list(rows)
    return [
        row if row.get(FROM_COMPARATOR) is not None else {**row, FROM_COMPARATOR: _by_source(row, place, method.name)}
        for place, row in enumerate(rows)
    ]


def _by_source(row: Mapping[str, Any], place: int, method: str) -> bool:
    chosen, rejected, where = row.get("chosen_source"), row.get("rejected_source"), f"row {row.get('row_id', place)}"
    if chosen is None:
        raise DataError(
            f"{where} has no {FROM_COMPARATOR}, which {method} learns from: true where the chosen completion was drawn"
            " from the comparator (the reference, as a rule), false where from the policy. Give it in every row, or"
            f" chosen_source ({POLICY!r}, or who else wrote it); or let {method} draw its pairs, by --prompts and"
            " --judge in place of --data"
        )
    if rejected is not None and (chosen == POLICY) == (rejected == POLICY):
        raise DataError(
            f"{where} has chosen_source {chosen!r} and rejected_source {rejected!r}; {method} learns from pairs of"
            f" which one side is by {POLICY!r} and the other by its comparator"
        )
    return chosen != POLICY
