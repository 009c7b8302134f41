"""How soon the program answers, and how soon it learns. ``python -m benchmarks.startup``"""

from __future__ import annotations

import argparse
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


def seconds(*command: str | Path) -> float:
    """How long a command takes, from its start to its end."""
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
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

        def train(repetition: int) -> list[str | Path]:
            output = folder / f"run-{repetition}"
            return [
                BIN / "headstart", "train", "iql", "--data", folder / "data", "--offline-steps", "1", "--out", output
            ]  # fmt: skip

        commands = {
            "python -c pass": lambda repetition: [BIN / "python", "-c", "pass"],
            "import headstart": lambda repetition: [BIN / "python", "-c", "import headstart"],
            "headstart --help": lambda repetition: [BIN / "headstart", "--help"],
            "headstart train, one update, start to exit": train,
        }
        numbers: dict[str, list[float]] = {title: [] for title in commands}
        for repetition in range(repetitions):
            for title, command in commands.items():
                numbers[title].append(round(seconds(*command(repetition)), 3))
    for title, values in numbers.items():
        print(f"  {title:45} {statistics.median(values):.2f} s")
    record("startup", {"unit": "seconds", "commands": numbers})


if __name__ == "__main__":
    main()
