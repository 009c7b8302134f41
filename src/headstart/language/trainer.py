"""One seed of a language run: rows to learn from, steps on them, checkpoints; goes on exactly after a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.language.anchors import check_anchors
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.row_files import read_rows, write_rows
from headstart.language.schedules import Scheduled
from headstart.language.snapshots import begin_again, keep_weights
from headstart.runs.checkpoints import Checkpoints
from headstart.runs.folder import Recorder


class RowSource(Protocol):
    """Where the rows of each iteration come from."""

    iterations: int
    steps: int
    """Optimiser steps an iteration."""
    history: str
    """Whether an iteration learns from its own rows ("current") or from all so far ("all")."""
    restart: bool
    """Whether an iteration's learning begins at the initial weights; its rows come from the policy before all the
    same."""

    def rows(self, iteration: int, learner: Learner, folder: Path) -> list[EncodedRow]:
        """Rows of an iteration, counted from 0, prepared; what was done before a kill is in ``folder``."""
        ...

    def own(self, rows: Sequence[EncodedRow], learner: Learner, step: int) -> list[EncodedRow]:
        """The policy's own completions to the prompts of a batch, for methods that learn from them; mostly none."""
        ...


class Trainer:
    """Trains one seed.

    Args:
        learner: the policy and its optimiser.
        source: where rows come from.
        seed: of the order of rows and everything drawn.
        recorder: where metrics and checkpoints go; None in all but the first of several processes.
        folder: of the seed; rows of each iteration are kept below it.
        evaluate: called with the learner after every iteration; its numbers are recorded under ``evaluation/``.
        watch: called with the steps done.
    """

    def __init__(
        self,
        learner: Learner,
        source: RowSource,
        seed: int,
        recorder: Recorder | None,
        folder: Path,
        evaluate: Callable[[Learner], dict[str, float]] | None = None,
        watch: Callable[[int], None] = lambda done: None,
    ):
        self.learner, self.source, self.seed, self.recorder = learner, source, seed, recorder
        self.folder, self.evaluate, self.watch = folder, evaluate, watch
        self.together = learner.processes
        self.iteration, self.done = 0, 0
        self.method, self._saved = learner.method, time.monotonic()

    @property
    def total_steps(self) -> int:
        """Steps of all iterations."""
        return self.source.iterations * self.source.steps

    def run(self) -> None:
        """Go through what is left, from the latest checkpoint on."""
        self._load()
        if self.source.restart and self.learner.steps == 0:
            keep_weights(self.learner, self._initial)
        if self.learner.steps == 0:
            self._evaluate()
        while self.iteration < self.source.iterations:
            self._learn(self._rows())
            self.iteration, self.done = self.iteration + 1, 0
            score = self._evaluate().get("reward")
            if self.iteration == self.source.iterations or self.together.told(partial(self._worth_saving, score)):
                self._save(score)

    def _rows(self) -> list[EncodedRow]:
        found = []
        for iteration in range(self.iteration + 1):
            path = self.folder / "iterations" / f"{iteration:03d}" / "rows.parquet"
            if not self.together.told(path.exists):
                path.parent.mkdir(parents=True, exist_ok=True)
                made = self.source.rows(iteration, self.learner, path.parent)
                self.together.told(partial(write_rows, path, made))
            if iteration == self.iteration or self.source.history == "all":
                found += read_rows(path)
        return found

    @property
    def _initial(self) -> Path:
        return self.folder / "initial.safetensors"

    def _learn(self, rows: list[EncodedRow]) -> None:
        begun = self.iteration * self.source.steps
        check_anchors(rows, begun)
        if self.source.restart:
            self.learner.begun = begun
            if self.iteration and not self.done:
                begin_again(self.learner, self._initial)
        if isinstance(self.method, Scheduled):
            self.learner.method = self.method.at(self.iteration)
        settings = self.learner.training
        order = BatchOrder(rows, settings.batch_size, (self.seed, self.iteration))
        while self.done < self.source.steps:
            batch = order.batch(self.done)
            metrics = self.learner.step(batch, self.source.own(batch, self.learner, self.learner.steps))
            self.done += 1
            ended = self.done == self.source.steps
            if ended or self.learner.steps % settings.log_every == 0:
                self._log(f"iteration-{self.iteration}", metrics)
            if not ended and self.together.told(self._worth_saving):
                self._save()
            self.watch(self.learner.steps)

    def _evaluate(self) -> dict[str, float]:
        if self.evaluate is None:
            return {}
        numbers = self.evaluate(self.learner)
        self._log("evaluation", {f"evaluation/{name}": value for name, value in numbers.items()})
        self._show(getattr(self.evaluate, "samples", []))
        return numbers

    def _log(self, phase: str, metrics: dict[str, float]) -> None:
        if self.recorder is not None:
            self.recorder.log(self.learner.steps, self.iteration, phase, metrics)

    def _show(self, samples: Sequence[dict[str, Any]]) -> None:
        if samples and self.together.first:
            lines = "".join(json.dumps(sample) + "\n" for sample in samples)
            write_atomically(self.folder / "samples" / f"step-{self.learner.steps:08d}.jsonl", lines.encode())

    def _worth_saving(self, score: float | None = None) -> bool:
        """Whether enough time has passed, or no checkpoint scores as much; models are large and rounds short."""
        if time.monotonic() - self._saved >= 60.0 * self.learner.training.checkpoint_minutes:
            return True
        if score is None or self.recorder is None:
            return False
        best = self.recorder.checkpoints.best()
        return best is None or best.score is None or score > best.score

    def _save(self, score: float | None = None) -> None:
        if self.recorder is not None:
            facts = {
                "iteration": self.iteration,
                "done": self.done,
                "metric_rows": self.recorder.metrics.flush(),
                "wing": "language",
            }
            self.recorder.checkpoints.save(self.learner.steps, self.learner.save, facts, score)
        else:
            self.learner.save(None)
        self.together.told(bool)  # the others wait
        self._saved = time.monotonic()

    def _load(self) -> None:
        checkpoint = self.together.told(Checkpoints(self.folder / "checkpoints").latest)
        if self.recorder is not None:
            self.recorder.metrics.truncate_after(0 if checkpoint is None else checkpoint.metadata["metric_rows"])
        if checkpoint is not None:
            self.learner.load(checkpoint.folder)
            self.iteration, self.done = checkpoint.metadata["iteration"], checkpoint.metadata["done"]


