"""Population based training (Jaderberg et al., 2017): the worse copy the better while they train, and then vary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.domain import Choice, Domain, Real
from headstart.core.errors import UsageError
from headstart.tune.searcher import Searcher, Step, Task
from headstart.tune.space import Configuration


@dataclass
class Member:
    """A trial that is alive.

    Attributes:
        step: the latest piece of its training.
        score: at the end of that piece; minus infinity where it failed; not-a-number while it is not known.
        before: its score one generation earlier, or not-a-number.
    """

    step: Step
    score: float = math.nan
    before: float = math.nan


@dataclass
class PopulationSearch(Searcher):
    """Generations of equal length; after each, the worst quarter are replaced by varied copies of the best quarter.

    A copy is a new trial with the parent's trained state. Everybody else goes on unchanged, as in the paper.

    Attributes:
        generations: how many at most; fewer where trials are evaluated less often.
        quantile: part of the population that is replaced, and part that it is replaced from.
        resample: probability that a value is drawn anew rather than multiplied by 0.8 or 1.2.
    """

    generations: int = 10
    quantile: float = 0.25
    resample: float = 0.25

    def __post_init__(self) -> None:
        self.ends = generation_ends(self.task, self.generations)
        if len(self.ends) < 2:
            raise UsageError(
                f"population based search needs evaluations before the end, but trials of {self.task.full} steps are "
                f"evaluated at {list(self.task.points)} only; give a smaller evaluate_every"
            )
        self._generator = np.random.default_rng(self.task.seed)
        self._queue: list[Step] = []
        self._members: dict[int, Member] = {}
        self._generation = 0
        self._enter([self._new(configuration) for configuration in self._first()])

    @property
    def size(self) -> int:
        """Members at a time: as many as the budget can train to the end."""
        return self.task.trials

    def ask(self, affordable: float = math.inf) -> Step | None:
        """The next member of the generation; None until the generation is complete. The budget sets the size alone."""
        return self._queue.pop(0) if self._queue else None

    def tell(self, step: Step, score: float | None) -> None:
        """A complete generation is followed by the next."""
        self._members[step.trial].score = -math.inf if score is None else score
        if self._queue or any(math.isnan(member.score) for member in self._members.values()):
            return
        self._generation += 1
        if self._generation < len(self.ends):
            self._enter(self.next_generation())

    def next_generation(self) -> list[Member]:
        """Copies first, so that they are taken before their parents train on; then those who stay."""
        ranked = sorted(self._members.values(), key=lambda member: (-member.score, member.step.trial))
        ranked = [member for member in ranked if member.score > -math.inf]
        if not ranked:
            return []
        survivors, count = ranked[: self.size], self._replaced()
        staying = survivors[: max(self.size - count, 1)]
        parents = self._generator.choice(max(count, 1), self.size - len(staying))
        copies = [self._copy(survivors[min(int(parent), len(survivors) - 1)]) for parent in parents]
        return copies + [self._go_on(member) for member in staying]

    def _replaced(self) -> int:
        return math.ceil(self.quantile * self.size) if self.size > 1 else 0

    def explore(self, parent: Member) -> Configuration:
        """A variation of the parent's configuration."""
        return {
            name: perturb(domain, parent.step.configuration[name], self.resample, self._generator)
            for name, domain in self.task.space.domains.items()
        }

    def _first(self) -> list[Configuration]:
        drawn = [self.task.space.sample(self._generator) for _ in range(self.size)]
        return drawn if self.task.default is None else [self.task.default, *drawn[1:]]

    def _enter(self, members: Sequence[Member]) -> None:
        self._members = {member.step.trial: member for member in members}
        self._queue = [member.step for member in members]

    def _new(self, configuration: Configuration) -> Member:
        return Member(Step(self._next_trial(), ((self.ends[0], configuration),)))

    def _go_on(self, member: Member) -> Member:
        # A longer stretch with the same configuration, rather than two.
        lived, configuration = member.step.schedule[:-1], member.step.configuration
        schedule = (*lived, (self.ends[self._generation], configuration))
        return Member(Step(member.step.trial, schedule), before=member.score)

    def _copy(self, parent: Member) -> Member:
        schedule = (*parent.step.schedule, (self.ends[self._generation], self.explore(parent)))
        return Member(Step(self._next_trial(), schedule, parent=parent.step.trial), before=parent.score)


def generation_ends(task: Task, generations: int) -> list[int]:
    """Steps at which generations end: evenly spaced points of the task, the last at its full length."""
    return sorted({task.point_near(task.full * (i + 1) / generations) for i in range(generations)})


def perturb(domain: Domain, value: float, resample: float, generator: np.random.Generator) -> float:
    """Another value near this one: multiplied by 0.8 or 1.2 and kept in range, or, sometimes, drawn anew.

    Of a number searched near 1 (scale log-complement) it is the distance to 1 that is multiplied; of choices a
    neighbour is taken.
    """
    anew, upward = generator.uniform() < resample, generator.uniform() < 0.5
    if anew:
        return domain.from_unit(generator.uniform())
    if isinstance(domain, Choice):
        place = domain.values.index(value) if value in domain.values else 0
        return domain.values[min(max(place + (1 if upward else -1), 0), len(domain.values) - 1)]
    factor = 1.2 if upward else 0.8
    if isinstance(domain, Real):
        moved = 1 - (1 - value) * factor if domain.scale == "log-complement" else value * factor
        return min(max(moved, domain.low), domain.high)
    moved = math.ceil(value * factor) if upward else math.floor(value * factor)
    return min(max(moved, domain.low), domain.high)
