"""Ten thousand recorded runs: listed, filtered, plotted, and what that takes. ``python -m benchmarks.run_index``"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT, record
from headstart.control.configuration import method_to_json
from headstart.control.registry import METHODS
from headstart.runs.folder import RunFolder

METHOD_NAMES = ("iql", "td3-bc", "cql", "wsrl", "sac")
WORLDS = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Ant-v5")
SEEDS, EVALUATIONS = 3, 50
QUESTIONS = {
    "list all": ["runs", "--format", "csv"],
    "filter by a field and by world": [
        "runs",
        "--where",
        "discount=0.99",
        "world=Hopper*",
        "last_return>500",
        "--format",
        "csv",
    ],
    "mean by method, in SQL": [
        "runs",
        "--sql",
        "SELECT method, avg(last_return) FROM runs GROUP BY method",
        "--format",
        "csv",
    ],
}


PLOT = "plot all: curves, aggregates, profiles, the page"


def make(folder: Path, count: int) -> None:
    """Write ``count`` runs of realistic size: one whole by the library, the others like it with other numbers."""
    random = np.random.default_rng(0)
    config = {"method": method_to_json(METHODS.get("wsrl")()), "world": {"name": "", "source": ""}, "data": None}
    template = RunFolder.create(folder / "template", config, list(range(SEEDS)))
    for seed in template.seed_folders():
        with seed.record() as recorder:
            for step in range(EVALUATIONS):
                values = {f"loss/{name}": step for name in range(8)} | {"evaluation/return": float(step)}
                recorder.log(1000 * step, 1000 * step, "online", values)
    run = json.loads((template.path / "run.json").read_text())
    for number in range(count):
        path = folder / f"group-{number % 100}" / f"run-{number}"
        shutil.copytree(template.path, path)
        method = METHOD_NAMES[number % len(METHOD_NAMES)]
        run["config"]["method"] = method_to_json(METHODS.get(method)())
        run["config"]["world"]["name"] = WORLDS[number // len(METHOD_NAMES) % len(WORLDS)]
        run["created"] = 1.7e9 + number
        (path / "run.json").write_text(json.dumps(run))
        for seed in range(SEEDS):
            status = json.loads((path / f"seed-{seed}" / "status.json").read_text())
            status["last"] = {"evaluation/return": float(random.normal(1000, 300))}
            (path / f"seed-{seed}" / "status.json").write_text(json.dumps(status))
    shutil.rmtree(template.path)


def ask(folder: Path, cache: Path, question: list[str]) -> tuple[float, float]:
    """Seconds from start to end of the command, and its largest resident memory in MiB."""
    start = time.perf_counter()
    command = [ROOT / ".venv" / "bin" / "headstart", *question[:1], folder, *question[1:]]
    environment = os.environ | {"HEADSTART_CACHE": str(cache)}
    program = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, command)], env=environment, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, int(result.stdout) / 1024


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    commands: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name) / "runs", Path(name) / "cache"
        make(folder, options.runs)
        title = f"{options.runs:,} runs"
        questions = QUESTIONS | {PLOT: ["plot", "--metric", "evaluation/return", "--out", str(Path(name) / "all")]}
        peak = 0.0
        for question in ("list all", PLOT):
            seconds, memory = ask(folder, cache, questions[question])
            commands[f"{title}: {question}, for the first time"] = [round(seconds, 3)]
            peak = max(peak, memory)
        for _ in range(options.repetitions):
            for question, arguments in questions.items():
                seconds, memory = ask(folder, cache, arguments)
                peak = max(peak, memory)
                commands.setdefault(f"{title}: {question}", []).append(round(seconds, 3))
    for title, values in commands.items():
        print(f"  {title:75} {np.median(values):.2f} s")
    print(f"  memory {peak:.0f} MiB")
    record("run_index", {"commands": commands, "peak_memory_mib": round(peak)})


if __name__ == "__main__":
    main()
