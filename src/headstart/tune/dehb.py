"""DEHB: Hyperband whose brackets are filled by differential evolution (Awad, Mallik and Hutter, 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.tune.searcher import Searcher, Step

Point = Float[np.ndarray, " names"]


@dataclass
class Member:
    """Who holds a place in the population of one rung.

    Attributes:
        point: its configuration in the unit cube.
        score: at this rung; minus infinity where its training failed.
        step: the piece of training that the score is of.
    """

    point: Point
    score: float
    step: Step


@dataclass(frozen=True)
class Contest:
    """A trial that runs for a place: the place, or None where one is free."""

    point: Point
    place: int | None


@dataclass
class DEHB(Searcher):
    """Rungs at ``full / eta^k`` steps, each with a population of ``eta^k``; rung by rung, bracket by bracket.

    The first bracket is successive halving of random configurations, whose best train on at the next rung. From then
    on every place is challenged by a mutant of the better configurations of the rung below, trained from scratch.

    Attributes:
        eta: ratio of the steps of two rungs (3).
        most_rungs: rungs at most, the whole training being the last.
        mutation: weight of the difference of two parents (F = 0.5).
        crossover: probability that a coordinate is the mutant's (p = 0.5).
    """

    eta: int = 3
    most_rungs: int = 3
    mutation: float = 0.5
    crossover: float = 0.5

    def __post_init__(self) -> None:
        powers = range(self.most_rungs)
        self.rungs = sorted({self.task.point_near(self.task.full / self.eta**power) for power in powers})
        self.sizes = [self.eta**power for power in reversed(range(len(self.rungs)))]
        self._generator = np.random.default_rng(self.task.seed)
        self._populations: list[list[Member]] = [[] for _ in self.rungs]
        self._queue: list[Step] = []
        self._contests: dict[int, Contest] = {}  # asked or queued, by trial
        self._trained: dict[int, int] = {}  # steps, by trial
        self._start, self._rung = 0, 0  # of the running bracket
        self._begin()

    def ask(self, affordable: float = math.inf) -> Step | None:
        """The next trial of the rung, if it can be paid for; None until the rung is complete."""
        if not self._queue:
            return None
        step = self._queue[0]
        if step.steps - self._trained.get(step.trial, 0) > affordable:
            return None
        return self._queue.pop(0)

    def tell(self, step: Step, score: float | None) -> None:
        """The better of the trial and the holder of the place has it; a complete rung is followed by the next."""
        self._trained[step.trial] = step.steps
        contest, population = self._contests.pop(step.trial), self._populations[self._rung]
        member = Member(contest.point, -math.inf if score is None else score, step)
        if contest.place is None:
            population.append(member)
        elif member.score >= population[contest.place].score:
            population[contest.place] = member
        if not self._contests:
            self._advance()

    def _begin(self) -> None:
        """The first rung of all, filled at random."""
        space, default = self.task.space, self.task.default
        for index in range(self.sizes[0]):
            point = self._generator.uniform(size=len(space))
            configuration = space.from_unit(point)
            if index == 0 and default is not None:
                point, configuration = space.to_unit(space.clipped(default)), default
            self._enter(point, None, Step(self._next_trial(), ((self.rungs[0], configuration),)))

    def _advance(self) -> None:
        """Fill the queue for the next rung of the bracket, or for the first of the next bracket."""
        promoted = self._populations[self._rung]
        self._rung += 1
        if self._rung == len(self.rungs):
            self._start = (self._start + 1) % len(self.rungs)
            self._rung = self._start
        size, steps = self.sizes[self._rung], self.rungs[self._rung]
        if not self._populations[self._rung]:
            for member in sorted(promoted, key=lambda member: -member.score)[:size]:
                self._enter(member.point, None, Step(member.step.trial, ((steps, member.step.configuration),)))
            return
        for place in range(size):
            point = self._challenger(self._populations[self._rung][place].point)
            configuration = self.task.space.from_unit(point)
            self._enter(point, place, Step(self._next_trial(), ((steps, configuration),)))

    def _enter(self, point: Point, place: int | None, step: Step) -> None:
        self._contests[step.trial] = Contest(point, place)
        self._queue.append(step)

    def _challenger(self, target: Point) -> Point:
        """rand/1/bin: one parent plus a scaled difference of two others, mixed with the target coordinate-wise."""
        parents = self._parents()
        first, second, third = (parents[i] for i in self._generator.choice(len(parents), 3, replace=False))
        mutant = first + self.mutation * (second - third)
        outside = (mutant < 0) | (mutant > 1)
        mutant = np.where(outside, self._generator.uniform(size=len(mutant)), mutant)
        taken = self._generator.uniform(size=len(mutant)) < self.crossover
        taken[self._generator.integers(len(mutant))] = True
        return np.where(taken, mutant, target)

    def _parents(self) -> list[Point]:
        """The best of the rung below (of the same rung where there is none below), with random points if too few."""
        below = sorted(self._populations[max(self._rung - 1, 0)], key=lambda member: -member.score)
        count = self.sizes[self._rung] if self._rung else len(below)
        parents = [member.point for member in below[: max(count, 3)]]
        missing = range(3 - len(parents))
        return parents + [self._generator.uniform(size=len(self.task.space)) for _ in missing]
