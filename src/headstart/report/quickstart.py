"""The main job from end to end, small enough to watch: from recorded data to a policy that keeps improving online."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.control.cql import CQL
from headstart.control.plan import offline, online, warmup
from headstart.control.trainer import Settings
from headstart.control.training import Run, train
from headstart.control.wsrl import WSRL
from headstart.data.describe import describe
from headstart.data.registry import load
from headstart.report.figures import draw_runs
from headstart.report.page import write_page
from headstart.runs.naming import fresh_folder

DATA, WORLD = "halfcheetah-first-steps", "HalfCheetah-v5"
SEEDS = (1, 2, 3)
OFFLINE_STEPS, WARMUP_STEPS, ONLINE_STEPS, UPDATES_PER_STEP = 5_000, 1_000, 4_000, 2
METHOD = WSRL(
    hidden=(64, 64),
    critics=2,
    batch_size=128,
    learning_rate=1e-3,
    actor_learning_rate=1e-3,
    temperature_learning_rate=1e-3,
    pretraining=CQL(
        action_samples=2,
        conservative_weight=1.0,
        batch_size=128,
        learning_rate=1e-3,
        actor_learning_rate=1e-3,
        temperature_learning_rate=1e-3,
    ),
)
"""WSRL with small networks, pretrained with CQL as its authors do for locomotion."""
LABELS = ("offline, then online", "online from scratch", "offline policy as it is")


def quickstart(
    folder: Path | str | None = None,
    seeds: Sequence[int] = SEEDS,
    scale: float = 1.0,
    show_progress: bool = True,
    say: Callable[[str], None] = print,
) -> tuple[Path, Path]:
    """Describe the data, learn offline, go online beside two baselines, and write a page and a figure.

    Args:
        folder: where the three runs, the page and the figure are written; a new one under ``runs/`` by default.
        seeds: seeds of each of the three.
        scale: all steps are multiplied by this.
        show_progress: whether to show progress bars.
        say: where the story is told.

    Returns:
        The page's and the figure's paths.
    """
    folder = Path(folder) if folder is not None else fresh_folder("runs", "quickstart")
    data = load(DATA)
    facts = describe(data)
    say(f"1. The data: {DATA}, {facts.n_transitions:,} transitions recorded in {WORLD}")
    say(f"   {facts.n_trajectories} whole episodes, mean return {facts.mean_return:.0f}, best {facts.returns[-1]:.0f}")

    def steps(count: int) -> int:
        return max(round(count * scale), 200)

    every = steps(1000)
    settings = Settings(log_every=every, evaluate_every=every, evaluate_episodes=3, checkpoint_every=100 * every)

    def run(name: str, **options: Any) -> Run:
        return train(
            METHOD,
            world=WORLD,
            seeds=list(seeds),
            settings=settings,
            folder=folder / name,
            show_progress=show_progress,
            **options,
        )

    say(f"2. Learn offline: {steps(OFFLINE_STEPS):,} updates on the data alone, {len(seeds)} seeds")
    recorded = run("offline", data=DATA, plan=[offline(steps(OFFLINE_STEPS))])
    acting = [steps(WARMUP_STEPS), steps(ONLINE_STEPS)]
    say(f"3. Go online without the data: {acting[0]:,} steps of warm-up, then {acting[1]:,} of learning")
    going_on = online(acting[1], UPDATES_PER_STEP)
    tuned = run("offline-then-online", init_from=recorded.path, plan=[warmup(acting[0]), going_on])
    say("4. For comparison: the same networks, steps and updates from scratch")
    scratch = run("from-scratch", plan=[warmup(acting[0], "random"), going_on])
    runs = [tuned, scratch, recorded]
    say("5. What the data bought (mean greedy return at the end):")
    for label, finished in zip(LABELS, runs, strict=True):
        finals = finished.final()
        say(f"   {label:<24} {np.mean(finals):7.0f}   seeds {', '.join(f'{value:.0f}' for value in finals)}")
    page = write_page([each.folder for each in runs], folder / "report.html", "What the data bought", LABELS)
    figure = draw_runs([each.folder for each in runs], folder / "figure.svg", labels=LABELS)
    draw_runs([each.folder for each in runs], folder / "figure.png", labels=LABELS)
    say(f"page:   {page}\nfigure: {figure}")
    return page, figure
