"""The contract of searchers: state machines that are asked for work and told scores.

A searcher is deterministic: its seed and the order of questions and answers decide everything. So a search that was
killed is resumed by asking and telling again what its journal holds, and no searcher needs a file format of its own.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import Any

from headstart.tune.space import Configuration, Space

Schedule = tuple[tuple[int, Configuration], ...]
"""How something is trained: up to so many steps in all with this configuration, then up to so many with that one."""


@dataclass(frozen=True)
class Step:
    """A piece of work: train one trial up to some number of steps, and say how good it is there.

    Attributes:
        trial: number of the trial, from 0; a trial that was trained before goes on from where it is.
        schedule: all of its training from the beginning; the last entry ends where the score is wanted.
        parent: trial whose trained state it starts as a copy of, or None.
        reserve: steps that the trial may go on to, kept for it while it runs.
    """

    trial: int
    schedule: Schedule
    parent: int | None = None
    reserve: int = 0

    @property
    def steps(self) -> int:
        """Where this piece ends, in steps from the trial's beginning."""
        return self.schedule[-1][0]

    @property
    def configuration(self) -> Configuration:
        """What it is trained with at the end."""
        return self.schedule[-1][1]

    def to_json(self) -> dict[str, Any]:
        """The step as plain JSON values."""
        schedule = [[steps, configuration] for steps, configuration in self.schedule]
        return {"trial": self.trial, "schedule": schedule, "parent": self.parent, "reserve": self.reserve}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Step:
        """The step that ``to_json`` wrote."""
        return cls(record["trial"], schedule_from_json(record["schedule"]), record["parent"], record["reserve"])


def schedule_from_json(record: list[Any]) -> Schedule:
    """The schedule whose entries were written as JSON; JSON's lists are the tuples that fields hold."""
    return tuple(
        (steps, {name: tuple(v) if isinstance(v, list) else v for name, v in configuration.items()})
        for steps, configuration in record
    )


@dataclass(frozen=True)
class Task:
    """What every searcher is given.

    Attributes:
        space: where to look.
        full: steps of a whole training.
        points: where trials can be looked at, increasing, the last being ``full``: steps at which they are evaluated.
        trials: the budget, as so many whole trainings.
        default: the configuration to try first, or None. Its values may lie outside the space.
        seed: all randomness comes from it.
    """

    space: Space
    full: int
    points: tuple[int, ...]
    trials: int
    default: Configuration | None = None
    seed: int = 0

    def point_near(self, steps: float) -> int:
        """The point nearest to some number of steps."""
        return min(self.points, key=lambda point: abs(point - steps))


@dataclass
class Searcher(abc.ABC):
    """Base of all searchers. Larger scores are better.

    Attributes:
        task: what to search, and for how much.
    """

    task: Task
    _asked: int = field(default=0, init=False)

    @abc.abstractmethod
    def ask(self, affordable: float = math.inf) -> Step | None:
        """The next piece of work; None while results are waited for, or when there is nothing more to do.

        Args:
            affordable: steps that the budget has left for trials that are yet to begin. A searcher that can do without
                ignores it; an answer of None leaves the searcher as it was.
        """

    @abc.abstractmethod
    def tell(self, step: Step, score: float | None) -> None:
        """The score of an asked step; None where its training failed."""

    def _next_trial(self) -> int:
        self._asked += 1
        return self._asked - 1
