"""Offline updates a second of ``train``, its metrics logged often or once a window; and the time that logging took."""

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
from headstart.control.training import Settings, offline, train
from headstart.runs.folder import Recorder

task = read_task()
window, folder = task["window"], Path(tempfile.mkdtemp())
data = experience(task["rows"])
spent = {"seconds": 0.0, "processor": 0.0, "scalars": 0}
log = Recorder.log


def timed_log(recorder: Recorder, updates: int, steps: int, phase: str, values: dict) -> None:
    """``Recorder.log``, with its time."""
    start, start_processor = time.perf_counter(), time.process_time()
    log(recorder, updates, steps, phase, values)
    spent["seconds"] += time.perf_counter() - start
    spent["processor"] += time.process_time() - start_processor
    spent["scalars"] += len(values)


def run(updates: int, name: str, log_every: int) -> dict:
    """Train; updates and seconds of training at every window's end, and the seconds of clock and processor in all."""
    spent.update(seconds=0.0, processor=0.0, scalars=0)
    start, start_processor = time.perf_counter(), sum(os.times()[:4])
    finished = train(
        replace(METHODS.get(task["method"])(), batch_size=task["batch"], hidden=tuple(task["hidden"])),
        data=data,
        plan=[offline(updates)],
        folder=folder / name,
        settings=Settings(log_every=log_every, evaluate_every=log_every * 10**9, checkpoint_every=log_every * 10**9),
        show_progress=False,
    )
    seconds, processor = time.perf_counter() - start, sum(os.times()[:4]) - start_processor
    rows = finished.metrics().select("updates", "time").unique().sort("updates").rows()
    return {"seconds": seconds, "processor": processor, "marks": rows[:: max(1, window // log_every)]}


Recorder.log = timed_log
run(2 * window, "compiling", window)
first = run(3 * window, "warmup", window)
(updates_before, before), *_, (updates_after, after) = first["marks"]
pace = (updates_after - updates_before) / (after - before)
scalars = spent["scalars"] / 3  # of a log, of which there were three
log_every = max(1, round(pace * scalars / task["scalars_per_second"])) if task["scalars_per_second"] else window
run(2 * log_every, "compiling-again", log_every)
updates = max(window, round(task["seconds"] * pace / window) * window)
measured = run(updates, "measured", log_every)
begun, *_, last = measured["marks"]
report = {
    "per_second": [(last[0] - begun[0]) / (last[1] - begun[1])],
    "per_processor_second": [updates / measured["processor"]],
    "seconds_before": first["seconds"],
    "measures": {
        "scalars logged a second": round(spent["scalars"] / measured["seconds"], 1),
        "part of the time of training, %": round(100 * spent["seconds"] / measured["seconds"], 3),
        "part of its processor time, %": round(100 * spent["processor"] / measured["processor"], 3),
    },
}
write_report(report, headstart=version("headstart"), jax=jax.__version__)
