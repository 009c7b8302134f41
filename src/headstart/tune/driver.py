"""The search itself: asks, has seeds trained, tells; every event goes to the journal before it counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.core.errors import DataError, HeadstartError
from headstart.tune.history import History, Retraining
from headstart.tune.jobs import Job, Outcome, Workers
from headstart.tune.journal import Event, Journal
from headstart.tune.searcher import Schedule, Step
from headstart.tune.setup import Setup

GIVE_UP = 6
"""Trials that may fail before one succeeds."""


class Driver:
    """Drives one search to its end.

    Args:
        folder: of the search.
        setup: what was asked for.
        journal: where events go.
        events: those of earlier processes.
        workers: who trains.
        watch: told the history after every event.

    Raises:
        DataError: the events are not those of this search.
    """

    def __init__(
        self,
        folder: Path,
        setup: Setup,
        journal: Journal,
        events: Sequence[Event],
        workers: Workers,
        watch: Callable[[History], None] = lambda history: None,
    ):
        self.folder, self.setup, self.journal, self.workers, self.watch = folder, setup, journal, workers, watch
        self.history = History(setup.tuning_seeds, setup.full)
        self.searcher = setup.searcher()
        self._steps: dict[int, Step] = {}  # under way, by trial
        self._begun: dict[int, int] = {}  # steps that they had at their beginning
        self._promised: dict[int, int] = {}  # steps that the budget keeps for trials under way
        self._jobs: dict[str, Callable[[Outcome], None]] = {}
        for event in events:
            self._replay(event)

    # -- searching -------------------------------------------------------------------------------------------------

    def search(self) -> None:
        """Search until the budget is spent.

        Raises:
            HeadstartError: trial after trial fails, or none was trained to the end.
        """
        for step in self._steps.values():
            self._submit(step)
        while True:
            while (
                len(self._jobs) < self.workers.capacity and (step := self.searcher.ask(self._affordable())) is not None
            ):
                self._begin(step)
            if not self._jobs:
                break
            self._collect()
        if self.history.incumbent() is None:
            raise HeadstartError(
                f"no trial was trained to the end{self._last_error()}; see {self.folder / 'journal.jsonl'}"
            )

    def _affordable(self) -> float:
        """Steps a seed that the budget has left for a trial that is yet to begin."""
        left = self.setup.budget - self.history.spent - sum(self._promised.values())
        return left / len(self.setup.tuning_seeds)

    def _begin(self, step: Step) -> None:
        self._copy_parent(step)
        self.objective.prepare(self._place(step), step.configuration, self.setup.tuning_seeds)
        self._write({"event": "ask", **step.to_json()})
        self._submit(step)

    def _submit(self, step: Step) -> None:
        for seed in self.history.waiting(step):
            where = {"event": "outcome", "trial": step.trial, "steps": step.steps, "seed": seed}
            name, begun = f"trial {step.trial} to {step.steps}", self._begun[step.trial]
            self._run(name, step.schedule, seed, self._place(step), where, begun)

    def _copy_parent(self, step: Step) -> None:
        """Give a copied trial its parent's state. Without it the trial goes through the parent's schedule itself."""
        if step.parent is None or self._place(step).exists():
            return
        parent, staged = self._place(self.history.trials[step.parent].step), self._place(step).with_suffix(".partial")
        shutil.rmtree(staged, ignore_errors=True)
        self.objective.prepare(staged, step.configuration, self.setup.tuning_seeds)
        for seed in self.setup.tuning_seeds:
            source, target = parent / f"seed-{seed}", staged / f"seed-{seed}"
            if self.objective.progress(source) == step.schedule[-2][0]:
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("lock", ".*"))
        staged.rename(self._place(step))

    # -- testing ---------------------------------------------------------------------------------------------------

    def test(self) -> None:
        """Train the incumbent, and the default to compare it with, on the test seeds; those done are left alone.

        Raises:
            HeadstartError: the incumbent failed with every test seed.
        """
        incumbent = self.history.incumbent()
        assert incumbent is not None
        if not self.setup.test_seeds:
            return
        tested: dict[str, Schedule] = {"incumbent": incumbent.step.schedule}
        if self.setup.compare_default and self.setup.default is not None:
            tested["default"] = ((self.setup.full, self.setup.default),)
        for name, schedule in tested.items():
            known = self.history.tests.setdefault(name, Retraining())
            place = self.folder / "tests" / name
            self.objective.prepare(place, schedule[-1][1], self.setup.test_seeds)
            for seed in self.setup.test_seeds:
                if seed not in known.scores and seed not in known.errors:
                    self._run(f"test of the {name}", schedule, seed, place, {"event": "test", "of": name, "seed": seed})
        while self._jobs:
            self._collect()
        if not self.history.tests["incumbent"].scores:
            raise HeadstartError(f"the incumbent, trial {incumbent.number}, failed with every test seed")

    # -- shared ----------------------------------------------------------------------------------------------------

    @property
    def objective(self):
        """What is trained."""
        return self.setup.objective

    def _place(self, step: Step) -> Path:
        return self.folder / "trials" / f"{step.trial:04d}"

    def _run(self, what: str, schedule: Schedule, seed: int, place: Path, event: Event, begun: int = 0) -> None:
        name, folder = f"{what}, seed {seed}", (place / f"seed-{seed}").absolute()
        # What a process that was killed had trained, and nobody has counted.
        uncounted = max(0, self.objective.progress(folder) - begun)

        def settle(outcome: Outcome) -> None:
            facts = {fact: getattr(outcome, fact) for fact in ("score", "seconds", "attempts", "error")}
            spent = uncounted + outcome.spent
            if outcome.score is not None:
                spent = max(spent, schedule[-1][0] - begun)  # attempts that were lost on another machine included
            self._write(event | facts | {"spent": spent})

        self._jobs[name] = settle
        self.workers.submit(Job(name, self.objective.to_json(), schedule, seed, str(folder)))

    def _collect(self) -> None:
        for outcome in self.workers.wait():
            self._jobs.pop(outcome.job.name)(outcome)
        failed = [trial for trial in self.history.trials.values() if trial.errors]
        if len(failed) >= GIVE_UP and len(failed) == len(self.history.trials):
            raise HeadstartError(f"the first {len(failed)} trials all failed{self._last_error()}")

    def _last_error(self) -> str:
        errors = [error for trial in self.history.trials.values() for error in trial.errors.values()]
        return f"; the last said: {errors[-1]}" if errors else ""

    def _write(self, event: Event) -> None:
        self.journal.write(event)
        self._apply(event)
        self.watch(self.history)

    def _replay(self, event: Event) -> None:
        if event["event"] == "ask":
            step = self.searcher.ask()
            if step != Step.from_json(event):
                raise DataError(
                    f"{self.folder}: trial {event['trial']} of the journal is not what this version of the search "
                    "would ask for; go on with the version that began it"
                )
        self._apply(event)

    def _apply(self, event: Event) -> None:
        """Take an event in: the history, the steps under way, what they may cost, and, at its end, the searcher."""
        if event["event"] == "ask":
            step = Step.from_json(event)
            earlier = self.history.trials.get(step.trial)
            begun = earlier.step.steps if earlier else step.schedule[-2][0] if step.parent is not None else 0
            self._steps[step.trial], self._begun[step.trial] = step, begun
            self._promised[step.trial] = (max(step.steps, step.reserve) - begun) * len(self.setup.tuning_seeds)
        self.history.apply(event)
        if event["event"] != "outcome":
            return
        trial = event["trial"]
        self._promised[trial] = max(0, self._promised[trial] - event["spent"])
        if not self.history.waiting(self._steps[trial]):
            step = self._steps.pop(trial)
            del self._promised[trial], self._begun[trial]
            self.searcher.tell(step, self.history.trials[trial].score(step.steps))
