"""The best list: equal to exhaustive search, and how its time grows. ``python -m benchmarks.best_permutation``"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import record
from headstart.finite.best_permutation import best_permutation, every_list, exhaustive_search

Instance = tuple[np.ndarray, np.ndarray, np.ndarray]
ITEMS = [2**power for power in range(12, 18)]
LIST_SIZES = [2**power for power in range(2, 8)]


def instances(generator: np.random.Generator, count: int, items: int) -> Instance:
    """Attraction, weight, and what no click is worth; half of the instances have ties and certain clicks."""
    attraction = generator.random((count, items))
    weight, none = generator.uniform(0, 2, (count, items)), generator.uniform(0, 2, count)
    half = count // 2
    attraction[:half] = generator.choice([0.0, 0.25, 0.5, 1.0], (half, items))
    weight[:half] = generator.choice([0.0, 0.5, 1.0, 2.0], (half, items))
    none[:half] = generator.choice([0.0, 0.5, 1.0], half)
    return attraction, weight, none


def largest_error(generator: np.random.Generator) -> tuple[int, float]:
    """How many instances of one to seven items were searched exhaustively, and the largest difference."""
    tried, error = 0, 0.0
    for items in range(1, 8):
        for list_size in range(1, items + 1):
            for _ in range(4):  # in parts: seven items have 13 699 lists
                given = instances(generator, 100, items)
                found, best = best_permutation(*given, list_size), exhaustive_search(*given, list_size)
                tried, error = tried + 100, max(error, float(np.abs(found.value - best.value).max()))
    return tried, error


def seconds(task: Callable[[], object], repetitions: int = 7) -> list[float]:
    """Times of single calls, after one that is not counted."""
    task()
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        task()
        taken.append(time.perf_counter() - start)
    return taken


def exponent(sizes: list[int], times: list[float]) -> float:
    """Of the power with which times grow in sizes: the slope of their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def main() -> None:
    """Measure and record."""
    generator = np.random.default_rng(0)
    tried, error = largest_error(generator)
    measures = {f"largest difference to exhaustive search, {tried:,} instances of up to 7 items": [error]}

    for items in (10, 20, 30):
        given = instances(generator, 64, items)
        ours = seconds(lambda given=given: best_permutation(*given, 3))
        theirs = seconds(lambda given=given: exhaustive_search(*given, 3))
        measures[f"{items} items, lists of 3: best list, µs"] = [1e6 * taken / 64 for taken in ours]
        lists = len(every_list(items, 3))
        measures[f"{items} items, lists of 3: all {lists:,} lists, µs"] = [1e6 * taken / 64 for taken in theirs]

    times = []
    for items in ITEMS:
        given = instances(generator, 1, items)
        times.append(statistics.median(seconds(lambda given=given: best_permutation(*given, 3))))
    measures[f"exponent of its time in items, {ITEMS[0]:,} to {ITEMS[-1]:,}, lists of 3"] = [exponent(ITEMS, times)]
    given = instances(generator, 1, 10_000)
    times = [statistics.median(seconds(lambda size=size: best_permutation(*given, size))) for size in LIST_SIZES]
    name = f"exponent of its time in the size of the list, {LIST_SIZES[0]} to {LIST_SIZES[-1]}, 10,000 items"
    measures[name] = [exponent(LIST_SIZES, times)]
    for name, values in measures.items():
        print(f"  {name:90} {statistics.median(values):.3g}")
    record("best_permutation", {"measures": measures})


if __name__ == "__main__":
    main()
