"""How soon the program answers, and how soon it learns. ``python -m benchmarks.startup``"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ROOT, record

sys.path.insert(0, str(ROOT / "benchmarks" / "workers"))
from headstart_data import experience

BIN = ROOT / ".venv" / "bin"


def seconds(command: list[str | Path], cache: Path) -> float:
    """How long a command takes, from its start to its end; ``cache`` is where compiled programs are kept."""
    environment = os.environ | {"HEADSTART_CACHE": str(cache)}
    start = time.perf_counter()
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    taken = time.perf_counter() - start
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr[-3000:]}")
    return taken


def main() -> None:
    """Measure and record. A run of one update, start to exit, bounds the time to the first update from above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    repetitions = parser.parse_args().repetitions
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experience(100_000).save(folder / "data")

        first_time = "headstart train, one update, start to exit, nothing compiled before"
        again = "headstart train, one update, start to exit, again"
        numbers: dict[str, list[float]] = {}
        for repetition in range(repetitions):
            run = [BIN / "headstart", "train", "iql", "--data", folder / "data", "--offline-steps", "1", "--quiet"]
            commands = {
                "python -c pass": [BIN / "python", "-c", "pass"],
                "import headstart": [BIN / "python", "-c", "import headstart"],
                "headstart --help": [BIN / "headstart", "--help"],
                first_time: [*run, "--out", folder / f"first-{repetition}"],
                again: [*run, "--out", folder / f"again-{repetition}"],
            }
            for title, command in commands.items():
                taken = seconds(command, folder / f"compiled-{repetition}")
                numbers.setdefault(title, []).append(round(taken, 3))
    for title, values in numbers.items():
        print(f"  {title:70} {statistics.median(values):.2f} s")
    record("startup", {"unit": "seconds", "commands": numbers})


if __name__ == "__main__":
    main()
