"""Random search, TPE and CMA-ES, by Optuna; unpromising trials may be stopped early, by Optuna's pruners."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from headstart.core.domain import Choice
from headstart.core.errors import UsageError
from headstart.tune.searcher import Searcher, Step
from headstart.tune.space import Configuration

Sampler = Literal["random", "tpe", "cmaes"]
Pruner = Literal["none", "halving", "median"]
ETA = 3
"""Of the trials that reach a rung, one in so many goes on (Hyperband's choice)."""


@dataclass
class SampledSearch(Searcher):
    """Whole configurations are drawn one after another; each is trained alone.

    Attributes:
        sampler: "random", "tpe" (Bergstra et al., 2011), or "cmaes" (Hansen, 2016).
        pruner: "none"; "halving" stops a trial at a rung unless it is in the best third of those that got there
            (asynchronous successive halving, Li et al., 2020); "median" stops what is below the median of earlier ones.
    """

    sampler: Sampler = "tpe"
    pruner: Pruner = "none"

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name="search", direction="maximize", sampler=self._make_sampler(), pruner=self._make_pruner()
            )
        self._rungs = self.rungs()
        self._distributions = {name: self._distribution(name) for name in self.task.space.domains}
        self._running: dict[int, optuna.Trial | None] = {}  # None for a trial whose values the space does not hold
        self._going_on: list[Step] = []
        self._worst: float | None = None

    def rungs(self) -> list[int]:
        """Steps at which trials are looked at; the last is the whole training.

        Raises:
            UsageError: trials are to be stopped early, but are evaluated at their end only.
        """
        if self.pruner == "none":
            return [self.task.full]
        rungs = sorted({self.task.point_near(self.task.full / ETA**power) for power in range(3)})
        if len(rungs) < 2:
            raise UsageError(
                f"pruner {self.pruner} needs evaluations before the end, but trials of {self.task.full} steps are "
                f"evaluated at {list(self.task.points)} only; give a smaller evaluate_every"
            )
        return rungs

    def ask(self, affordable: float = math.inf) -> Step | None:
        """The next rung of a trial that goes on, else a new trial, if it can be paid for to its end."""
        if self._going_on:
            return self._going_on.pop(0)
        if affordable < self.task.full:
            return None
        number = self._next_trial()
        if number == 0 and self.task.default is not None:
            configuration = self.task.default
            self._running[number] = self._enqueue(configuration)
        else:
            trial = self._study.ask(self._distributions)
            configuration = self._configuration(trial.params)
            self._running[number] = trial
        return Step(number, ((self._rungs[0], configuration),), reserve=self.task.full)

    def tell(self, step: Step, score: float | None) -> None:
        """Report to Optuna; a trial that is not stopped goes on to its next rung. A failure counts as the worst."""
        trial = self._running[step.trial]
        if score is None:
            self._finish(trial, self._worst)
            return
        self._worst = score if self._worst is None else min(self._worst, score)
        rung = self._rungs.index(step.steps)
        if rung + 1 == len(self._rungs):
            self._finish(trial, score)
            return
        if trial is not None:
            trial.report(score, ETA**rung)
            if trial.should_prune():
                self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return
        self._going_on.append(Step(step.trial, ((self._rungs[rung + 1], step.configuration),), reserve=self.task.full))

    def _finish(self, trial: optuna.Trial | None, score: float | None) -> None:
        if trial is None:
            return
        if score is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, score)

    def _enqueue(self, configuration: Configuration) -> optuna.Trial | None:
        space = self.task.space
        if not all(domain.contains(configuration[name]) for name, domain in space.domains.items()):
            return None
        point = dict(zip(space.domains, space.to_unit(configuration)))
        values = {name: self._as_parameter(name, unit, configuration) for name, unit in point.items()}
        self._study.enqueue_trial(values)
        return self._study.ask(self._distributions)

    # Every domain is given to Optuna as the unit interval; choices keep their kind where the sampler knows it.

    def _categorical(self, name: str) -> bool:
        return isinstance(self.task.space.domains[name], Choice) and self.sampler != "cmaes"

    def _distribution(self, name: str) -> BaseDistribution:
        domain = self.task.space.domains[name]
        if isinstance(domain, Choice) and self._categorical(name):
            return CategoricalDistribution(list(range(len(domain.values))))
        return FloatDistribution(0.0, 1.0)

    def _as_parameter(self, name: str, unit: float, configuration: Configuration) -> Any:
        domain = self.task.space.domains[name]
        if isinstance(domain, Choice) and self._categorical(name):
            return domain.values.index(configuration[name])
        return float(unit)

    def _configuration(self, parameters: dict[str, Any]) -> Configuration:
        return {
            name: domain.values[parameters[name]]
            if isinstance(domain, Choice) and self._categorical(name)
            else domain.from_unit(parameters[name])
            for name, domain in self.task.space.domains.items()
        }

    def _make_sampler(self) -> optuna.samplers.BaseSampler:
        seed, start = self.task.seed, max(1, min(10, self.task.trials // 3))
        if self.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if self.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=start, multivariate=True, constant_liar=True)
        return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=1)

    def _make_pruner(self) -> optuna.pruners.BasePruner:
        if self.pruner == "halving":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA)
        if self.pruner == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=3)
        return optuna.pruners.NopPruner()
