"""The best list: equal to exhaustive search, and how its time grows. ``python -m benchmarks.best_permutation``

Prints a table and records ``results/best_permutation.json``. One process, one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import record
from headstart.finite.best_permutation import best_permutation, every_list, exhaustive_search

Instance = tuple[np.ndarray, np.ndarray, np.ndarray]


def instances(generator: np.random.Generator, count: int, items: int) -> Instance:
    """Attraction, weight, and what no click is worth; half of the instances have ties and certain clicks."""
    attraction = generator.random((count, items))
    weight, none = generator.uniform(0, 2, (count, items)), generator.uniform(0, 2, count)
    half = count // 2
    attraction[:half] = generator.choice([0.0, 0.25, 0.5, 1.0], (half, items))
    weight[:half] = generator.choice([0.0, 0.5, 1.0, 2.0], (half, items))
    none[:half] = generator.choice([0.0, 0.5, 1.0], half)
    return attraction, weight, none


def largest_error(generator: np.random.Generator) -> dict[str, Any]:
    """The largest difference to exhaustive search over at least 10 000 instances of one to seven items."""
    tried, error = 0, 0.0
    for items in range(1, 8):
        for list_size in range(1, items + 1):
            for _ in range(4):  # in parts: seven items have 13 699 lists
                given = instances(generator, 100, items)
                found, best = best_permutation(*given, list_size), exhaustive_search(*given, list_size)
                tried, error = tried + 100, max(error, float(np.abs(found.value - best.value).max()))
    return {"instances": tried, "largest error": error}


def seconds(task: Callable[[], object], repetitions: int = 9) -> float:
    """Median time of one call, after one that is not counted."""
    task()
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        task()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def slope(sizes: list[int], times: list[float]) -> float:
    """Of log time on log size."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def main() -> None:
    """Measure, print and record."""
    generator = np.random.default_rng(0)
    exact = largest_error(generator)
    print(f"  {exact['instances']} instances, largest error {exact['largest error']:.1e}")

    items = [2**power for power in range(12, 18)]
    by_items = []
    for count in items:
        given = tuple(part[0] for part in instances(generator, 1, count))
        by_items.append(seconds(lambda given=given: best_permutation(*given, 3)))
    sizes = [2**power for power in range(2, 8)]
    given = tuple(part[0] for part in instances(generator, 1, 100_000))
    by_size = [seconds(lambda size=size: best_permutation(*given, size), 5) for size in sizes]
    growth = {"slope in items": slope(items, by_items), "slope in list size": slope(sizes, by_size)}
    print("  " + ", ".join(f"{name} {value:.2f}" for name, value in growth.items()))

    against = {}
    for count in (10, 20, 30):
        many = instances(generator, 64, count)
        ours = seconds(lambda many=many: best_permutation(*many, 3)) / 64
        theirs = seconds(lambda many=many: exhaustive_search(*many, 3), 3) / 64
        against[str(count)] = {"lists": len(every_list(count, 3)), "ours": ours, "exhaustive": theirs}
        print(
            f"  {count} items, lists of 3: {1e6 * ours:.1f} µs, exhaustive {1e6 * theirs:.0f} µs: {theirs / ours:.0f}×"
        )
    numbers = {"items": items, "seconds by items": by_items, "list sizes": sizes, "seconds by list size": by_size}
    record("best_permutation", {**exact, **numbers, **growth, "lists of 3, seconds an instance of 64": against})


if __name__ == "__main__":
    main()
