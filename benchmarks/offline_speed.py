"""Offline updates a second at HalfCheetah's shapes: headstart beside d3rlpy. ``python -m benchmarks.offline_speed``"""

from __future__ import annotations

import argparse

from benchmarks.measure import Side, compare, record

METHODS = {"iql": "IQL", "td3-bc": "TD3+BC", "cql": "CQL"}
TASK = {"rows": 100_000}


def pair(method: str, window: int, windows: int) -> list[Side]:
    """Both libraries on one method: two critics, hidden 256x256, batch 256; CQL samples 10 actions of each kind."""
    task = TASK | {"method": method, "window": window, "warmup": window, "updates": window * (windows + 1)}
    return [
        Side("headstart", ".venv", "headstart_offline.py", task),
        Side("d3rlpy", ".venvs/d3rlpy", "d3rlpy_offline.py", task),
    ]


def four_seeds(window: int) -> list[Side]:
    """IQL with four seeds: headstart's in processes of their own, d3rlpy's one after another."""
    ours = TASK | {"method": "iql", "seeds": 4, "window": window, "warmup": window, "updates": window * 9}
    theirs = TASK | {"method": "iql", "runs": 4, "window": window, "warmup": window, "updates": window * 3}
    return [
        Side("headstart", ".venv", "headstart_offline.py", ours),
        Side("d3rlpy", ".venvs/d3rlpy", "d3rlpy_offline.py", theirs),
    ]


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--window", type=int, default=500, help="updates in one measurement (CQL: a quarter)")
    repetitions, window = vars(parser.parse_args()).values()

    numbers = {}
    for method, title in METHODS.items():
        print(title)
        numbers[title] = compare(pair(method, window // 4 if method == "cql" else window, 4), repetitions)
    print("IQL, four seeds")
    numbers["IQL, four seeds"] = compare(four_seeds(window), repetitions)
    record("offline_speed", {"unit": "updates/s", "comparisons": numbers})


if __name__ == "__main__":
    main()
