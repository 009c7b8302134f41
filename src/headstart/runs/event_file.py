"""Scalars in TensorBoard event files, without TensorBoard: records of length, checksum and a small message.

Format: each record is an unsigned 64-bit length, a checksum of it, the message, a checksum of that. A message is an
``Event`` (tensorflow/core/util/event.proto): field 1 wall time, 2 step, 5 summary; a summary's field 1 is a value: 1
its tag, 2 a number; or 8 a tensor: 1 its type, 4 its bytes, 5 its numbers.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from headstart.core.errors import DataError
from headstart.runs.protocol_buffers import fields, sized_field, varint


class Scalar(NamedTuple):
    """One logged number."""

    name: str
    step: int
    wall_time: float
    """Seconds since 1970."""
    value: float


def read_scalars(path: Path | str) -> Iterator[Scalar]:
    """Every scalar of an event file, in the order logged; a last record that was cut off ends it.

    Raises:
        DataError: it is no event file.
    """
    content = Path(path).read_bytes()
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        start = place + 12
        if start + length + 4 > len(content):
            if place == 0:
                raise DataError(f"{path} is not a TensorBoard event file")
            return
        try:
            yield from _scalars(content[start : start + length])
        except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
            raise DataError(f"{path} is not a TensorBoard event file: {error}") from error
        place = start + length + 4


def _scalars(event: bytes) -> Iterator[Scalar]:
    step, wall_time, summaries = 0, 0.0, []
    for field, value in fields(event):
        if field == 1 and isinstance(value, bytes):
            (wall_time,) = struct.unpack("<d", value)
        elif field == 2 and isinstance(value, int):
            step = value
        elif field == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for field, part in fields(summary):
            if field == 1 and isinstance(part, bytes):
                tag, number = _value(part)
                if number is not None:
                    yield Scalar(tag, step, wall_time, number)


def _value(message: bytes) -> tuple[str, float | None]:
    tag, number = "", None
    for field, value in fields(message):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode()
        elif field == 2 and isinstance(value, bytes):
            (number,) = struct.unpack("<f", value)
        elif field == 8 and isinstance(value, bytes):
            number = _tensor(value)
    return tag, number


def _tensor(message: bytes) -> float | None:
    kind, content, numbers = 0, b"", b""
    for field, value in fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 4 and isinstance(value, bytes):
            content = value
        elif field == 5 and isinstance(value, bytes):
            numbers = value
    if kind == 1 and len(content or numbers) == 4:
        return struct.unpack("<f", content or numbers)[0]
    if kind == 2 and len(content) == 8:
        return struct.unpack("<d", content)[0]
    return None  # text, images, histograms


def append_scalars(path: Path | str, scalars: Iterable[Scalar]) -> None:
    """Add scalars to an event file, which is made where there is none. TensorBoard shows them as it reads on.

    Args:
        path: its name has to contain ``tfevents``, by which TensorBoard finds it.
        scalars: what to add, steps not negative.
    """
    path = Path(path)
    content = bytearray()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        content += _record(b"\x09" + struct.pack("<d", time.time()) + sized_field(3, b"brain.Event:2"))
    for one in scalars:
        value = sized_field(1, sized_field(1, one.name.encode()) + b"\x15" + struct.pack("<f", one.value))
        content += _record(
            b"\x09" + struct.pack("<d", one.wall_time) + b"\x10" + varint(one.step) + sized_field(5, value)
        )
    with open(path, "ab") as file:
        file.write(content)


def _record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _checksum(content: bytes) -> bytes:
    """CRC-32C, rotated and shifted as TensorFlow's records have it."""
    remainder = 0xFFFFFFFF
    for byte in content:
        remainder = remainder >> 8 ^ _REMAINDERS[(remainder ^ byte) & 0xFF]
    crc = remainder ^ 0xFFFFFFFF
    return struct.pack("<I", (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF)


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_REMAINDERS = tuple(_remainder(byte) for byte in range(256))
