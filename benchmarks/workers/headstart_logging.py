"""Offline updates a second of training, its metrics logged often and seldom in turn; and the time of logging."""

from __future__ import annotations

import os
import tempfile
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

task = read_task()
window, folder = task["window"], Path(tempfile.mkdtemp())
data = experience(task["rows"])
method = replace(METHODS.get(task["method"])(), batch_size=task["batch"], hidden=tuple(task["hidden"]))
spent = {"seconds": 0.0, "scalars": 0}
log = Recorder.log


def timed_log(recorder: Recorder, updates: int, steps: int, phase: str, values: dict) -> None:
    """``Recorder.log``, with its time."""
    start = time.perf_counter()
    log(recorder, updates, steps, phase, values)
    spent["seconds"] += time.perf_counter() - start
    spent["scalars"] += len(values)


def processor_seconds() -> float:
    """Of all threads of this process."""
    return sum(os.times()[:2])


def run(updates: int, name: str, log_every: int) -> dict:
    """Train; updates a second from a window's end on to the end of training, by the clock and by the processor."""
    spent.update(seconds=0.0, scalars=0)
    begun = {}

    def mark(done: int) -> None:
        if done >= window and not begun:
            begun.update(updates=done, clock=time.perf_counter(), processor=processor_seconds(), **spent)

    often = {"log_every": log_every, "evaluate_every": log_every * 10**9, "checkpoint_every": log_every * 10**9}
    parts = resolve(method, None, data, [offline(updates)], Settings(**often), None)
    train_seed(RunFolder.create(folder / name, {}, [0]).seed(0), parts, mark)
    seconds = time.perf_counter() - begun["clock"]
    return {
        "rate": (updates - begun["updates"]) / seconds,
        "processor_rate": (updates - begun["updates"]) / (processor_seconds() - begun["processor"]),
        "scalars": (spent["scalars"] - begun["scalars"]) / seconds,
        "part": 100 * (spent["seconds"] - begun["seconds"]) / seconds,
    }


Recorder.log = timed_log
start = time.perf_counter()
run(2 * window, "compiling", window)
names = spent["scalars"] // 2
pace = run(6 * window, "warm-up", window)["rate"]
often = max(1, round(pace * names / task["scalars_per_second"]))
updates = (1 + max(1, round(task["seconds"] * pace / window))) * window
before = time.perf_counter() - start
turns: dict[int, list[dict]] = {often: [], window: []}
for pair in range(task["pairs"]):
    for log_every in (often, window) if pair % 2 == 0 else (window, often):
        turns[log_every].append(run(updates, f"{pair}-{log_every}", log_every))
report = {
    "sides": [
        {"rates": [turn["rate"] for turn in side], "processor_rates": [turn["processor_rate"] for turn in side]}
        for side in turns.values()
    ],
    "seconds_before": before,
    "measures": {
        "scalars logged a second": [turn["scalars"] for turn in turns[often]],
        "part of the time of training within `Recorder.log`, %": [turn["part"] for turn in turns[often]],
    },
}
write_report(report, headstart=version("headstart"), jax=jax.__version__)
