"""D4RL: which data offline methods are tried on decides what is concluded about them (arXiv 2004.07219).

Episodes from anywhere to anywhere hold the way to a goal in pieces, with hardly a whole one to imitate. Such data,
those of experts and those of half-trained policies are recorded in mazes and of a pendulum; five methods learn from
each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.control.bc import BC, FilteredBC
from headstart.control.cql import CQL
from headstart.control.iql import IQL
from headstart.control.td3_bc import TD3BC
from headstart.core.errors import DataError
from headstart.envs.functional import FunctionalWorld
from headstart.envs.pendulum import Pendulum
from headstart.envs.point_maze import PointMaze
from headstart.evaluate.correlation import spearman
from headstart.evaluate.scores import normalized_score, reference
from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers import figures
from headstart.papers.offline import OfflineLearner, record_dataset
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

MAZES, MAZE_KINDS = ("umaze", "medium", "large"), ("undirected", "expert", "mixed")
WORLDS: dict[str, FunctionalWorld] = {
    **{f"maze-{maze}-{kind}": PointMaze(maze) for maze in MAZES for kind in MAZE_KINDS},
    **{f"pendulum-{kind}": Pendulum() for kind in ("random", "medium", "medium-replay", "expert")},
}
STITCHING, REPLAY = "maze-medium-undirected", "pendulum-medium-replay"

SIZES: dict[str, Any] = {"hidden": (64, 64), "learning_rate": 1e-3}
METHODS = {
    "BC": BC(**SIZES, batch_size=128),
    "10% BC": FilteredBC(**SIZES, batch_size=128),
    "IQL": IQL(**SIZES, batch_size=128, layer_norm=True, expectile=0.9, temperature=10.0, actor_decay_steps=None),
    "TD3+BC": TD3BC(**SIZES, batch_size=128, layer_norm=True, alpha=2.5),
    "CQL": CQL(
        **SIZES,
        batch_size=64,
        layer_norm=True,
        actor_learning_rate=1e-3,
        temperature_learning_rate=1e-3,
        conservative_weight=0.3,
        action_samples=2,
        gradient_actions=1,
    ),
}
REINFORCEMENT = ("IQL", "TD3+BC", "CQL")


@dataclass(frozen=True)
class Size:
    """How long the experiment is.

    Attributes:
        transitions: in each dataset; None for as many as its recipe's episodes have.
        capacity: rows to make room for, so that all datasets of a world share one program.
        updates: of every method on every dataset.
        episodes: in the evaluation at the end.
    """

    transitions: int | None = None
    capacity: int = 80_000
    updates: int = 4000
    episodes: int = 100


FULL, QUICK = Size(), Size(transitions=1000, capacity=1000, updates=20, episodes=5)
QUICK_DATASETS, QUICK_METHODS = (STITCHING, "pendulum-expert", REPLAY), ("BC", "IQL")


def run(seed: int, quick: bool) -> Result:
    """Normalised scores of one seed's data and of every method on them."""
    if quick:
        return {name: _scores(name, QUICK_METHODS, seed, QUICK) for name in QUICK_DATASETS}
    return {name: _scores(name, METHODS, seed, FULL) for name in WORLDS}


def _scores(name: str, methods: Iterable[str], seed: int, size: Size) -> dict[str, float]:
    world, data = WORLDS[name], record_dataset(name, seed, size.transitions)
    references = reference(world.name)
    scale = 100 / (references.high - references.low)
    scores = {"data": float(normalized_score(world.name, data.returns().mean()))}
    for label in methods:
        learner = OfflineLearner(METHODS[label], data, seed, reward_scale=scale, capacity=size.capacity)
        returns = learner.learn(size.updates).evaluate(world, size.episodes).returns
        scores[label] = float(normalized_score(world.name, returns.mean()))
    return scores


def judge(results: Sequence[Result]) -> list[Verdict]:
    """All claims from normalised scores, paired by seed."""
    return [_stitching(results), _experts(results), _rankings(results)]


def _of(results: Sequence[Result], dataset: str, label: str) -> np.ndarray:
    return np.array([result[dataset][label] for result in results])


def _methods(results: Sequence[Result]) -> list[str]:
    return [label for label in METHODS if label in results[0][REPLAY]]


def _stitching(results: Sequence[Result]) -> Verdict:
    # A maze's return is its success, so that scores are success but for the scale.
    scale = reference(WORLDS[STITCHING].name)
    numbers, lows = {}, []
    for label in ("IQL", "CQL"):
        if label not in _methods(results):
            continue
        ours, theirs = (_of(results, STITCHING, name) / 100 * (scale.high - scale.low) for name in (label, "BC"))
        difference, low, high = paired_bootstrap(ours, theirs)
        numbers |= {f"{label} - BC": difference, f"{label} low": low, f"{label} high": high}
        lows.append(low)
    return Verdict(claim="stitching", holds=max(lows) > 0.3, numbers=numbers)


def _experts(results: Sequence[Result]) -> Verdict:
    numbers, within = {}, []
    for dataset in (name for name in results[0] if name.endswith("-expert")):
        learners = [label for label in REINFORCEMENT if label in _methods(results)]
        best = max(learners, key=lambda label: _of(results, dataset, label).mean())
        difference, low, high = paired_bootstrap(_of(results, dataset, best), _of(results, dataset, "BC"))
        numbers |= {f"{dataset}, {best} - BC": difference, f"{dataset} low": low, f"{dataset} high": high}
        within.append(low > -10 and high < 10)
    return Verdict(claim="experts", holds=all(within), numbers=numbers)


