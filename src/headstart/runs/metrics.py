"""Scalars logged while training, as Parquet parts in long format: one row a value.

A part is named after the number of rows before it. The last part is rewritten whole at each flush until it is full,
so a kill leaves every flushed row readable, and a run flushed thousands of times still has few files.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import polars as pl

from headstart.core.errors import CheckpointError, DataError
from headstart.core.files import write_atomically
from headstart.runs.checkpoints import unwritable

SCHEMA: dict[str, Any] = {
    "name": pl.String,
    "value": pl.Float64,
    "phase": pl.String,
    "updates": pl.Int64,
    "environment_steps": pl.Int64,
    "time": pl.Float64,
}
"""Columns of a metrics table; ``time`` is seconds spent training since the run's start, pauses left out."""


class MetricsWriter:
    """Appends scalars to the Parquet parts of one seed.

    Opening a folder that already has parts continues after their last row. A resumed run calls ``truncate_after``
    with the number of rows its checkpoint knew of, so that no row is repeated or from a future that was undone.

    Args:
        folder: where the parts are; created when missing.
        flush_seconds: rows are written out when the oldest unwritten one is this old.
        part_rows: a part with this many rows is full and the next one is begun.

    Raises:
        DataError: the last part is damaged.
    """

    def __init__(self, folder: Path | str, flush_seconds: float = 10.0, part_rows: int = 65536):
        self.folder = Path(folder)
        self.flush_seconds, self.part_rows = flush_seconds, part_rows
        self.folder.mkdir(parents=True, exist_ok=True)
        self._continue_after(_parts(self.folder))

    @property
    def rows(self) -> int:
        """Rows logged so far, those not yet on disk included. A checkpoint keeps this number."""
        return self._part_start + len(self._columns["name"])

    def log(self, updates: int, environment_steps: int, phase: str, values: Mapping[str, SupportsFloat]) -> None:
        """Record the values of some metrics at one moment of training.

        Args:
            updates: gradient updates done so far, over all phases.
            environment_steps: steps taken in the world so far, over all phases.
            phase: name of the phase of the plan, such as "offline".
            values: metric name to number (NumPy and JAX scalars too; not-a-number and infinities are kept).
        """
        now, count = time.monotonic(), len(values)
        rows = {
            "name": list(values),
            "value": [float(value) for value in values.values()],
            "phase": [phase] * count,
            "updates": [int(updates)] * count,
            "environment_steps": [int(environment_steps)] * count,
            "time": [now - self._origin] * count,
        }
        for name, column in self._columns.items():
            column.extend(rows[name])
        if now - self._flushed >= self.flush_seconds:
            self.flush()

    def flush(self) -> int:
        """Write out all rows logged so far, and return how many there are in all.

        Raises:
            CheckpointError: the disk is full or not writable; the rows flushed before are still readable.
        """
        if len(self._columns["name"]) > self._on_disk:
            part = self.folder / f"part-{self._part_start:012d}.parquet"
            _write_part(part, pl.DataFrame(self._columns, schema=SCHEMA))
            self._on_disk = len(self._columns["name"])
        rows = self.rows
        if self._on_disk >= self.part_rows:
            self._begin_part(rows, {name: [] for name in SCHEMA})
        self._flushed = time.monotonic()
        return rows

    def truncate_after(self, rows: int) -> None:
        """Keep the first ``rows`` rows and drop all later ones, in memory and on disk.

        Raises:
            CheckpointError: fewer rows than that are recorded; nothing is dropped.
        """
        if not 0 <= rows <= self.rows:
            raise CheckpointError(
                f"cannot keep {rows} rows of metrics in {self.folder}: {self.rows} are recorded; "
                "metrics must be flushed before the checkpoint that counts them is written"
            )
        self.flush()
        parts = _parts(self.folder)
        kept = [part for part in parts if _start(part) < rows]
        for part in reversed(parts[len(kept) :]):
            part.unlink()
        if kept and (last := _read_part(kept[-1])).height > rows - _start(kept[-1]):
            _write_part(kept[-1], last.head(rows - _start(kept[-1])))
        self._continue_after(kept)

    def _continue_after(self, parts: Sequence[Path]) -> None:
        last = _read_part(parts[-1]) if parts else pl.DataFrame(schema=SCHEMA)
        start = _start(parts[-1]) if parts else 0
        self._origin = time.monotonic() - (last["time"][-1] if last.height else 0.0)
        self._flushed = time.monotonic()
        if last.height >= self.part_rows:
            self._begin_part(start + last.height, {name: [] for name in SCHEMA})
        else:
            self._begin_part(start, last.to_dict(as_series=False))

    def _begin_part(self, start: int, columns: dict[str, list]) -> None:
        self._part_start, self._columns, self._on_disk = start, columns, len(columns["name"])


def read_metrics(folder: Path | str, names: Sequence[str] | None = None) -> pl.DataFrame:
    """All rows of a metrics folder in the order they were logged, with the columns of ``SCHEMA``.

    Args:
        folder: the folder of parts; one that is missing or empty gives an empty table.
        names: read only these metrics.

    Raises:
        DataError: a part is damaged; it is named.
    """
    parts = [_read_part(part) for part in _parts(Path(folder))]
    table = pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)
    return table if names is None else table.filter(pl.col("name").is_in(list(names)))


def _start(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _write_part(path: Path, rows: pl.DataFrame) -> None:
    content = io.BytesIO()
    rows.write_parquet(content, compression="lz4")
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise unwritable(f"metrics {path}", error) from error


def _read_part(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=list(SCHEMA), memory_map=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a readable part of a run's metrics: {error}") from error
