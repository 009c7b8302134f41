"""What a search has found so far, derived from its journal: trials, scores, costs, the incumbent, the test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart.tune.journal import Event
from headstart.tune.searcher import Step
from headstart.tune.space import Configuration


@dataclass
class Trial:
    """One trial.

    Attributes:
        step: the latest piece of its training.
        scores: by steps, then by tuning seed; None where training failed.
        errors: why seeds failed.
        spent: steps trained for it, over all seeds, failed attempts included.
        seconds: processor-seconds of its seeds.
    """

    step: Step
    scores: dict[int, dict[int, float | None]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    spent: int = 0
    seconds: float = 0.0

    @property
    def number(self) -> int:
        """Its number, from 0."""
        return self.step.trial

    @property
    def configuration(self) -> Configuration:
        """What it is trained with, at the end."""
        return self.step.configuration

    def score(self, steps: int | None = None) -> float | None:
        """Mean over its tuning seeds at some step, the latest by default; None where one of them failed."""
        known = self.scores.get(self.step.steps if steps is None else steps, {})
        values = [value for value in known.values() if value is not None]
        return float(np.mean(values)) if values and len(values) == len(known) else None


@dataclass
class Retraining:
    """A configuration trained anew on the test seeds.

    Attributes:
        scores: by test seed.
        errors: why seeds failed, which have no score.
        spent: steps trained.
        seconds: processor-seconds.
    """

    scores: dict[int, float] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    spent: int = 0
    seconds: float = 0.0


@dataclass
class History:
    """All of a search.

    Attributes:
        seeds: its tuning seeds.
        full: steps of a whole training.
        trials: by number.
        tests: of the "incumbent" and of the "default" configuration.
    """

    seeds: Sequence[int]
    full: int
    trials: dict[int, Trial] = field(default_factory=dict)
    tests: dict[str, Retraining] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event], seeds: Sequence[int], full: int) -> History:
        """The history that a journal tells."""
        history = cls(tuple(seeds), full)
        for event in events:
            history.apply(event)
        return history

    def apply(self, event: Event) -> None:
        """Take one more event in."""
        if event["event"] == "ask":
            step = Step.from_json(event)
            if step.trial in self.trials:
                self.trials[step.trial].step = step
            else:
                self.trials[step.trial] = Trial(step)
            self.trials[step.trial].scores.setdefault(step.steps, {})
            return
        place: Any
        if event["event"] == "outcome":
            place = self.trials[event["trial"]]
            place.scores[event["steps"]][event["seed"]] = event["score"]
        else:
            place = self.tests.setdefault(event["of"], Retraining())
            if event["score"] is not None:
                place.scores[event["seed"]] = event["score"]
        place.spent += event["spent"]
        place.seconds += event["seconds"]
        if event["error"] is not None:
            place.errors[event["seed"]] = event["error"]

    def waiting(self, step: Step) -> list[int]:
        """Tuning seeds whose outcome of a step is not known yet."""
        known = self.trials[step.trial].scores[step.steps]
        return [seed for seed in self.seeds if seed not in known]

    @property
    def spent(self) -> int:
        """Steps trained while searching, over all trials and seeds."""
        return sum(trial.spent for trial in self.trials.values())

    def state(self, trial: Trial) -> str:
        """ "finished" (whole training), "stopped" (early), "failed" or "running"."""
        if self.waiting(trial.step):
            return "running"
        if trial.score() is None:
            return "failed"
        return "finished" if trial.step.steps == self.full else "stopped"

    def incumbent(self) -> Trial | None:
        """The finished trial with the best score, the earliest of equals; None without any."""
        finished = [trial for trial in self.trials.values() if self.state(trial) == "finished"]
        return max(finished, key=lambda trial: (_number(trial.score()), -trial.number), default=None)


def _number(score: float | None) -> float:
    return -math.inf if score is None else score
