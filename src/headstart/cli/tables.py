"""Tables as lines of text: one line a row, cut to the window; whole where nobody looks, as in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        rank: 0 stays in the narrowest window; of the others those of the highest rank are left out first.
        least: characters down to which it may be cut; None if it is never cut.
        side: where its cells stand; numbers on the right.
        keep: which end of a cell remains when it is cut.
    """

    name: str
    rank: int = 0
    least: int | None = None
    side: Literal["left", "right"] = "left"
    keep: Literal["start", "end"] = "start"


def one_line(text: str) -> str:
    """The text with every run of white space, line ends among them, as one blank."""
    return " ".join(text.split())


def cut(text: str, width: int, keep: Literal["start", "end"] = "start") -> str:
    """The text in at most ``width`` characters, with an ellipsis where something is missing."""
    if len(text) <= width:
        return text
    return f"{text[: width - 1]}…" if keep == "start" else f"…{text[len(text) - width + 1 :]}"


def window() -> int | None:
    """Characters in a line of the terminal; None if the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lines_of(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[str], list[str]]:
    """Lay a table out.

    Args:
        columns: its columns.
        rows: a cell for every column each.
        width: characters in a line; None for no limit.

    Returns:
        The heading and a line for every row, and the names of the columns that did not fit.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    natural = [max([len(column.name), *(len(row[at]) for row in cells)]) for at, column in enumerate(columns)]
    columns = [replace(column, least=_least(column, whole)) for column, whole in zip(columns, natural, strict=True)]
    shown = _fitting(columns, [any(row[at] for row in cells) for at in range(len(columns))], width)
    widths = _widths([columns[at] for at in shown], [natural[at] for at in shown], width)
    table = [[column.name for column in columns], *cells]
    lines = [_line([columns[at] for at in shown], [row[at] for at in shown], widths) for row in table]
    return lines, [column.name for at, column in enumerate(columns) if at not in shown]


def _least(column: Column, whole: int) -> int:
    return whole if column.least is None else min(whole, max(column.least, len(column.name)))


def _fitting(columns: Sequence[Column], filled: Sequence[bool], width: int | None) -> list[int]:
    """Places of the columns that fit: empty ones are left out first, then by rank."""
    shown = list(range(len(columns)))
    while width is not None and _total([columns[at].least or 0 for at in shown]) > width:
        spare = [at for at in shown if columns[at].rank > 0]
        if not spare:
            break
        shown.remove(max(spare, key=lambda at: (not filled[at], columns[at].rank)))
    return shown


def _widths(columns: Sequence[Column], natural: Sequence[int], width: int | None) -> list[int]:
    """A width for each column: what is left beyond the least goes to the most important first."""
    if width is None:
        return list(natural)
    widths = [column.least or 0 for column in columns]
    left = max(width - _total(widths), 0)
    for at in sorted(range(len(columns)), key=lambda at: columns[at].rank):
        more = min(natural[at] - widths[at], left)
        widths[at], left = widths[at] + more, left - more
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * max(len(widths) - 1, 0)


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [cut(cell, width, column.keep) for column, cell, width in zip(columns, row, widths, strict=True)]
    sides = [
        cell.rjust(width) if column.side == "right" else cell.ljust(width)
        for column, cell, width in zip(columns, fitted, widths, strict=True)
    ]
    return _GAP.join(sides).rstrip()
