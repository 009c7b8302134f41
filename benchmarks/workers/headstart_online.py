"""Environment steps a second of headstart, by ``train`` in one world."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from headstart_data import experience
from task import read_task, write_report

from headstart.control.registry import METHODS
from headstart.control.training import Settings, online, train, warmup

task = read_task()
window, mixing = task["window"], task.get("data_ratio", 0.0)
method = replace(METHODS.get(task["method"])(), batch_size=256, hidden=(256, 256))

start, start_processor = time.perf_counter(), time.process_time()
run = train(
    method,
    world=task["world"],
    data=experience(task["rows"]) if mixing else None,
    plan=[
        warmup(task["learning_starts"], "random"),
        online(task["steps"] - task["learning_starts"], task.get("updates_per_step", 1), mixing),
    ],
    folder=Path(tempfile.mkdtemp()) / "run",
    settings=Settings(
        log_every=window, evaluate_every=window * 10**6, checkpoint_every=window * 10**6, evaluate_episodes=1
    ),
    show_progress=False,
)
processor = time.process_time() - start_processor

table = run.metrics().filter(~run.metrics()["name"].str.starts_with("evaluation/"))
marks = table.group_by("environment_steps").agg(table["time"].min()).sort("environment_steps").rows()
kept = [mark for mark in marks if mark[0] >= task["warmup"]]
write_report(
    {
        "per_second": [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(kept)],
        "per_processor_second": [task["steps"] / processor],
        "seconds_before": kept[0][1],
    },
    **{name: version(name) for name in ("headstart", "jax", "gymnasium", "mujoco")},
)
