"""SAC and TD3 from scratch beside published learning curves of the same settings.

Published: Tianshou's benchmark (examples/mujoco/benchmark, test_rew_10seeds.csv at commit 39acf209), ten seeds on the
-v3 worlds, two hidden layers of 256, batches of 256, one update a step. Ours: the same settings on the -v5 worlds. Its
steps are counted from the end of the random ones, and so are ours here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import headstart as hs
from benchmarks.measure import RESULTS

STEPS = (25_000, 50_000, 75_000, 100_000)
PUBLISHED = {
    # world, method: (mean, lowest, highest of ten seeds) at each of STEPS
    ("HalfCheetah", "sac"): ((3365, 2659, 4245), (4747, 4222, 5450), (5851, 5242, 6570), (6515, 5629, 7289)),
    ("HalfCheetah", "td3"): ((2023, 1143, 2836), (3891, 3393, 5205), (4715, 3939, 5489), (5336, 4727, 5851)),
    ("Hopper", "sac"): ((394, 300, 560), (851, 384, 1460), (1522, 196, 3056), (2613, 420, 3430)),
    ("Hopper", "td3"): ((227, 159, 298), (321, 260, 436), (336, 212, 501), (597, 312, 1111)),
}
METHODS = {"sac": ({"learning_rate": 1e-3}, 10_000), "td3": ({"learning_rate": 3e-4}, 25_000)}
"""Fields, and the random steps that come first and are not counted, as in the published runs."""


def measure(world: str, method: str, steps: int, seeds: int, folder: Path) -> dict:
    fields, random_steps = METHODS[method]
    run = hs.train(
        hs.make_method(method, **fields),
        world=f"{world}-v5",
        plan=[hs.warmup(random_steps, "random"), hs.online(steps)],
        seeds=seeds,
        folder=folder / f"{world}-{method}",
        settings=hs.Settings(log_every=1000, evaluate_every=5000, evaluate_episodes=10, checkpoint_every=25_000),
    )
    curves = np.array([run.curve(seed=seed)[1] for seed in run.folder.seeds])
    at = run.curve(seed=run.folder.seeds[0])[0]
    learned = at - random_steps
    reached = {int(step): curves[:, np.flatnonzero(learned == step)[-1]].tolist() for step in STEPS if step in learned}
    return {"world": world, "method": method, "seeds": seeds, "returns": reached}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="world-method, for example Hopper-sac; all by default")
    parser.add_argument("--folder", type=Path, default=Path("runs/learning"))
    options = parser.parse_args()
    for (world, method), published in PUBLISHED.items():
        if options.only and options.only != f"{world}-{method}":
            continue
        found = measure(world, method, options.steps, options.seeds, options.folder)
        found["published"] = dict(zip(map(str, STEPS), published, strict=True))
        path = RESULTS / f"learning-{world}-{method}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps(found))


if __name__ == "__main__":
    main()
