"""What offline methods make of Hopper data that headstart recorded: beside the policy that made it, and each other.

Build the data first: ``headstart data build hopper-medium-expert``. Scores are 0 for a random policy and 100 for D4RL's
expert. ``python -m benchmarks.offline_learning``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import headstart as hs
from benchmarks.measure import RESULTS, record
from headstart.data.registry import load
from headstart.evaluate.scores import normalized_score

WORLD = "Hopper-v5"
DATA = ("hopper-medium", "hopper-medium-expert")
UPDATES = 50_000
FIELDS = {"bc": {}, "filtered-bc": {}, "td3-bc": {}, "iql": {}, "cql": {"gradient_actions": 1, "screening": "bfloat16"}}
"""Methods, and what differs from their papers' settings besides the networks' width."""
PUBLISHED = {
    "hopper-medium": {"bc": 52.9, "filtered-bc": 56.9, "td3-bc": 59.3, "iql": 66.3, "cql": 58.5},
    "hopper-medium-expert": {"bc": 52.5, "filtered-bc": 110.9, "td3-bc": 98.0, "iql": 91.5, "cql": 105.4},
}
"""Scores on D4RL's datasets of these names after a million updates (Kostrikov et al. 2021, table 1)."""


def settings(method: str, spread: float) -> hs.Settings:
    """One evaluation, at the end, of twenty greedy episodes; IQL's rewards scaled by the spread of returns, as its
    authors do."""
    scale = 1000 / spread if method == "iql" else 1.0
    return hs.Settings(evaluate_every=UPDATES, evaluate_episodes=20, log_every=1000, reward_scale=scale)


def main() -> None:
    """Train, evaluate and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=list(FIELDS), choices=list(FIELDS), help="the others are kept")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--folder", type=Path, default=Path("runs/offline-learning"))
    options = parser.parse_args()
    path = RESULTS / "offline_learning.json"
    kept = json.loads(path.read_text())["learning"] if path.exists() else {}
    for name in options.data:
        returns = load(name).returns()
        behaviour = float(normalized_score(WORLD, returns.mean()))
        found = {"behaviour": behaviour, "published": PUBLISHED[name], "updates": UPDATES}
        found["scores"] = kept.get(name, {}).get("scores", {})
        for method in options.only:
            run = hs.train(
                hs.make_method(method, hidden=(128, 128), **FIELDS[method]),
                world=WORLD,
                data=name,
                plan=[hs.offline(UPDATES)],
                seeds=options.seeds,
                folder=options.folder / f"{name}-{method}",
                settings=settings(method, float(returns.max() - returns.min())),
            )
            found["scores"][method] = normalized_score(WORLD, run.final()).tolist()
            print(name, method, [round(score, 1) for score in found["scores"][method]], flush=True)
            kept[name] = found
            record("offline_learning", {"learning": kept})


if __name__ == "__main__":
    main()
