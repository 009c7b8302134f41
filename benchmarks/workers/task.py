"""What every worker is given and gives back. Imports NumPy alone, so that it works in every environment."""

from __future__ import annotations

import json
import resource
import sys
import time
from itertools import pairwise

import numpy as np

OBSERVATIONS, ACTIONS, EPISODE = 17, 6, 1000


def synthetic_data(rows: int) -> dict[str, np.ndarray]:
    """Transitions of HalfCheetah's shapes, in episodes that all end by the time limit.

    ``observations`` are what was acted on; the next observation of a row is the row after it.
    """
    random = np.random.default_rng(0)
    last = np.arange(1, rows + 1) % EPISODE == 0
    return {
        "observations": random.standard_normal((rows, OBSERVATIONS)).astype(np.float32),
        "actions": random.uniform(-0.95, 0.95, (rows, ACTIONS)).astype(np.float32),
        "rewards": random.standard_normal(rows).astype(np.float32),
        "terminations": np.zeros(rows, bool),
        "truncations": last,
    }


class Stopwatch:
    """Seconds by the clock, and of processor time over all threads, at given counts of steps."""

    def __init__(self, window: int):
        self.window, self.start = window, time.perf_counter()
        self.marks: list[tuple[int, float, float]] = []

    def at(self, steps: int) -> None:
        """Note the time if ``steps`` completes a window."""
        if steps % self.window == 0:
            self.marks.append((steps, time.perf_counter(), time.process_time()))

    def report(self, warmup: int) -> dict:
        """Steps per second in each window after ``warmup`` steps."""
        first = next((i for i, (steps, _, _) in enumerate(self.marks) if steps >= warmup), 0)
        kept = self.marks[first:]
        pairs = list(pairwise(kept))
        return {
            "per_second": [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairs],
            "per_processor_second": [(b[0] - a[0]) / (b[2] - a[2]) for a, b in pairs],
            "seconds_before": kept[0][1] - self.start,
        }


def read_task() -> dict:
    """The task that the caller put on the command line."""
    return json.loads(sys.argv[1])


def write_report(report: dict, **versions: str) -> None:
    """Print the report, with this process's largest memory, as the last line."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(report | {"peak_memory_mib": round(memory), "versions": versions}))
