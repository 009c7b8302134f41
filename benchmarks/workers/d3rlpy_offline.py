"""Offline updates a second of d3rlpy, by its own ``fit`` with logging off."""

from __future__ import annotations

from itertools import chain

import d3rlpy
import torch
from task import Stopwatch, read_task, synthetic_data, write_report

task = read_task()
data = synthetic_data(task["rows"])
dataset = d3rlpy.dataset.MDPDataset(
    data["observations"], data["actions"], data["rewards"], data["terminations"], data["truncations"]
)

# Two critics, hidden 256x256, batch 256 and Adam are d3rlpy's defaults for all three; 10 actions of each kind for CQL.
common = {"batch_size": 256, "compile_graph": task.get("compile", False)} | task.get("options", {})
configurations = {
    "iql": lambda: d3rlpy.algos.IQLConfig(**common),
    "td3-bc": lambda: d3rlpy.algos.TD3PlusBCConfig(**common),
    "cql": lambda: d3rlpy.algos.CQLConfig(n_action_samples=10, **common),
}


def fit() -> dict:
    """One whole run of a new learner."""
    learner = configurations[task["method"]]().create(device="cpu:0")
    stopwatch = Stopwatch(task["window"])
    learner.fit(
        dataset,
        n_steps=task["updates"],
        n_steps_per_epoch=task["window"],
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
        save_interval=10**9,
        callback=lambda learner, epoch, step: stopwatch.at(step),
    )
    return stopwatch.report(task["warmup"])


reports = [fit() for _ in range(task.get("runs", 1))]
rates = ("per_second", "per_processor_second")
write_report(
    {name: list(chain.from_iterable(report[name] for report in reports)) for name in rates}
    | {"seconds_before": reports[0]["seconds_before"], "threads": torch.get_num_threads()},
    d3rlpy=d3rlpy.__version__,
    torch=torch.__version__,
)
