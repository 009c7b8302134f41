"""Batches from a dataset many times larger than the memory it may use.

Writes a synthetic dataset of HalfCheetah's shapes into a temporary folder, gathers batches from it as training does
(rows drawn at random over the whole file), trains on it, and reports batches and updates a second and the peak of
resident memory.

    python benchmarks/large_dataset.py --gigabytes 20 --seconds 60 --updates 1000
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from headstart.core.specs import Box, Spec
from headstart.data.folder import Writer, load

SPEC = Spec(Box.uniform((17,), -np.inf, np.inf), Box.uniform((6,), -1.0, 1.0))
ROW_BYTES = 4 * (2 * 17 + 6 + 1) + 2
BLOCK = 100_000


def write(folder: Path, gigabytes: float) -> None:
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((BLOCK, 17), np.float32)
    actions = generator.uniform(-1, 1, (BLOCK, 6))
    ends = np.arange(BLOCK) % 1000 == 999
    with Writer(folder, SPEC) as writer:
        for _ in range(max(1, round(gigabytes * 1e9 / ROW_BYTES / BLOCK))):
            writer.append(observations, actions, observations[:, 0], observations, ends & False, ends)


def memory() -> tuple[int, int]:
    """Resident memory of this process and its peak, in megabytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) // 1024, int(lines["VmHWM"].split()[0]) // 1024


def measure(folder: Path, seconds: float, batch_size: int, batches_at_once: int) -> None:
    data = load(folder)
    generator = np.random.default_rng(1)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        data.gather(generator.integers(0, len(data), batch_size * batches_at_once))
        count += batches_at_once
    rate = count / (time.perf_counter() - start)
    print(f"{len(data):,} rows: {rate:.0f} batches of {batch_size} a second; resident {memory()[0]} MB", flush=True)
    start = time.perf_counter()
    data.returns_to_go(0.99)
    print(f"returns to go of all rows in {time.perf_counter() - start:.1f} s; peak of resident memory {memory()[1]} MB")


def learn(folder: Path, updates: int) -> None:
    """A method that standardises observations, so that training looks at all of the data first."""
    from headstart.control.trainer import Settings
    from headstart.control.training import train

    start = time.perf_counter()
    settings = Settings(device_megabytes=256, log_every=updates, evaluate_every=updates, checkpoint_every=updates)
    run = train("td3-bc", data=folder, offline_steps=updates, folder=folder.parent / "run", settings=settings)
    seconds = time.perf_counter() - start
    print(f"{updates} updates of td3-bc in {seconds:.0f} s, the look at all data included; peak {memory()[1]} MB")
    assert len(run.metrics())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to gather")
    parser.add_argument("--updates", type=int, default=1000, help="how long to train; 0 not to")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--batches-at-once", type=int, default=50)
    parser.add_argument("--folder", default=None, help="where the temporary folder is made")
    options = parser.parse_args()
    free = shutil.disk_usage(options.folder or tempfile.gettempdir()).free
    if free < options.gigabytes * 1.1e9:
        raise SystemExit(f"{options.gigabytes} GB do not fit: {free / 1e9:.0f} GB are free; give another --folder")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        start = time.perf_counter()
        write(Path(folder) / "data", options.gigabytes)
        os.sync()
        print(f"{options.gigabytes} GB written in {time.perf_counter() - start:.0f} s", flush=True)
        measure(Path(folder) / "data", options.seconds, options.batch_size, options.batches_at_once)
        if options.updates:
            learn(Path(folder) / "data", options.updates)


if __name__ == "__main__":
    main()
