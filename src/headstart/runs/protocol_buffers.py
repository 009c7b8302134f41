"""Protocol-buffer messages taken apart by field number, without their schemas."""

from __future__ import annotations

from collections.abc import Iterator


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and content of each field of a message; fixed-size numbers as their bytes.

    Raises:
        ValueError, IndexError: it is no message.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if place + length > len(message):
            raise ValueError("a field goes beyond its message")
        yield key >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if not byte & 0x80:
            return value - (1 << 64) if value >= 1 << 63 else value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def varint(value: int) -> bytes:
    """A number that is not negative, in as few bytes as it takes."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def sized_field(number: int, content: bytes) -> bytes:
    """A field that holds text, bytes or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content
