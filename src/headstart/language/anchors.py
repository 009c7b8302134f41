"""What a method compares the policy with: the fixed reference, or its mixture with the policy that drew the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headstart.core.errors import UsageError
from headstart.language.encoded_rows import EncodedRow
from headstart.language.inpo import INPO
from headstart.language.learner import Learner

ANCHORED_AT = "anchored_at"
"""Field of a row that says after how many optimiser steps the policy in its anchor was taken."""


def anchored(learner: Learner, rows: list[EncodedRow]) -> list[EncodedRow]:
    """Rows with what the method compares the policy with: the reference, or INPO's mixture with the policy as it is."""
    rows = learner.prepare(rows)
    if not isinstance(learner.method, INPO):
        return rows
    now = learner.scored(rows, learner.model)
    share = learner.method.share
    mixed = []
    for fixed, current in zip(rows, now, strict=True):
        reference = {
            side: [share * a + (1 - share) * b for a, b in zip(fixed.reference[side], current.reference[side])]
            for side in fixed.sides
        }
        fields = {**fixed.fields, ANCHORED_AT: float(learner.steps)}
        mixed.append(replace(fixed, reference=reference, fields=fields))
    return mixed


def check_anchors(rows: Sequence[EncodedRow], begun: int) -> None:
    """Refuse rows whose anchor is not the policy that their iteration began with.

    Args:
        rows: of an iteration.
        begun: optimiser steps that had been taken when it began.

    Raises:
        UsageError: naming the iterate that they are anchored in.
    """
    stale = {int(step) for row in rows if isinstance(step := row.fields.get(ANCHORED_AT), float) and step != begun}
    if stale:
        raise UsageError(
            f"rows are anchored in the policy after {', '.join(map(str, sorted(stale)))} steps, but this iteration"
            f" began after {begun}: mirror descent steps from the policy before it, so learn from each iteration's own"
            " rows (history current), in the order in which they were drawn"
        )
