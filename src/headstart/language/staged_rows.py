"""Rows that are made before a training, part by part, and kept as they come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically

Row = dict[str, Any]


def staged_rows(
    path: Path | str,
    sources: Sequence[Mapping[str, Any]],
    make: Callable[[Sequence[Mapping[str, Any]], int], list[Row]],
    settings: Mapping[str, Any],
    at_once: int = 64,
) -> list[Row]:
    """Rows made of others, as JSON lines in ``path``; a killed call goes on with the first part that is missing.

    Args:
        path: the file; while it is being made, parts are in ``path`` with .partial after it.
        sources: what rows are made of.
        make: given some of them and the position of the first, the rows they give, in order.
        settings: what the rows depend on besides, as JSON; a file begun with other settings is refused.
        at_once: how many are given at a time.

    Raises:
        UsageError: the file was made, or begun, otherwise.
    """
    path = Path(path)
    beside, partial = path.with_name(f"{path.name}.settings"), path.with_name(f"{path.name}.partial")
    told = json.loads(json.dumps({**settings, "sources": len(sources), "at_once": at_once}))
    if path.exists() or partial.exists():
        before = json.loads(beside.read_text()) if beside.exists() else None
        if before != told:
            changed = sorted(name for name in told if before is None or before.get(name) != told[name])
            raise UsageError(f"{path} was made with another {', '.join(changed)}; remove it, or choose another --out")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(beside, json.dumps(told).encode())
    if path.exists():
        return [json.loads(line) for line in path.read_text().splitlines()]
    parts = _whole_lines(partial)
    with open(partial, "a") as file:
        for first in range(len(parts) * at_once, len(sources), at_once):
            parts.append(make(sources[first : first + at_once], first))
            file.write(json.dumps(parts[-1]) + "\n")
            file.flush()
            os.fsync(file.fileno())
    rows = [row for part in parts for row in part]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    partial.unlink()
    return rows


def _whole_lines(path: Path) -> list[list[Row]]:
    """Parts written whole; a last line that a kill cut short is removed."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    with open(path, "r+b") as file:
        file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]
