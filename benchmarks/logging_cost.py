"""What logging 1000 scalars a second costs training. ``python -m benchmarks.logging_cost``"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

import numpy as np

from benchmarks.measure import Side, record

TASK = {"rows": 20_000, "method": "iql", "hidden": [128, 128], "batch": 128, "window": 500, "scalars_per_second": 1000}
SIDES = ("1,000 scalars a second", "one log a window")


def cost(often: list[float], seldom: list[float], resamples: int = 20_000) -> list[float]:
    """Percent by which the first rates are below the second, in the median pair; its 95 % bootstrap interval about it.

    Returns:
        lower end, median, upper end.
    """
    costs = 100 * (1 - np.array(often) / np.array(seldom))
    drawn = np.random.default_rng(0).choice(costs, (resamples, len(costs)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return [float(low), float(np.median(costs)), float(high)]


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=50, help="trainings with and without, in one process, in turn")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one training")
    options = parser.parse_args()
    task = TASK | {"seconds": options.seconds, "pairs": options.pairs}
    load = round(os.getloadavg()[0], 1)
    report = Side("headstart", ".venv", "headstart_logging.py", task).measure("one")
    shared = {name: report[name] for name in ("peak_memory_mib", "seconds_before", "versions")}
    sides = [
        asdict(Side(name, ".venv", "headstart_logging.py", task))
        | {key: {"one": rates} for key, rates in side.items()}
        | shared
        for name, side in zip(SIDES, report["sides"], strict=True)
    ]
    rates, processor_rates = ([side[key]["one"] for side in sides] for key in ("rates", "processor_rates"))
    measures = {
        f"cost to training, % (median of {options.pairs} pairs, 95 % interval)": cost(*rates),
        f"cost in processor time, % (median of {options.pairs} pairs, 95 % interval)": cost(*processor_rates),
        **report["measures"],
    }
    for title, values in measures.items():
        print(f"  {title:75} {np.median(values):8.3f} ({min(values):.3f} to {max(values):.3f})")
    numbers = {"sides": sides, "load_average": [load]}
    record("logging_cost", {"unit": "updates/s", "comparisons": {"IQL, offline": numbers}, "measures": measures})


if __name__ == "__main__":
    main()
