"""Rows as a trainer takes them: sides as ids, numbers by name, and the reference's log-probabilities beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from headstart.core.encoding import Encoded, Encoder, collate
from headstart.core.errors import DataError
from headstart.language.log_probabilities import score, score_sides
from headstart.language.method import LanguageMethod, LossBatch

SIDES = {"pair": ("chosen", "rejected"), "completion": ("completion",), "label": ("completion",)}
"""Columns that hold completions, by kind of row."""

SIDES_BESIDE = ("calibration",)
"""Sides that rows of any kind may have besides, given as ``<side>_ids`` alone."""


@dataclass(frozen=True)
class EncodedRow:
    """One row of training.

    Attributes:
        sides: prompt and completion as ids, by side.
        fields: numbers that the loss reads, by column; lists are one number a token of the (only) completion.
        reference: log-probability of each token under the reference, by side; empty without a reference.
    """

    sides: Mapping[str, Encoded]
    fields: Mapping[str, float | list[float]] = field(default_factory=dict)
    reference: Mapping[str, list[float]] = field(default_factory=dict)


def encode_rows(rows: Sequence[Mapping[str, Any]], method: LanguageMethod, encoder: Encoder) -> list[EncodedRow]:
    """Rows of the method's kind as ids; ``<side>_ids`` columns, where there are any, are taken as they are.

    A column ``priority`` says how often a row is drawn; see ``headstart.language.trainer.BatchOrder``.

    Raises:
        DataError: a column that the method's loss reads is missing from a row.
    """
    told = [name for name in method.optional_fields if any(row.get(name) is not None for row in rows)]
    encoded = []
    for index, row in enumerate(rows):
        sides = {}
        for side in SIDES[method.rows]:
            truncated = bool(row.get("truncated" if side == "completion" else f"{side}_truncated") or False)
            sides[side] = encoder.encode(row["prompt"], row[side], row.get(f"{side}_ids"), truncated)
        for side in SIDES_BESIDE:
            if row.get(f"{side}_ids") is not None:
                cut = bool(row.get(f"{side}_truncated") or False)
                sides[side] = encoder.encode(row["prompt"], "", row[f"{side}_ids"], cut)
        numbers = {}
        for name in (*method.fields, *told):
            if row.get(name) is None:
                raise DataError(f"row {row.get('row_id', index)} has no {name}, which {method.name} learns from")
            value = row[name]
            numbers[name] = [float(part) for part in value] if isinstance(value, list | tuple) else float(value)
        if row.get("priority") is not None:
            numbers["priority"] = float(row["priority"])
        encoded.append(EncodedRow(sides, numbers))
    return encoded


def loss_batch(
    model: Any, method: LanguageMethod, rows: Sequence[EncodedRow], padding: int, device: Any, packing: bool = False
) -> LossBatch:
    """Log-probabilities of some rows under a model, in one forward pass, with the reference's beside them."""
    sides = {side: [row.sides[side] for row in rows] for side in rows[0].sides}
    scored = score_sides(model, sides, padding, packing=packing)
    if method.reference != "none":
        for side, found in scored.items():
            reference = _padded([row.reference[side] for row in rows], found.policy.shape[1], device)
            scored[side] = replace(found, reference=reference)
    longest = max(found.policy.shape[1] for found in scored.values())
    return LossBatch(scored, _fields(rows, longest, device))


@torch.no_grad()
def with_reference(
    rows: Sequence[EncodedRow], model: Any, padding: int, device: Any, batch_tokens: int = 8192
) -> list[EncodedRow]:
    """The rows with the log-probability of every completion's token under ``model``, computed once.

    Rows are scored in batches of similar length, of at most about ``batch_tokens`` tokens.
    """
    pieces = [(index, side) for index, row in enumerate(rows) for side in row.sides]
    size = {
        piece: len(rows[piece[0]].sides[piece[1]].prompt + rows[piece[0]].sides[piece[1]].completion)
        for piece in pieces
    }
    pieces.sort(key=lambda piece: size[piece])
    found: dict[tuple[int, str], list[float]] = {}
    while pieces:
        count = max(1, batch_tokens // size[pieces[-1]])
        taken, pieces = pieces[-count:], pieces[:-count]
        batch = collate([rows[index].sides[side] for index, side in taken], padding).to(device)
        scored = score(model, batch)
        for piece, values, length in zip(taken, scored.policy.tolist(), scored.length().tolist(), strict=True):
            found[piece] = values[:length]
    return [replace(row, reference={side: found[index, side] for side in row.sides}) for index, row in enumerate(rows)]


def _padded(values: Sequence[Sequence[float]], length: int, device: Any) -> Tensor:
    return torch.tensor([[*row, *[0.0] * (length - len(row))] for row in values], dtype=torch.float32, device=device)


def _fields(rows: Sequence[EncodedRow], length: int, device: Any) -> dict[str, Tensor]:
    fields = {}
    for name, first in rows[0].fields.items():
        values = [row.fields[name] for row in rows]
        if isinstance(first, list):
            fields[name] = _padded([value if isinstance(value, list) else [value] for value in values], length, device)
        else:
            fields[name] = torch.tensor(values, dtype=torch.float32, device=device)
    return fields
