"""A learner in a world that shows what it is for: one seed, exact numbers, options refused by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from headstart.core.errors import UsageError

Numbers = dict[str, float]


@dataclass(frozen=True)
class Trial(ABC):
    """One learner in one kind of world; its fields are its options."""

    @abstractmethod
    def run(self, seed: int) -> Numbers:
        """What came of it, with a world and luck of the seed's own.

        Raises:
            UsageError: an option that cannot be.
        """


def at_least(least: int, **counts: int) -> None:
    """Refuse counts that are too small.

    Raises:
        UsageError: one of them is below the least.
    """
    for name, count in counts.items():
        if count < least:
            raise UsageError(f"{name} is {count}; expected at least {least}")
