"""Two trainings that take turns within one process, call by call, one logged often and one seldom; what logging costs.

A call lasts half a second, so that both meet the same moods of the machine.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import jax
from headstart_data import experience
from task import read_task, write_report

from headstart.control.registry import METHODS
from headstart.control.resolving import resolve
from headstart.control.training import Settings, offline, train_seed
from headstart.runs.folder import Recorder, RunFolder

SETTLING = 15
"""First calls of a training, which compile and find out how long calls take."""

task = read_task()
folder = Path(tempfile.mkdtemp())
data = experience(task["rows"])
method = replace(METHODS.get(task["method"])(), batch_size=task["batch"], hidden=tuple(task["hidden"]))
log = Recorder.log


class EnoughError(Exception):
    """All calls have been measured."""


class Training(threading.Thread):
    """One of the trainings. Each call is noted: updates, seconds, processor seconds, scalars, seconds of logging."""

    turn = 0
    changed = threading.Condition()

    def __init__(self, number: int, log_every: int, calls: int, others: int):
        super().__init__()
        self.number, self.log_every, self.calls, self.others = number, log_every, calls, others
        self.noted: list[tuple[float, ...]] = []
        self.done, self.scalars, self.logging = 0, 0, 0.0

    def run(self) -> None:
        """Train until all calls are noted."""
        whole = {"evaluate_every": self.log_every * 10**9, "checkpoint_every": self.log_every * 10**9}
        parts = resolve(method, None, data, [offline(10**9)], Settings(log_every=self.log_every, **whole), None)
        seed = RunFolder.create(folder / f"{self.number}-{self.log_every}-{self.calls}", {}, [0]).seed(0)
        self.await_turn()
        try:
            train_seed(seed, parts, self.watch)
        except EnoughError:
            self.pass_on()

    def watch(self, done: int) -> None:
        """A call has ended."""
        seconds, processor = time.perf_counter() - self.began, time.process_time() - self.began_processor
        self.noted.append((done - self.done, seconds, processor, self.scalars, self.logging))
        self.done, self.scalars, self.logging = done, 0, 0.0
        if len(self.noted) == self.calls:
            raise EnoughError
        self.pass_on()
        self.await_turn()

    def await_turn(self) -> None:
        """Begin when the other has ended its call."""
        with Training.changed:
            Training.changed.wait_for(lambda: Training.turn == self.number)
        self.began, self.began_processor = time.perf_counter(), time.process_time()

    def pass_on(self) -> None:
        """Let the other go on."""
        with Training.changed:
            Training.turn = (self.number + 1) % self.others
            Training.changed.notify_all()


def timed_log(recorder: Recorder, updates: int, steps: int, phase: str, values: dict) -> None:
    """``Recorder.log``, with its time."""
    start = time.perf_counter()
    log(recorder, updates, steps, phase, values)
    training = threading.current_thread()
    assert isinstance(training, Training)
    training.logging += time.perf_counter() - start
    training.scalars += len(values)


def train(log_every: list[int], calls: int) -> list[list[tuple[float, ...]]]:
    """Train at the same time, in turns; what was noted of each once it had settled."""
    Training.turn = 0
    trainings = [Training(number, every, SETTLING + calls, len(log_every)) for number, every in enumerate(log_every)]
    for training in trainings:
        training.start()
    for training in trainings:
        training.join()
    return [training.noted[SETTLING:] for training in trainings]


start = time.perf_counter()
Recorder.log = timed_log
(alone,) = train([task["window"]], 4)
updates, seconds, _, scalars, _ = map(sum, zip(*alone, strict=True))
names = scalars * task["window"] / updates
often = max(1, round(updates / seconds * names / task["scalars_per_second"]))
before = time.perf_counter() - start
report = {
    "sides": [
        {"updates": updates, "seconds": seconds, "processor": processor, "scalars": scalars, "logging": logging}
        for updates, seconds, processor, scalars, logging in (
            zip(*noted, strict=True) for noted in train([often, task["window"]], task["calls"])
        )
    ],
    "seconds_before": before,
}
write_report(report, headstart=version("headstart"), jax=jax.__version__)
