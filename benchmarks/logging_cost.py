"""What logging 1000 scalars a second costs training. ``python -m benchmarks.logging_cost``"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.measure import Side, compare, record

TASK = {"rows": 20_000, "method": "iql", "hidden": [128, 128], "batch": 128, "window": 500}
SIDES = {"1,000 scalars a second": 1000, "one log a window": 0}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="of training in one measurement")
    options = parser.parse_args()
    sides = [
        Side(name, ".venv", "headstart_logging.py", TASK | {"seconds": options.seconds, "scalars_per_second": rate})
        for name, rate in SIDES.items()
    ]
    numbers = compare(sides, options.repetitions, ["one"])
    measures = numbers["sides"][0].pop("measures")
    numbers["sides"][1].pop("measures")
    for title, values in measures.items():
        print(f"  {title:40} {statistics.median(values):.3f}")
    record("logging_cost", {"unit": "updates/s", "comparisons": {"IQL, offline": numbers}, "measures": measures})


if __name__ == "__main__":
    main()
