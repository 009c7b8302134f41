"""Encoded rows on disk: Parquet, so that a run goes on with the very numbers it had."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headstart.core.encoding import Encoded
from headstart.core.files import write_atomically
from headstart.language.encoded_rows import EncodedRow

_SIDE, _FIELD, _REFERENCE = "side", "field", "reference"


def write_rows(path: Path, rows: Sequence[EncodedRow]) -> None:
    """Write encoded rows, all with the same sides and fields, whole or not at all."""
    columns: dict[str, list[Any]] = {}
    first = rows[0]
    for side in first.sides:
        for part in Encoded._fields:
            columns[f"{_SIDE}/{side}/{part}"] = [getattr(row.sides[side], part) for row in rows]
    for name in first.fields:
        columns[f"{_FIELD}/{name}"] = [row.fields[name] for row in rows]
    for side in first.reference:
        columns[f"{_REFERENCE}/{side}"] = [row.reference[side] for row in rows]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def read_rows(path: Path) -> list[EncodedRow]:
    """Read what ``write_rows`` wrote."""
    rows = []
    for record in pq.read_table(path).to_pylist():
        parts: dict[str, dict[str, Any]] = {}
        fields, reference = {}, {}
        for key, value in record.items():
            kind, _, name = key.partition("/")
            if kind == _SIDE:
                side, _, part = name.partition("/")
                parts.setdefault(side, {})[part] = value
            elif kind == _FIELD:
                fields[name] = value
            else:
                reference[name] = value
        rows.append(EncodedRow({side: Encoded(**held) for side, held in parts.items()}, fields, reference))
    return rows