class BatchOrder:
    """Which rows each step learns from: passes in shuffled order, or draws by weight if the rows carry one.

    A row's field ``priority`` is its weight; draws are with replacement.
    """

    def __init__(self, rows: Sequence[EncodedRow], batch_size: int, seed: tuple[int, ...]):
        if not rows:
            raise UsageError("there are no rows to learn from")
        self.rows, self.batch_size, self.seed = rows, min(batch_size, len(rows)), seed
        weights = [row.fields.get("priority") for row in rows]
        self.weights = None if None in weights else np.asarray(weights, np.float64) / np.sum(np.asarray(weights))
        self._passes: dict[int, np.ndarray] = {}

    def batch(self, step: int) -> list[EncodedRow]:
        """Rows of a step, counted from 0."""
        if self.weights is not None:
            generator = np.random.default_rng((*self.seed, step))
            return [self.rows[i] for i in generator.choice(len(self.rows), self.batch_size, p=self.weights)]
        positions = range(step * self.batch_size, (step + 1) * self.batch_size)
        return [self.rows[self._pass(position // len(self.rows))[position % len(self.rows)]] for position in positions]

    def _pass(self, number: int) -> np.ndarray:
        if number not in self._passes:
            generator = np.random.default_rng((*self.seed, number))
            self._passes = {key: order for key, order in self._passes.items() if key >= number - 1}
            self._passes[number] = generator.permutation(len(self.rows))
        return self._passes[number]
