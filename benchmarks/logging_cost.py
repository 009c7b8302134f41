"""What logging 1000 scalars a second costs training. ``python -m benchmarks.logging_cost``"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

import numpy as np

from benchmarks.measure import Side, record

TASK = {"rows": 20_000, "method": "iql", "hidden": [128, 128], "batch": 128, "window": 500, "scalars_per_second": 1000}
SIDES = ("1,000 scalars a second", "one log a window")


def cost(updates: np.ndarray, spent: np.ndarray, resamples: int = 20_000) -> list[float]:
    """Percent by which the first side makes fewer updates in the same time; its 95 % bootstrap interval over calls.

    Args:
        updates: of each side and call; calls of the same number were made one after the other.
        spent: the time that they took.
        resamples: of the calls.

    Returns:
        lower end, estimate, upper end.
    """

    def percent(calls: np.ndarray) -> np.ndarray:
        rates = updates[:, calls].sum(-1) / spent[:, calls].sum(-1)
        return 100 * (1 - rates[0] / rates[1])

    count = updates.shape[1]
    low, high = np.quantile(percent(np.random.default_rng(0).integers(0, count, (resamples, count))), [0.025, 0.975])
    return [float(low), float(percent(np.arange(count))), float(high)]


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="of each training, half a second each")
    options = parser.parse_args()
    task = TASK | {"calls": options.calls}
    load = round(os.getloadavg()[0], 1)
    report = Side("headstart", ".venv", "headstart_logging.py", task).measure("one")
    updates, seconds, processor, scalars, logging = (
        np.array([side[key] for side in report["sides"]])
        for key in ("updates", "seconds", "processor", "scalars", "logging")
    )
    shared = {name: report[name] for name in ("peak_memory_mib", "seconds_before", "versions")}
    parts = np.array_split(np.arange(options.calls), 5)
    sides = [
        asdict(Side(name, ".venv", "headstart_logging.py", task))
        | {
            key: {"one": [float(updates[side, part].sum() / spent[side, part].sum()) for part in parts]}
            for key, spent in (("rates", seconds), ("processor_rates", processor))
        }
        | shared
        for side, name in enumerate(SIDES)
    ]
    interval = f"over {options.calls} calls of each, with its 95 % interval"
    measures = {
        f"cost to training, %, {interval}": cost(updates, seconds),
        f"cost in processor time, %, {interval}": cost(updates, processor),
        "scalars logged a second": [float(scalars[0].sum() / seconds[0].sum())],
        "part of the time of training within `Recorder.log`, %": [float(100 * logging[0].sum() / seconds[0].sum())],
    }
    for title, values in measures.items():
        print(f"  {title:85} {np.median(values):8.3f} ({min(values):.3f} to {max(values):.3f})")
    numbers = {"sides": sides, "load_average": [load]}
    record("logging_cost", {"unit": "updates/s", "comparisons": {"IQL, offline": numbers}, "measures": measures})


if __name__ == "__main__":
    main()
