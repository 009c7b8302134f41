"""Bayesian generational training (Wan et al., 2022): population based training whose variations a model proposes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headstart.tune.gaussian_process import TimeVaryingGP
from headstart.tune.population import Member, PopulationSearch
from headstart.tune.space import Configuration


@dataclass
class BayesianGenerations(PopulationSearch):
    """Copies take the configuration from which a Gaussian process expects most, near the parent's own.

    It begins with more members than it keeps: the first generation is a selection among random configurations. The
    model explains gains in score by configuration, time and score before; what it proposes lies in a trust region
    around the parent's configuration, which grows while the best score keeps rising and shrinks while it does not.
    Once it is too small, the search starts again from random configurations, with the trained states kept.

    Wan et al. search architectures as well, with distillation between them; here structure never changes.

    Attributes:
        exploration: standard deviations added to the expected gain.
        candidates: configurations among which the best expected one is taken.
        radius: half the side of the trust region at first, in the unit cube.
        least_radius: below it the search starts again.
        patience: generations without a better best score before the region shrinks; with one, it grows.
    """

    exploration: float = 1.0
    candidates: int = 512
    radius: float = 0.2
    least_radius: float = 0.02
    patience: int = 2

    def __post_init__(self) -> None:
        self._radius, self._best, self._stalled = self.radius, -math.inf, 0
        self._inputs: list[tuple[np.ndarray, float]] = []
        self._times: list[int] = []
        self._gains: list[float] = []
        self._process: TimeVaryingGP | None = None  # of this generation
        super().__post_init__()

    @property
    def size(self) -> int:
        """Members kept after the first generation; the selection among more is paid for by keeping fewer."""
        generations = len(self.ends)
        return max(1, self.task.trials * generations // (generations + 1))

    def _first(self) -> list[Configuration]:
        generations = len(self.ends)
        count = self.task.trials * generations - self.size * (generations - 1)
        drawn = [self.task.space.sample(self._generator) for _ in range(count)]
        return drawn if self.task.default is None else [self.task.default, *drawn[1:]]

    def next_generation(self) -> list[Member]:
        """Remember what the generation gained, move the trust region, then replace as usual."""
        for member in self._members.values():
            gain = member.score - member.before
            if math.isfinite(gain):
                space = self.task.space
                self._inputs.append((space.to_unit(space.clipped(member.step.configuration)), member.before))
                self._times.append(self._generation - 1)
                self._gains.append(gain)
        best = max(member.score for member in self._members.values())
        self._stalled = 0 if best > self._best else self._stalled + 1
        self._best = max(best, self._best)
        if self._stalled == 0:
            self._radius = min(1.5 * self._radius, 0.5)
        elif self._stalled % self.patience == 0:
            self._radius /= 1.5
        self._process = None
        return super().next_generation()

    def explore(self, parent: Member) -> Configuration:
        """What the model expects most of near the parent's configuration; drawn at random before there is a model."""
        space = self.task.space
        if self._radius < self.least_radius:
            self._radius, self._stalled = self.radius, 0
            return space.sample(self._generator)
        middle = space.to_unit(space.clipped(parent.step.configuration))
        moves = self._generator.uniform(-self._radius, self._radius, (self.candidates, len(space)))
        points = np.clip(middle + moves, 0, 1)
        if len(self._gains) < 4:
            return space.from_unit(points[0])
        if self._process is None:
            inputs = np.array([np.append(point, self._standing(before)) for point, before in self._inputs])
            self._process = TimeVaryingGP.fit(inputs, np.array(self._times, np.float64), np.array(self._gains))
        inputs = np.column_stack([points, np.full(len(points), self._standing(parent.score))])
        gain, deviation = self._process.predict(inputs, self._generation)
        chosen = int(np.argmax(gain + self.exploration * deviation))
        self._process = self._process.believing(inputs[chosen], self._generation)
        return space.from_unit(points[chosen])

    def _standing(self, before: float) -> float:
        """A score within the range of all scores that gains were measured from, as 0 to 1."""
        scores = [score for _, score in self._inputs]
        low, high = min(scores), max(scores)
        return (min(max(before, low), high) - low) / (high - low) if high > low else 0.5
