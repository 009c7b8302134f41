"""Learning a finite world: headstart beside the same mathematics in NumPy. ``python -m benchmarks.finite_speed``"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time

from benchmarks.measure import ROOT, Side, compare, record

WORLD = {"states": 20, "actions": 5, "horizon": 10}
COMMAND = "headstart finite simulate ucbvi --world random:states=20,actions=5,horizon=10 --seeds 200 --episodes 10000"


def sides(seeds: int, episodes: int) -> list[Side]:
    """All seeds at once, compiled; and one seed after another."""
    return [
        Side(
            "headstart, 200 seeds",
            ".venv",
            "headstart_finite.py",
            WORLD | {"seeds": seeds, "episodes": episodes, "repetitions": 4},
        ),
        Side("NumPy, a seed at a time", ".venv", "numpy_ucbvi.py", WORLD | {"episodes": 2500, "window": 500}),
    ]


def main() -> None:
    """Measure and record; the command is timed from its start to its end, compilation included."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--episodes", type=int, default=1000)
    repetitions, seeds, episodes = vars(parser.parse_args()).values()
    title = "UCBVI, 20 states, 5 actions, horizon 10"
    print(title)
    numbers = {title: compare(sides(seeds, episodes), repetitions)}
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        subprocess.run([ROOT / ".venv" / "bin" / "headstart", *COMMAND.split()[1:]], check=True, capture_output=True)
        taken.append(round(time.perf_counter() - start, 2))
    print(f"  {COMMAND} {statistics.median(taken):.1f} s")
    record("finite_speed", {"unit": "episodes/s", "comparisons": numbers, "commands": {COMMAND: taken}})


if __name__ == "__main__":
    main()
