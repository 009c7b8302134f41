"""``tune``: search a method's hyper-parameters on some seeds, and test what was chosen on others."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.files import write_json
from headstart.core.progress import progress
from headstart.evaluate.statistics import Interval, mean, stratified_bootstrap
from headstart.runs import provenance
from headstart.runs.naming import fresh_folder
from headstart.tune.driver import Driver
from headstart.tune.history import History, Trial
from headstart.tune.journal import Journal, read_journal
from headstart.tune.objective import FunctionObjective, TrainingObjective
from headstart.tune.setup import SamplerName, Setup
from headstart.tune.space import Configuration, Space, space_of


@dataclass(frozen=True)
class Execution:
    """Where and how trials are carried out; it changes no result."""

    workers: int | None = None
    """Seeds that train at the same time; one for each core (or processor of the Ray cluster) by default."""
    ray: str | None = None
    """Address of a Ray cluster to train on, HOST:PORT or auto; by default processes of this machine."""
    hang_seconds: float = 1800.0
    """A seed that makes no progress for so long is given up."""
    memory_megabytes: int | None = None
    """A seed whose process takes more memory is given up; no limit by default. Ray sets limits of its own."""
    quiet: bool = False
    """Show no progress bars."""


@dataclass(frozen=True)
class Tuning:
    """A recorded search.

    Attributes:
        folder: where it is: ``tuning.json``, ``journal.jsonl``, ``trials/`` and ``tests/`` (each a run).
        setup: what was asked for.
        history: what was found so far.
    """

    folder: Path
    setup: Setup
    history: History

    @classmethod
    def open(cls, folder: Path | str) -> Tuning:
        """The search in a folder, finished or not.

        Raises:
            UsageError: there is none.
            DataError: its record is damaged.
        """
        folder = Path(folder)
        setup = Setup.open(folder)
        events = read_journal(folder / "journal.jsonl")
        return cls(folder, setup, History.of(events, setup.tuning_seeds, setup.full))

    @property
    def incumbent(self) -> Trial | None:
        """The trial that scored best on the tuning seeds; None while none is finished."""
        return self.history.incumbent()

    @property
    def tuning_scores(self) -> Float[np.ndarray, " seeds"]:
        """The incumbent's scores on the tuning seeds, by which it was chosen; empty while there is none."""
        if self.incumbent is None:
            return np.empty(0)
        scores = self.incumbent.scores[self.setup.full]
        return np.array([scores[seed] for seed in self.setup.tuning_seeds], np.float64)

    def test_scores(self, of: Literal["incumbent", "default"] = "incumbent") -> Float[np.ndarray, " seeds"]:
        """Scores of the incumbent or the default on the test seeds, trained anew; seeds that failed are left out."""
        tested = self.history.tests.get(of)
        known = {} if tested is None else tested.scores
        return np.array([known[seed] for seed in self.setup.test_seeds if seed in known], np.float64)

    @property
    def gap(self) -> Interval | None:
        """Tuning minus test score of the incumbent: how much the search fooled itself. Means, with 95 % bounds."""
        return difference(self.tuning_scores, self.test_scores())

    @property
    def gain(self) -> Interval | None:
        """Test score of the incumbent minus that of the default configuration. Means, with 95 % bounds."""
        return difference(self.test_scores(), self.test_scores("default"))


def difference(a: Float[np.ndarray, " a"], b: Float[np.ndarray, " b"]) -> Interval | None:
    """Mean of ``a`` minus mean of ``b``, with 95 % bootstrap bounds, both resampled; None where one is empty."""
    if not len(a) or not len(b):
        return None
    return stratified_bootstrap((a, b), lambda a, b: mean(a) - mean(b))


