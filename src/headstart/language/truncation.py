"""Which rows of the data the limits of a training cut, each counted once, however often it is encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.core.encoding import Encoder
from headstart.language.encoded_rows import SIDES


def rows_cut(rows: Sequence[Mapping[str, Any]], kind: str, encoder: Encoder) -> str:
    """What rows of a kind lose to an encoder's limits, in words; empty if nothing. Its counters stay as they were.

    Args:
        rows: of the kind, checked.
        kind: as ``LanguageMethod.rows``; "prompt" for rows of prompts alone.
        encoder: with the limits.
    """
    counted = encoder.truncations
    kept = (counted.prompts, counted.completions, counted.rows)
    found = {"prompt on the left": 0} | {f"{side} on the right": 0 for side in SIDES.get(kind, ())}
    for row in rows:
        before = counted.prompts
        encoder.encode_prompt(row["prompt"])
        found["prompt on the left"] += counted.prompts > before
        for side in SIDES.get(kind, ()):
            before = counted.completions
            unended = bool(row.get("truncated" if side == "completion" else f"{side}_truncated") or False)
            encoder.encode(row["prompt"], row[side], row.get(f"{side}_ids"), unended)
            found[f"{side} on the right"] += counted.completions > before
    counted.prompts, counted.completions, counted.rows = kept
    told = ", ".join(f"{count} cut: {lost}" for lost, count in found.items() if count)
    return told and f"of {len(rows)} rows, {told}"
