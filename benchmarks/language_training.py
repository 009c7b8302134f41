"""DPO, the online loop and packing, in tokens a second and memory: headstart beside TRL.

``python -m benchmarks.language_training``
"""

from __future__ import annotations

from benchmarks.measure import Side, arguments, compare, record

OURS, THEIRS = ".venv", ".venvs/trl"

DPO = {
    "tiny model": {"shape": "tiny", "batch": 32, "prompt": [8, 24], "completion": [4, 24]},
    "0.3B shape": {"shape": "0.3B", "batch": 2, "prompt": [48, 96], "completion": [24, 64]},
}
LOOPS = {
    "online loop, tiny model": {"shape": "tiny", "prompts": 8, "completions": 8, "prompt": 16, "longest": 32},
    "online loop, 0.3B shape": {"shape": "0.3B", "prompts": 1, "completions": 4, "prompt": 32, "longest": 16},
    "online DPO, tiny model": {"shape": "tiny", "prompts": 32, "completions": 2, "prompt": 16, "longest": 32},
    "online DPO, 0.3B shape": {"shape": "0.3B", "prompts": 2, "completions": 2, "prompt": 32, "longest": 16},
}
PACKING = {
    "packing, tiny model": {"shape": "tiny", "batch": 32, "longest": 256},
    "packing, 18 million weights": {"shape": "mid", "batch": 16, "longest": 256},
}
SHARE_OF_STEPS = {
    "tiny model": 1.0,
    "0.3B shape": 0.1,
    "online loop, tiny model": 0.4,
    "online loop, 0.3B shape": 0.1,
    "online DPO, tiny model": 0.4,
    "online DPO, 0.3B shape": 0.1,
    "packing, tiny model": 0.6,
    "packing, 18 million weights": 0.1,
}


def sides(title: str, steps: int) -> list[Side]:
    """What is compared under a title."""
    steps = max(3, round(steps * SHARE_OF_STEPS[title]))
    if title in DPO:
        task = DPO[title] | {"steps": steps, "warmup": 1}
        return [
            Side("headstart", OURS, "headstart_dpo.py", task),
            Side("TRL, reference scored before", THEIRS, "trl_dpo.py", task | {"precompute": True}),
            Side("TRL, its default", THEIRS, "trl_dpo.py", task | {"precompute": False}),
        ]
    if title in LOOPS:
        method, trainer = ("dpo", "OnlineDPOTrainer") if "DPO" in title else ("rloo", "RLOOTrainer")
        task = LOOPS[title] | {"steps": steps, "warmup": 1, "method": method}
        return [
            Side("headstart", OURS, "headstart_online_language.py", task),
            Side(f"TRL's {trainer}", THEIRS, "trl_online_language.py", task),
        ]
    task = PACKING[title] | {"steps": steps, "warmup": 1}
    parts = task["batch"] // 4
    return [
        Side("packed", OURS, "headstart_packing.py", task | {"packing": True, "micro_batch": None}),
        Side("in parts of like length", OURS, "headstart_packing.py", task | {"packing": False, "micro_batch": parts}),
        Side("a row a line", OURS, "headstart_packing.py", task | {"packing": False, "micro_batch": None}),
    ]


def main() -> None:
    """Measure and record."""
    options = arguments(__doc__, list(SHARE_OF_STEPS), "steps of the tiny model's DPO; the others take a share of them")
    numbers = {}
    for title in options.only:
        print(title)
        numbers[title] = compare(sides(title, options.window), options.repetitions, options.threads)
    record("language_training", {"unit": "tokens/s", "comparisons": numbers})


if __name__ == "__main__":
    main()
