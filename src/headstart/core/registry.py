"""Names for methods, worlds, datasets and papers, resolved lazily and with help when misspelt."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from headstart.core.errors import UsageError


def unknown(kind: str, given: str, known: Iterable[str], advice: str = "") -> UsageError:
    """An error for a name that is not known, offering the nearest ones.

    Args:
        kind: what the name stands for, such as "method".
        given: the name that was given.
        known: the names that would have been accepted.
        advice: what to do instead, appended as a sentence.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given.lower(), names, n=4, cutoff=0.45)
    if near:
        hint = f"did you mean {', '.join(near)}?"
    else:
        hint = f"known: {', '.join(names[:30])}{', …' if len(names) > 30 else ''}."
    return UsageError(f"unknown {kind} {given!r}; {hint}{' ' + advice if advice else ''}")


def load_attribute(path: str) -> Any:
    """The object named by ``module:attribute``.

    Raises:
        UsageError: the module cannot be imported or has no such attribute.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{path!r} does not name an object; write it as module:attribute")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"cannot import {module_name!r} (from {path!r}): {error}") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise unknown(f"attribute of {module_name}", attribute, dir(module)) from error


@dataclass(frozen=True)
class Entry:
    """A registered name: where its object lives (``module:attribute``) and one line on what it is."""

    name: str
    target: str
    summary: str


class Registry:
    """A table from names to lazily imported objects.

    Args:
        kind: what the names stand for, used in errors ("method", "world", …).
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: str, summary: str) -> None:
        """Register ``name`` for the object at ``target`` (``module:attribute``)."""
        self._entries[name] = Entry(name, target, summary)

    def get(self, name: str) -> Any:
        """The object behind ``name``.

        Raises:
            UsageError: the name is unknown; the nearest ones are offered.
        """
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return load_attribute(self._entries[name].target)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._entries)
