"""Tables whose lines do not all have the same columns."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.papers.paper import Row


def fill(rows: Sequence[Row]) -> list[Row]:
    """The rows with the columns of all of them, in the order in which these first come up; blank where one has none."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name, "") for name in names} for row in rows]