def tune(
    method: Any,
    *,
    world: str,
    data: str | Path | None = None,
    space: Space | Sequence[str] = (),
    sampler: SamplerName = "tpe",
    pruner: Literal["none", "halving", "median"] = "none",
    trials: int = 16,
    tuning_seeds: Sequence[int] = (0, 1, 2),
    test_seeds: Sequence[int] = tuple(range(10, 20)),
    seed: int = 0,
    metric: str = "evaluation/return",
    minimize: bool = False,
    compare_default: bool = True,
    folder: Path | str | None = None,
    settings: Any = None,
    plan: Sequence[Any] | None = None,
    init_from: Path | str | None = None,
    execution: Execution | None = None,
    **steps: Any,
) -> Tuning:
    """Search a method's hyper-parameters, and train what was chosen anew on seeds that the search never saw.

    Args:
        method: a method or its name; fields that are not searched stay as they are, and its own values of those that
            are searched are tried first.
        world: name of the world to evaluate in, and to act in where the plan does.
        data: name or path of the data to learn from.
        space: what to search, or entries for ``space_of``; by default everything with a known range.
        sampler: see ``SAMPLERS``.
        pruner: how random, tpe and cmaes stop unpromising trials early.
        trials: the budget: steps of so many whole trials on all tuning seeds. Whoever stops trials early looks at more
            configurations for it.
        tuning_seeds: seeds that configurations are compared by.
        test_seeds: seeds that the incumbent is tested with. They must not overlap.
        seed: of the search itself.
        metric: what is searched for, of the last evaluation.
        minimize: whether less of it is better.
        compare_default: whether the method as given is trained on the test seeds too.
        folder: where the search is recorded; under ``tunings/`` by default.
        settings: the trainer's.
        plan: phases of a whole training; by default those of ``train``, which ``steps`` can set.
        init_from: a run whose policies training starts from.
        execution: where and how trials are carried out.

    Raises:
        UsageError: something cannot work; nothing has been written.
    """
    from headstart.control.configuration import method_to_json
    from headstart.control.plan import check_plan, plan_to_json
    from headstart.control.registry import METHODS
    from headstart.control.trainer import Settings
    from headstart.control.training import default_plan

    method = METHODS.get(method)() if isinstance(method, str) else method
    if world is None:
        raise UsageError("there is no world to evaluate in; a search compares greedy episodes, so give a world")
    settings = settings or Settings()
    if plan is None:
        plan = default_plan(method, has_data=data is not None, has_world=True, **steps)
    check_plan(plan, data is not None, True, settings.worlds)
    if settings.evaluate_every % settings.log_every or settings.checkpoint_every % settings.log_every:
        raise UsageError(
            f"evaluate_every {settings.evaluate_every} and checkpoint_every {settings.checkpoint_every} "
            f"must be multiples of log_every {settings.log_every}"
        )
    space = space if isinstance(space, Space) else space_of(method, space)
    objective = TrainingObjective(
        method_to_json(method),
        world,
        None if data is None else str(data),
        plan_to_json(plan),
        asdict(settings),
        metric,
        minimize,
        None if init_from is None else str(Path(init_from).resolve()),
    )
    setup = Setup(
        objective=objective,
        space=space,
        sampler=sampler,
        pruner=pruner,
        trials=trials,
        tuning_seeds=tuple(tuning_seeds),
        test_seeds=tuple(test_seeds),
        default={name: getattr(method, name) for name in space.domains},
        full=objective.full,
        points=objective.points,
        seed=seed,
        compare_default=compare_default,
    )
    about = (method.name, world, Path(str(data)).name if data else None)
    return run_search(setup, folder or fresh_folder("tunings", *about), execution or Execution())


def tune_function(
    function: str,
    space: Space,
    *,
    sampler: SamplerName = "tpe",
    pruner: Literal["none", "halving", "median"] = "none",
    trials: int = 16,
    tuning_seeds: Sequence[int] = (0, 1, 2),
    test_seeds: Sequence[int] = tuple(range(10, 20)),
    seed: int = 0,
    full: int = 1,
    points: Sequence[int] | None = None,
    default: Configuration | None = None,
    folder: Path | str,
    execution: Execution | None = None,
) -> Tuning:
    """Search the arguments of any function that can be imported; see ``FunctionObjective`` for what it is given.

    Args:
        function: ``module:function``.
        space: where to look.
        full: steps of a whole training.
        points: steps at which it can be stopped and scored; by default only ``full``.
        default: the configuration to try first, and to compare with.
        folder: where the search is recorded.
        sampler, pruner, trials, tuning_seeds, test_seeds, seed, execution: as for ``tune``.
    """
    setup = Setup(
        objective=FunctionObjective(function),
        space=space,
        sampler=sampler,
        pruner=pruner,
        trials=trials,
        tuning_seeds=tuple(tuning_seeds),
        test_seeds=tuple(test_seeds),
        default=default,
        full=full,
        points=tuple(points or (full,)),
        seed=seed,
    )
    return run_search(setup, folder, execution or Execution())


def run_search(setup: Setup, folder: Path | str, execution: Execution) -> Tuning:
    """Begin a search in a new folder and carry it out.

    Raises:
        UsageError: the folder exists, or something cannot work; nothing has been written.
    """
    folder = Path(folder)
    setup.check()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} exists already; choose another folder, or go on with `headstart tune resume {folder}`"
        )
    workers = _workers(folder, execution)  # an address that does not answer is found out before anything is written
    record = {"setup": setup.to_json(), "created": time.time(), "provenance": provenance.collect()}
    write_json(folder / "tuning.json", record)
    return _drive(folder, setup, execution, workers)


def resume_search(folder: Path | str, execution: Execution | None = None) -> Tuning:
    """Go on with a search that was stopped or killed; what is done is not done again.

    Raises:
        UsageError: there is none, or it is being carried out.
        DataError: its record is damaged, or another version's.
    """
    folder, execution = Path(folder), execution or Execution()
    setup = Setup.open(folder)
    return _drive(folder, setup, execution, _workers(folder, execution))


def _workers(folder: Path, execution: Execution) -> Any:
    if execution.workers is not None and execution.workers < 1:
        raise UsageError(f"workers {execution.workers}: give at least one")
    if execution.ray is not None:
        from headstart.tune.ray_workers import RayWorkers

        return RayWorkers(execution.ray, execution.workers, execution.hang_seconds)
    from headstart.tune.local_workers import LocalWorkers

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    logs = folder / "logs"
    return LocalWorkers(execution.workers or cores, logs, execution.hang_seconds, execution.memory_megabytes)


def _drive(folder: Path, setup: Setup, execution: Execution, workers: Any) -> Tuning:
    journal = Journal(folder / "journal.jsonl")
    try:
        with progress(f"{folder.name} ({setup.trials} trials)", setup.budget, not execution.quiet) as bar:

            def watch(history: History) -> None:
                best = history.incumbent()
                note = f"trial {max(history.trials)}" if history.trials else ""
                bar.update(history.spent, note + (f", best {best.score():.4g}" if best else ""))

            driver = Driver(folder, setup, journal, read_journal(folder / "journal.jsonl"), workers, watch)
            driver.search()
            driver.test()
    finally:
        workers.close()
        journal.close()
    return Tuning.open(folder)
