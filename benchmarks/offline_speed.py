"""Offline updates a second at HalfCheetah's shapes: headstart beside d3rlpy. ``python -m benchmarks.offline_speed``"""

from __future__ import annotations

from benchmarks.measure import Side, arguments, compare, record

TASK = {"rows": 100_000}
FEW = {"gradient_actions": 4}
FAST = {"gradient_actions": 1, "screening": "bfloat16"}
LAGRANGE = {"target_gap": 10.0}
PAIRS = {
    "IQL": ("iql", {}, {}),
    "TD3+BC": ("td3-bc", {}, {}),
    "CQL, fixed weight": ("cql", {}, {"alpha_learning_rate": 0.0}),
    "CQL, fixed weight, gradient through 4 drawn actions": ("cql", FEW, {"alpha_learning_rate": 0.0}),
    "CQL, fixed weight, 1 drawn action, screening in bfloat16": ("cql", FAST, {"alpha_learning_rate": 0.0}),
    "CQL, adapted weight (d3rlpy's default)": ("cql", LAGRANGE, {}),
    "CQL, adapted weight, gradient through 4 drawn actions": ("cql", LAGRANGE | FEW, {}),
    "CQL, adapted weight, 1 drawn action, screening in bfloat16": ("cql", LAGRANGE | FAST, {}),
}
"""By title: the method, and what is set beyond the task, in headstart and in d3rlpy."""
FOUR_SEEDS = "IQL, four seeds"


def pair(method: str, ours: dict, theirs: dict, window: int, windows: int) -> list[Side]:
    """Both libraries on one method: two critics, hidden 256x256, batch 256; CQL samples 10 actions of each kind."""
    task = TASK | {"method": method, "window": window, "warmup": window, "updates": window * (windows + 1)}
    return [
        Side("headstart", ".venv", "headstart_offline.py", task | {"options": ours}),
        Side("d3rlpy", ".venvs/d3rlpy", "d3rlpy_offline.py", task | {"options": theirs}),
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
    options = arguments(__doc__, [*PAIRS, FOUR_SEEDS], "updates in one measurement (CQL: a tenth)")
    numbers = {}
    for title in options.only:
        print(title)
        if title == FOUR_SEEDS:
            sides = four_seeds(options.window)
        else:
            method, ours, theirs = PAIRS[title]
            shorter = options.window // 10 if method == "cql" else options.window
            sides = pair(method, ours, theirs, shorter, 4)
        numbers[title] = compare(sides, options.repetitions, options.threads)
    record("offline_speed", {"unit": "updates/s", "comparisons": numbers})


if __name__ == "__main__":
    main()
