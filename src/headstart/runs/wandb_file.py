"""Runs that Weights & Biases recorded offline (``wandb/offline-run-*/run-*.wandb``), read without its package.

Format: seven bytes (``:W&B``, a magic number, a version), then LevelDB's log: blocks of 32 KiB filled with pieces, each
a checksum of 32 bits, a length of 16 and a kind (1 whole; 2, 3, 4 first, middle and last of several), and zeros where
no piece's head fits any more. Whole pieces are protocol-buffer messages, ``Record`` of ``wandb_internal.proto``.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from headstart.core.errors import DataError
from headstart.runs.protocol_buffers import fields

HEADER, MAGIC, VERSION = struct.Struct("<4sHB"), 0xBEE1, 0
PIECE, BLOCK = struct.Struct("<IHB"), 32768
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class Logged(NamedTuple):
    """What one call of ``run.log`` logged."""

    step: int
    """W&B's own count of such calls, unless the caller gave another."""
    seconds: float
    """Since the run began."""
    values: dict[str, float]
    """The numbers, by name; names of nested ones joined with dots. Not-a-number is kept; text, images and others are
    not."""


@dataclass
class WandbRun:
    """One run.

    Attributes:
        id: eight letters, as a rule.
        name: what it is displayed as.
        project: its project.
        tags: its tags.
        config: its configuration, nested, without W&B's own entries.
        history: what was logged, in that order.
        summary: last values, or what the caller put in their place.
        exit_code: how the process ended; None where the file does not say, as of a run that was killed.
        truncated: whether the file ends in the middle of a record, which is then left out.
    """

    id: str = ""
    name: str = ""
    project: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[Logged] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    truncated: bool = False


def read_wandb(path: Path | str) -> WandbRun:
    """The run in a ``.wandb`` file. Of one that was cut off, by a kill or a full disk, all that is whole.

    Raises:
        DataError: it is no such file, or is damaged before its end.
    """
    content, run = Path(path).read_bytes(), WandbRun()
    if len(content) < HEADER.size or HEADER.unpack_from(content) != (b":W&B", MAGIC, VERSION):
        raise DataError(f"{path} is not a file of Weights & Biases")
    try:
        for record in _records(content, run):
            _take(record, run)
    except (IndexError, ValueError, struct.error, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return run


def _records(content: bytes, run: WandbRun) -> Iterator[bytes]:
    """Every whole record; notes in ``run`` whether the last one was cut off."""
    place, pieces = HEADER.size, []
    while place < len(content):
        if BLOCK - place % BLOCK < PIECE.size:
            place += BLOCK - place % BLOCK
            continue
        if place + PIECE.size > len(content):
            break
        checksum, length, kind = PIECE.unpack_from(content, place)
        start, end = place + PIECE.size, place + PIECE.size + length
        piece = content[start:end]
        if end > len(content) or (checksum, length, kind) == (0, 0, 0):
            break  # cut off, or filled up with zeros
        if zlib.crc32(piece, zlib.crc32(bytes([kind]))) != checksum:
            if end == len(content):
                break
            raise ValueError(f"the checksum of the piece at byte {place} does not fit")
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or (kind in (WHOLE, FIRST)) == bool(pieces):
            raise ValueError(f"the piece at byte {place} is of kind {kind}, which cannot be there")
        pieces.append(piece)
        if kind in (WHOLE, LAST):
            yield b"".join(pieces)
            pieces = []
        place = end
    run.truncated = place < len(content) or bool(pieces)


def _take(record: bytes, run: WandbRun) -> None:
    for number, content in fields(record):
        if not isinstance(content, bytes):
            continue
        if number == 2:
            run.history.append(_logged(content))
        elif number == 3:
            _update(run.summary, content)
        elif number == 5:
            _update(run.config, content)
        elif number == 17:
            _describe(content, run)
        elif number == 18:
            codes = [value for number, value in fields(content) if number == 1 and isinstance(value, int)]
            run.exit_code = codes[-1] if codes else 0
    run.config.pop("_wandb", None)


def _describe(message: bytes, run: WandbRun) -> None:
    for number, content in fields(message):
        if isinstance(content, bytes):
            if number == 1:
                run.id = content.decode()
            elif number == 3:
                run.project = content.decode()
            elif number == 4:
                _update(run.config, content)
            elif number == 8:
                run.name = content.decode()
            elif number == 10:
                run.tags.append(content.decode())


def _logged(message: bytes) -> Logged:
    step, values = 0, {}
    for number, content in fields(message):
        if number == 1 and isinstance(content, bytes):
            names, value = _item(content)
            values |= _numbers(".".join(names), value)
        elif number == 2 and isinstance(content, bytes):
            step = next((value for number, value in fields(content) if number == 1 and isinstance(value, int)), 0)
    step, seconds = int(values.pop("_step", step)), values.pop("_runtime", 0.0)
    return Logged(step, seconds, {name: value for name, value in values.items() if not name.startswith("_")})


def _numbers(name: str, value: Any) -> dict[str, float]:
    if isinstance(value, Mapping) and "_type" not in value:
        return {
            inside: number for key, part in value.items() for inside, number in _numbers(f"{name}.{key}", part).items()
        }
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {name: float(value)}
    return {}


def _update(target: dict[str, Any], message: bytes) -> None:
    """Carry out a message of changes: 1 an item to set, 2 one to remove."""
    for number, content in fields(message):
        if number not in (1, 2) or not isinstance(content, bytes):
            continue
        (*above, last), value = _item(content)
        place = target
        for name in above:
            place[name] = place[name] if isinstance(place.get(name), dict) else {}
            place = place[name]
        if number == 1:
            place[last] = value
        else:
            place.pop(last, None)


def _item(message: bytes) -> tuple[list[str], Any]:
    """Name and value of an item: 1 its name or 2 the parts of a nested one, 16 its value as JSON."""
    names, value = [], None
    for number, content in fields(message):
        if isinstance(content, bytes):
            if number in (1, 2):
                names.append(content.decode())
            elif number == 16:
                value = json.loads(content)
    if not names:
        raise ValueError("an item has no name")
    return names, value
