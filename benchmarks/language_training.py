"""DPO tokens a second and memory: headstart beside TRL. ``python -m benchmarks.language_training``"""

from __future__ import annotations

from benchmarks.measure import Side, arguments, compare, record

TASKS = {
    "tiny model": {"shape": "tiny", "batch": 32, "prompt": [8, 24], "completion": [4, 24]},
    "0.3B shape": {"shape": "0.3B", "batch": 2, "prompt": [48, 96], "completion": [24, 64]},
}


def sides(task: dict, steps: int) -> list[Side]:
    """headstart, and TRL with the reference scored before or, its default, within each step."""
    task = task | {"steps": steps, "warmup": 1}
    return [
        Side("headstart", ".venv", "headstart_dpo.py", task),
        Side("TRL, reference scored before", ".venvs/trl", "trl_dpo.py", task | {"precompute": True}),
        Side("TRL, its default", ".venvs/trl", "trl_dpo.py", task | {"precompute": False}),
    ]


def main() -> None:
    """Measure and record."""
    options = arguments(__doc__, list(TASKS), "steps of the tiny model (the large one: a tenth, and no fewer than 3)")
    numbers = {}
    for title in options.only:
        print(title)
        steps = options.window if title == "tiny model" else max(3, options.window // 10)
        numbers[title] = compare(sides(TASKS[title], steps), options.repetitions, options.threads)
    record("language_training", {"unit": "tokens/s", "comparisons": numbers})


if __name__ == "__main__":
    main()
