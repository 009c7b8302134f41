"""Batches from a dataset many times larger than the memory it may use.

Writes a synthetic dataset of HalfCheetah's shapes into a temporary folder, gathers batches from it as training does
(rows drawn at random over the whole file), reports batches a second, then trains on it by several methods, each in a
process of its own, and on a D4RL file, and records the peaks of resident memory.

    python -m benchmarks.large_dataset --gigabytes 20 --seconds 60 --updates 1000
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from benchmarks.measure import record
from headstart.core.specs import Box, Spec
from headstart.data.folder import Writer, load

SPEC = Spec(Box.uniform((17,), -np.inf, np.inf), Box.uniform((6,), -1.0, 1.0))
ROW_BYTES = 4 * (2 * 17 + 6 + 1) + 2
BLOCK = 100_000
CASES = {
    "td3-bc, own folder": ["td3-bc"],
    "filtered-bc, own folder": ["filtered-bc"],
    "iql weighted by return, own folder": ["iql", "--sampler", "return:1"],
    "td3-bc, D4RL HDF5": ["td3-bc"],
}
"""What is trained for the record; an HDF5 file has half the size, since its converted copy holds twice as much."""


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


def write_hdf5(path: Path, gigabytes: float) -> None:
    """The same transitions as a D4RL file without next observations."""
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((BLOCK, 17), np.float32)
    ends = np.arange(BLOCK) % 1000 == 999
    block = {
        "observations": observations,
        "actions": generator.uniform(-1, 1, (BLOCK, 6)).astype(np.float32),
        "rewards": observations[:, 0],
        "terminals": ends & False,
        "timeouts": ends,
    }
    count = max(1, round(gigabytes * 1e9 / sum(column.nbytes for column in block.values())))
    with h5py.File(path, "w") as file:
        for name, column in block.items():
            written = file.create_dataset(name, (count * BLOCK, *column.shape[1:]), column.dtype)
            for start in range(0, count * BLOCK, BLOCK):
                written[start : start + BLOCK] = column


def peak_of_training(arguments: list[str], folder: Path, updates: int) -> int:
    """Largest resident size, in MiB, of a command that trains in a process of its own."""
    where = {"HEADSTART_CACHE": str(folder / "cache")}
    options = ["--offline-steps", str(updates), "--out", str(folder / "run")]
    command = [sys.executable, "-m", "headstart", "train", *arguments, *options]
    process = subprocess.Popen(command, env=os.environ | where, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    shutil.rmtree(folder / "run", ignore_errors=True)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss // 1024


def record_peaks(folder: Path, gigabytes: float, updates: int) -> None:
    """Train by every case and write ``results/large_dataset.json``; the HDF5 file takes the folder's place on disk."""
    rows = []
    for case, arguments in CASES.items():
        data = folder / "data"
        if case.endswith("HDF5"):
            shutil.rmtree(data)
            data = folder / "data.hdf5"
            write_hdf5(data, gigabytes / 2)
        peak = peak_of_training([*arguments, "--data", str(data)], folder, updates)
        rows.append({"case": case, "gigabytes": gigabytes / 2 if data.suffix else gigabytes, "peak_mib": peak})
        print(rows[-1], flush=True)
    record("large_dataset", {"updates": updates, "peaks": rows})


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
    if free < options.gigabytes * 1.6e9:
        raise SystemExit(f"{options.gigabytes} GB do not fit: {free / 1e9:.0f} GB are free; give another --folder")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        start = time.perf_counter()
        write(Path(folder) / "data", options.gigabytes)
        os.sync()
        print(f"{options.gigabytes} GB written in {time.perf_counter() - start:.0f} s", flush=True)
        measure(Path(folder) / "data", options.seconds, options.batch_size, options.batches_at_once)
        if options.updates:
            record_peaks(Path(folder), options.gigabytes, options.updates)


if __name__ == "__main__":
    main()
