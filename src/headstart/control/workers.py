"""Seeds as processes: on a CPU, one thread each and one process a core beats every other way of sharing cores."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headstart.core.errors import HeadstartError
from headstart.core.progress import progress
from headstart.runs.folder import RunFolder

ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def run_workers(run: RunFolder, seeds: Sequence[int], workers: int, total: int, show_progress: bool) -> None:
    """Train seeds of a recorded run, ``workers`` at a time, each in a process of its own.

    Args:
        run: the run, whose record alone says what to train.
        seeds: which of its seeds.
        workers: processes at a time.
        total: steps in the plan of one seed.
        show_progress: whether to show one bar over all seeds.

    Raises:
        KeyboardInterrupt: asked to stop; the seeds that ran have written their checkpoints.
        HeadstartError: seeds failed (the others are trained to their end first); says which and why.
    """
    waiting, running, done = list(seeds), {}, dict.fromkeys(seeds, 0)
    selector = selectors.DefaultSelector()
    try:
        with progress(f"{run.path.name} ({len(seeds)} seeds)", total * len(seeds), show_progress) as bar:
            while waiting or running:
                while waiting and len(running) < workers:
                    seed = waiting.pop(0)
                    running[seed] = _start(run.path, seed)
                    selector.register(running[seed].stdout, selectors.EVENT_READ, seed)
                for key, _ in selector.select(timeout=1.0):
                    seed, line = key.data, running[key.data].stdout.readline()
                    if line:
                        done[seed] = json.loads(line)["progress"]
                        bar.update(sum(done.values()), f"seeds {', '.join(map(str, sorted(running)))}")
                    else:
                        selector.unregister(key.fileobj)
                        running.pop(seed).wait()
    except BaseException:
        _stop(list(running.values()))
        raise
    failures = []
    for seed in seeds:
        status = run.seed(seed).status()
        if status.state != "finished":
            error = status.error or {"message": _last_words(run.path / f"seed-{seed}" / "log.txt")}
            failures.append(f"seed {seed} {status.state}: {error['message']}")
    if failures:
        raise HeadstartError("\n".join(failures) + f"\n`headstart resume {run.path}` goes on from the last checkpoints")


def _start(path: Path, seed: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "headstart.control.worker", str(path), str(seed)]
    with open(path / f"seed-{seed}" / "log.txt", "a") as log:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | ONE_THREAD,
            text=True,
        )


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Let processes write their checkpoints and end; asked once more meanwhile, they are told to end at once."""
    print(
        "stopping as soon as every seed has written a checkpoint; once more stops at once", file=sys.stderr, flush=True
    )
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.communicate()
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
        raise


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "the process ended without saying why"
