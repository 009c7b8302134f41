"""Methods whose constants change from iteration to iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from headstart.language.method import LanguageMethod


@runtime_checkable
class Scheduled(Protocol):
    """A method that is another one in each iteration."""

    def at(self, iteration: int) -> LanguageMethod:
        """The method of an iteration, counted from 0."""
        ...
