"""Environment steps a second on HalfCheetah: headstart beside SB3 and SBX. ``python -m benchmarks.online_speed``"""

from __future__ import annotations

from benchmarks.measure import Side, arguments, compare, record

WORLD = "HalfCheetah-v5"
ONE, MANY = "SAC, one update a step", "twenty updates a step"


def sac(window: int) -> list[Side]:
    """SAC, one update a step: two critics, hidden 256x256, batch 256, one world."""
    task = {"world": WORLD, "window": window, "learning_starts": window, "warmup": 2 * window, "steps": 7 * window}
    net = {"policy_kwargs": {"net_arch": [256, 256]}}
    return [
        Side("headstart", ".venv", "headstart_online.py", task | {"method": "sac"}),
        Side(
            "Stable-Baselines3",
            ".venvs/sb3",
            "stable_baselines_online.py",
            task | {"library": "sb3", "algorithm": "SAC", "options": net},
        ),
        Side(
            "SBX",
            ".venvs/sbx",
            "stable_baselines_online.py",
            task | {"library": "sbx", "algorithm": "SAC", "options": net},
        ),
    ]


def many_updates(window: int) -> list[Side]:
    """RLPD, twenty critic updates a step, and the nearest that SBX offers; the policy is updated once a step by all."""
    task = {"world": WORLD, "window": window, "learning_starts": 300, "warmup": 300 + window, "steps": 300 + 5 * window}
    often = {"gradient_steps": 20, "policy_delay": 20}

    def sbx(name: str, algorithm: str, options: dict) -> Side:
        return Side(
            name,
            ".venvs/sbx",
            "stable_baselines_online.py",
            task | {"library": "sbx", "algorithm": algorithm, "options": options},
        )

    ours = task | {"method": "rlpd", "updates_per_step": 20, "data_ratio": 0.5, "rows": 100_000}
    ensemble = {"net_arch": [256, 256], "n_critics": 10, "layer_norm": True}
    droq = {"net_arch": [256, 256], "dropout_rate": 0.01, "layer_norm": True}
    return [
        Side("headstart RLPD, 10 critics", ".venv", "headstart_online.py", ours),
        sbx("SBX SAC, 10 critics, layer norm", "SAC", often | {"policy_kwargs": ensemble}),
        sbx("SBX DroQ, 2 critics", "SAC", often | {"policy_kwargs": droq}),
        sbx("SBX CrossQ, 1 update a step", "CrossQ", {}),
    ]


def main() -> None:
    """Measure and record."""
    options = arguments(__doc__, [ONE, MANY], "steps in one measurement (many updates: a fifth)")
    numbers = {}
    for title in options.only:
        print(title)
        sides = sac(options.window) if title == ONE else many_updates(options.window // 5)
        numbers[title] = compare(sides, options.repetitions, options.threads)
    record("online_speed", {"unit": "steps/s", "comparisons": numbers})


if __name__ == "__main__":
    main()
