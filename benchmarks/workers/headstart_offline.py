"""Offline updates a second of headstart, by ``train``: one seed in this process, or many with a process each."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import jax
from headstart_data import experience
from task import read_task, write_report

from headstart.control.registry import METHODS
from headstart.control.training import Settings, offline, train
from headstart.data.experience import Experience

task = read_task()
window, folder = task["window"], Path(tempfile.mkdtemp())


def run(updates: int, name: str, seeds: int = 1, data: Experience | Path | None = None) -> dict:
    """Train for ``updates``; the time of every window, and the seconds of clock and processor in all."""
    settings = Settings(log_every=window, evaluate_every=window * 10**6, checkpoint_every=window * 10**6)
    start, start_processor = time.perf_counter(), sum(os.times()[:4])
    finished = train(
        replace(METHODS.get(task["method"])(), batch_size=256, hidden=(256, 256), **task.get("options", {})),
        data=data,
        plan=[offline(updates)],
        seeds=seeds,
        folder=folder / name,
        settings=settings,
        show_progress=False,
    )
    seconds, processor = time.perf_counter() - start, sum(os.times()[:4]) - start_processor
    rows = finished.metrics().select("updates", "time").unique().sort("updates").rows()
    return {"seconds": seconds, "processor": processor, "marks": rows}


data = experience(task["rows"])
if task.get("seeds", 1) == 1:
    first = run(task["warmup"], "warmup", data=data)
    measured = run(task["updates"], "measured", data=data)
    marks = measured["marks"]
    report = {
        "per_second": [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(marks)],
        "per_processor_second": [task["updates"] / measured["processor"]],
        "seconds_before": first["seconds"],
    }
else:
    # Two lengths: what both have in common, starting and compiling, drops out of the difference.
    data.save(folder / "data")
    short = run(task["warmup"], "short", task["seeds"], folder / "data")
    long = run(task["updates"], "long", task["seeds"], folder / "data")
    more = task["seeds"] * (task["updates"] - task["warmup"])
    report = {
        "per_second": [more / (long["seconds"] - short["seconds"])],
        "per_processor_second": [more / (long["processor"] - short["processor"])],
        "seconds_before": short["seconds"],
    }
write_report(report, headstart=version("headstart"), jax=jax.__version__)
