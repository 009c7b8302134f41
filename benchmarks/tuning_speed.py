"""How much faster two workers search than one, on the same trials. ``python -m benchmarks.tuning_speed``"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.measure import record
from headstart.control.sac import SAC
from headstart.control.trainer import Settings
from headstart.tune.tuning import Execution, tune


def search(workers: int, steps: int, trials: int) -> float:
    """Seconds that a random search of SAC on the pendulum takes, processes and compilation included."""
    settings = Settings(log_every=steps // 4, evaluate_every=steps, checkpoint_every=steps)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        tune(
            SAC(hidden=(64, 64), batch_size=64),
            world="pendulum",
            space=["learning_rate", "discount"],
            sampler="random",
            trials=trials,
            tuning_seeds=(0, 1),
            test_seeds=(),
            online_steps=steps,
            settings=settings,
            folder=Path(folder) / "search",
            execution=Execution(workers=workers, quiet=True),
        )
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--trials", type=int, default=4)
    given = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    loads = []
    for repetition in range(given.repetitions):
        loads.append(round(os.getloadavg()[0], 1))
        for workers in (1, 2) if repetition % 2 == 0 else (2, 1):
            seconds[workers].append(round(search(workers, given.steps, given.trials), 2))
            print(f"{workers} workers: {seconds[workers][-1]} s", flush=True)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    print(f"two workers are {statistics.median(ratios):.2f} times as fast as one")
    measures = {f"{workers} worker{'s' * (workers > 1)}, seconds": values for workers, values in seconds.items()}
    record("tuning_speed", {"measures": measures | {"one over two": ratios, "load average": loads}})


if __name__ == "__main__":
    main()
