"""Runs the sides of a comparison in turn, each in a process and an environment of its own, and records the numbers."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
THREADS = {"default": {}, "one": ONE_THREAD}


def _stay_on_one_core() -> None:
    """XLA's newer kernels keep a thread for each core that they see, whatever the environment says."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@dataclass(frozen=True)
class Side:
    """One participant: a script under ``workers/`` that prints its report as JSON on its last line.

    Attributes:
        name: what the tables call it.
        environment: folder of its virtual environment, from the root of the project.
        worker: the script.
        task: what the script is to do.
        rival: whether headstart's ratio is taken against it.
    """

    name: str
    environment: str
    worker: str
    task: dict[str, Any] = field(default_factory=dict)

    def measure(self, threads: str) -> dict[str, Any]:
        """One report, from a fresh process.

        Raises:
            SystemExit: the environment is missing, or the worker failed.
        """
        python = ROOT / self.environment / "bin" / "python"
        if not python.exists():
            sys.exit(f"{python} is missing; run benchmarks/peers.sh first")
        inherited = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
        result = subprocess.run(
            [python, ROOT / "benchmarks" / "workers" / self.worker, json.dumps(self.task)],
            env=inherited | THREADS[threads],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            preexec_fn=_stay_on_one_core if threads == "one" else None,
        )
        if result.returncode:
            sys.exit(f"{self.name} failed on {self.task}:\n{result.stderr[-3000:]}")
        return json.loads(result.stdout.strip().splitlines()[-1])


def compare(sides: Sequence[Side], repetitions: int, threads: Sequence[str] = ("default", "one")) -> dict[str, Any]:
    """Measure all sides ``repetitions`` times, one after another, in an order that turns round every time.

    Returns:
        for each side: its task and, for each setting of threads, the rate of every repetition (the median over the
        repetition's windows), the largest memory, and what the worker measured besides; and the load average before
        each repetition.
    """
    outcome: dict[str, Any] = {
        side.name: asdict(side)
        | {"rates": {key: [] for key in threads}, "processor_rates": {key: [] for key in threads}}
        for side in sides
    }
    loads = []
    for repetition in range(repetitions):
        loads.append(round(os.getloadavg()[0], 1))
        turn = [(side, setting) for setting in threads for side in sides]
        for side, setting in turn if repetition % 2 == 0 else reversed(turn):
            report = side.measure(setting)
            kept = outcome[side.name]
            kept["rates"][setting].append(statistics.median(report["per_second"]))
            kept["processor_rates"][setting].append(statistics.median(report["per_processor_second"]))
            kept["peak_memory_mib"] = max(kept.get("peak_memory_mib", 0), report["peak_memory_mib"])
            kept["seconds_before"] = report["seconds_before"]
            kept["versions"] = report["versions"]
            for measure, value in report.get("measures", {}).items():
                kept.setdefault("measures", {}).setdefault(measure, []).append(value)
            print(f"  {side.name:34} {setting:8} {kept['rates'][setting][-1]:9.1f}/s", flush=True)
    return {"sides": list(outcome.values()), "load_average": loads}


def arguments(description: str | None, comparisons: Sequence[str], window: str) -> argparse.Namespace:
    """What the speed comparisons take on the command line.

    Args:
        description: of the module.
        comparisons: titles that ``--only`` accepts.
        window: what the option of that name counts.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--window", type=int, default=500, help=window)
    parser.add_argument("--threads", nargs="+", choices=list(THREADS), default=list(THREADS))
    parser.add_argument("--only", nargs="+", choices=comparisons, default=comparisons, help="the others are kept")
    return parser.parse_args()


def best(side: dict[str, Any]) -> tuple[str, list[float]]:
    """The setting of threads at which a side is fastest, and its rates there."""
    return max(side["rates"].items(), key=lambda item: statistics.median(item[1]))


def ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> list[float]:
    """Our rate over theirs in each repetition, both at their fastest setting of threads."""
    return [a / b for a, b in zip(best(ours)[1], best(theirs)[1], strict=True)]


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def record(name: str, numbers: dict[str, Any]) -> Path:
    """Write ``results/NAME.json``, with the machine and the date; comparisons that were not measured again are kept."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    if path.exists() and "comparisons" in numbers:
        numbers = numbers | {"comparisons": json.loads(path.read_text())["comparisons"] | numbers["comparisons"]}
    facts = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine()}
    path.write_text(json.dumps(facts | numbers, indent=1) + "\n")
    print(f"wrote {path.relative_to(ROOT)}")
    return path
