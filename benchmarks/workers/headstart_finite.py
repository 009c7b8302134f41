"""Episodes a second of headstart's UCBVI, all seeds together."""

from __future__ import annotations

import os
from importlib.metadata import version

from task import Stopwatch, read_task, write_report

from headstart.finite.simulation import simulate
from headstart.finite.ucbvi import UCBVI
from headstart.finite.worlds import random_world

task = read_task()
world = random_world(task["states"], task["actions"], task["horizon"])
threads = 1 if os.environ.get("OMP_NUM_THREADS") == "1" else os.cpu_count() or 1
window = task["seeds"] * task["episodes"]
stopwatch, values = Stopwatch(window), []
for repetition in range(task["repetitions"]):
    seeds = range(repetition * task["seeds"], (repetition + 1) * task["seeds"])
    curves = simulate(UCBVI(), world, task["episodes"], seeds, points=1, threads=threads)
    values.append(curves.optimal - curves.regret.mean() / task["episodes"])
    stopwatch.at((repetition + 1) * window)
report = stopwatch.report(window) | {"mean_value": sum(values) / len(values)}
write_report(report, **{name: version(name) for name in ("headstart", "jax", "equinox")})
