"""Parquet files: one row a transition, observations and actions as lists of numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Spec, spec_from_json, spec_to_json
from headstart.data.columns import COLUMNS, column_layout
from headstart.data.experience import Experience
from headstart.data.importing import derive_successors, import_columns, rows_without_successor

_ROWS = 1 << 16
_REQUIRED = ("observations", "actions", "rewards", "terminations")


def read_parquet(path: Path | str, spec: Spec | None = None) -> Experience:
    """Read a Parquet file of transitions.

    ``observations``, ``actions``, ``rewards`` and ``terminations`` must be there. Without ``truncations`` episodes end
    only where they terminate; without ``next_observations`` they are those of the next row
    (see ``derive_successors``).

    Args:
        path: the file.
        spec: observations and actions of its world; by default what the file says, else what its data suggest.

    Raises:
        DataError: the file is missing, truncated or damaged, or a column is missing or does not fit.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is truncated or damaged Parquet ({error}); copy or write it again") from error
    missing = [name for name in _REQUIRED if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: columns {', '.join(missing)} are missing, found {', '.join(table.column_names)}")
    if table.num_rows < 2:
        raise DataError(f"{path} holds {table.num_rows} rows; expected at least two")
    columns = {name: _to_numpy(path, name, table[name]) for name in COLUMNS if name in table.column_names}
    stated = dict(table.schema.metadata or {})
    facts: dict[str, Any] = {"source": path.name, "format": "parquet"}
    if b"headstart_spec" in stated:
        spec = spec or spec_from_json(json.loads(stated[b"headstart_spec"]))
        facts |= json.loads(stated[b"headstart_metadata"])
    notes = []
    ends = [np.asarray(columns.get(name, np.zeros(table.num_rows)), bool) for name in ("terminations", "truncations")]
    if "truncations" not in columns:
        notes.append("the file has no truncations; episodes end only where they terminate")
    left_out = None
    if "next_observations" in columns:
        columns["terminations"], columns["truncations"] = ends
    else:
        left_out = rows_without_successor(ends[1], path.name)
        columns = derive_successors(columns["observations"], columns["actions"], columns["rewards"], *ends)
    if spec is not None:
        for name, (_, shape) in column_layout(spec).items():
            if len(shape) > 1 and columns[name].shape[1:] == (int(np.prod(shape)),):
                columns[name] = columns[name].reshape(-1, *shape)
    return import_columns(columns, spec, facts, notes, left_out)


def write_parquet(experience: Experience, path: Path | str) -> None:
    """Write a Parquet file, block by block; spec and metadata go into the schema's metadata.

    Raises:
        UsageError: the file exists already.
    """
    path = Path(path)
    if path.exists():
        raise UsageError(f"{path} exists already; remove it or choose another name")
    experience = experience.in_order()
    fields = []
    for name, column in experience.columns.items():
        kind = pa.from_numpy_dtype(column.dtype)
        width = int(np.prod(column.shape[1:], dtype=np.int64))
        fields.append(pa.field(name, kind if column.ndim == 1 else pa.list_(kind, width)))
    facts = {"headstart_spec": json.dumps(spec_to_json(experience.spec))}
    facts["headstart_metadata"] = json.dumps(experience.metadata)
    schema = pa.schema(fields, metadata=facts)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            for start in range(0, len(experience), _ROWS):
                blocks = [experience.read(name, start, start + _ROWS) for name in COLUMNS]
                arrays = [_to_arrow(block, field.type) for block, field in zip(blocks, fields, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _to_arrow(block: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(block).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=kind) if block.ndim > 1 else flat


def _to_numpy(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    if whole.null_count:
        raise DataError(f"{path}: {name} is missing in {whole.null_count} rows")
    if not pa.types.is_nested(whole.type):
        return whole.to_numpy(zero_copy_only=False)
    if not (pa.types.is_fixed_size_list(whole.type) or pa.types.is_list(whole.type)):
        raise DataError(f"{path}: {name} is {whole.type}, expected numbers or lists of numbers")
    flat = whole.flatten()
    if flat.null_count or pa.types.is_nested(flat.type):
        raise DataError(f"{path}: {name} is {whole.type} with gaps or lists within lists, expected lists of numbers")
    if pa.types.is_list(whole.type) and len(set(whole.value_lengths().to_pylist())) > 1:
        raise DataError(f"{path}: {name} has lists of different lengths")
    return flat.to_numpy(zero_copy_only=False).reshape(len(whole), -1)