def _rankings(results: Sequence[Result]) -> Verdict:
    def means(datasets: Sequence[str]) -> list[float]:
        return [float(np.mean([_of(results, name, label) for name in datasets])) for label in _methods(results)]

    undirected = [name for name in results[0] if name.endswith("-undirected")]
    numbers: dict[str, float] = {}
    for name, datasets in {"undirected mazes": undirected, **{name: [name] for name in undirected}}.items():
        try:
            numbers[name] = spearman(means([REPLAY]), means(datasets))
        except DataError:  # methods that are too few, or all alike, have no ranking
            continue
    return Verdict(claim="rankings", holds=numbers.get("undirected mazes", 1.0) < 0.8, numbers=numbers)


def table(results: Sequence[Result]) -> list[Row]:
    """Mean normalised score of the data and of every method, one line a dataset."""
    labels = ("data", *_methods(results))
    return [
        {"dataset": name, **{label: float(_of(results, name, label).mean()) for label in labels}} for name in results[0]
    ]


def draw(results: Sequence[Result], path: Path) -> None:
    """All mean scores, and every seed's in the maze that needs stitching."""
    names, labels = list(results[0]), _methods(results)
    means = np.array([[_of(results, name, label).mean() for label in labels] for name in names])
    with figures.figure(path, 2, "One setting a method, many kinds of data", height=4.6, width=5.0) as (grid, seeds):
        grid.imshow(np.clip(means, 0, 100), cmap="Blues", vmin=0, vmax=140, aspect="auto")
        for row, column in np.ndindex(*means.shape):
            grid.text(column, row, f"{means[row, column]:.0f}", ha="center", va="center", fontsize=8.5)
        grid.set_xticks(range(len(labels)), labels)
        grid.set_yticks(range(len(names)), names)
        grid.set(title="Normalised score, mean of seeds")
        figures.intervals(seeds, {label: _of(results, STITCHING, label).tolist() for label in labels})
        seeds.set(xlabel="normalised score", title=STITCHING)


PAPER = Paper(
    id="d4rl",
    title="D4RL: Datasets for Deep Data-Driven Reinforcement Learning",
    authors="Fu, Kumar, Nachum, Tucker and Levine",
    year=2020,
    arxiv="2004.07219",
    summary=(
        "A catalogue of tasks and recorded data for offline reinforcement learning, with scores that are comparable "
        "between tasks. Methods that look alike on data of one kind differ on data of another."
    ),
    claims=(
        Claim(
            name="stitching",
            sentence="Where data go from anywhere to anywhere, learning values finds a way that cloning does not.",
            test=(
                f"{STITCHING}: paired bootstrap over seeds, 95 % interval of the success of IQL minus that of BC, or "
                "of CQL minus that of BC: lower end > 0.3 for at least one of the two"
            ),
        ),
        Claim(
            name="experts",
            sentence="On experts' data the best offline method does what behavioural cloning does.",
            test=(
                "every expert dataset: paired bootstrap over seeds, 95 % interval of the normalised score of the best "
                "of IQL, TD3+BC and CQL (by its mean) minus that of BC: within -10 and 10 of 100"
            ),
        ),
        Claim(
            name="rankings",
            sentence="How methods rank on a half-trained policy's data does not carry over to undirected data.",
            test=(
                f"rank correlation of the five methods' mean scores on {REPLAY} and on the undirected mazes (mean of "
                "the three) below 0.8; the correlation with each maze is reported"
            ),
        ),
    ),
    settings={
        "worlds": "point mazes (60, 100, 200 steps) and pendulum swing-up (200 steps), pure JAX",
        "data": "400 episodes a maze dataset (undirected: random start and goal, noise 0.5; expert: start to goal, "
        "noise 0.1; mixed: 320 and 80), 200 a pendulum dataset, recorded anew for every seed",
        "scores": "0: uniform random policy, 100: scripted controller",
        "all methods": f"2x64, learning rate 1e-3, batch 128 (CQL 64), {FULL.updates} updates, discount 0.99, layer "
        "norm in critics, rewards in units of the normalised score",
        "10% BC": "the tenth of the episodes with the highest returns",
        "IQL": "expectile 0.9, temperature 10 (its authors' for ant mazes)",
        "TD3+BC": "alpha 2.5, standardised observations",
        "CQL": "conservative weight 0.3, 2 actions of each kind",
        "tuning": f"two to four settings of each method on seed 0 of {STITCHING} and {REPLAY}",
        "evaluation": f"{FULL.episodes} greedy episodes at the end",
    },
    seeds=tuple(range(5)),
    quick_seeds=(0,),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    deviations=(
        "Small worlds with scripted behaviour stand for MuJoCo, human demonstrations and partly trained policies; the "
        "catalogue's own families are built by `headstart data build`.",
        "Undirected data are episodes with an end, not one continuing trajectory, so that the best tenth of them can "
        "be told.",
        "CQL's gradient passes through one sampled action, drawn by its share of the log-sum-exp: the same on average.",
        "Training is two hundred times shorter.",
    ),
)
