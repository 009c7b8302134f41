"""Datasets of the functional worlds, recorded from their scripted controllers in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np

from headstart.control.recipes.recipe import Recipe, Recording
from headstart.control.recipes.recording import record_functional
from headstart.envs.functional import FunctionalWorld
from headstart.envs.lava_gap import LavaGap
from headstart.envs.mountain_car import MountainCar
from headstart.envs.pendulum import Pendulum
from headstart.envs.point_maze import PointMaze
from headstart.envs.table_kitchen import TableKitchen


@dataclass(frozen=True)
class Part:
    """Episodes of one behaviour.

    Attributes:
        world: where it acts; parts of a dataset differ in options of the world at most.
        episodes: how many, or, where a number of transitions is asked for, its weight among the parts.
        noise: standard deviation of Gaussian noise on the controller's action.
        random: probability of a uniform action in place of the controller's; 1 for uniform actions throughout.
    """

    world: FunctionalWorld
    episodes: int
    noise: float = 0.0
    random: float = 0.0


def _record(parts: Sequence[Part], transitions: int | None, seed: int, show_progress: bool) -> Recording:
    key = jax.random.fold_in(jax.random.key(seed), 0)
    weights = np.cumsum([0, *(part.episodes for part in parts)]) / sum(part.episodes for part in parts)
    counts = [None] * len(parts) if transitions is None else np.diff(np.rint(weights * transitions)).astype(int)
    rows = []
    for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
        wanted = None if count is None else int(count)
        part_key = jax.random.fold_in(key, number)
        rows.append(record_functional(part.world, part_key, part.episodes, part.noise, part.random, wanted))
    total = sum(len(part["rewards"]) for part in rows)
    facts = {"behaviour": [{"episodes": p.episodes, "noise": p.noise, "random": p.random} for p in parts]}
    return Recording(parts[0].world.spec, iter(rows), total, facts)


def _recipe(name: str, summary: str, *parts: Part, transitions: int | None = None) -> Recipe:
    world = parts[0].world.name
    return Recipe(name, world, summary, transitions, "seconds", partial(_record, parts), ready=lambda: True)


def _annealed(world: FunctionalWorld, episodes: int, noise: float, last: float, stages: int = 10) -> list[Part]:
    """What a learner would leave: uniform actions become rarer, from all to ``last``, in equal stages."""
    return [Part(world, episodes // stages, noise, float(random)) for random in np.linspace(1.0, last, stages)]


def _mazes(maze: Literal["umaze", "medium", "large"]) -> list[Recipe]:
    anywhere, there = PointMaze(maze, start="random", destination="random"), PointMaze(maze)
    undirected, expert = partial(Part, anywhere, noise=0.5), partial(Part, there, noise=0.1)
    return [
        _recipe(
            f"maze-{maze}-undirected",
            "from random cells to random cells by the shortest path, noise 0.5; rewards are about the goal",
            undirected(400),
        ),
        _recipe(f"maze-{maze}-expert", "from the start to the goal by the shortest path, noise 0.1", expert(400)),
        _recipe(f"maze-{maze}-mixed", "four undirected episodes to one of the expert's", undirected(320), expert(80)),
    ]


def _pendulum() -> list[Recipe]:
    world = Pendulum()
    return [
        _recipe("pendulum-random", "uniform actions", Part(world, 200, random=1.0)),
        _recipe("pendulum-medium", "the swing-up controller with noise 1", Part(world, 200, noise=1.0)),
        _recipe(
            "pendulum-medium-replay",
            "uniform actions giving way to the swing-up controller with noise 1",
            *_annealed(world, 200, noise=1.0, last=0.0),
        ),
        _recipe("pendulum-expert", "the swing-up controller with noise 0.1", Part(world, 200, noise=0.1)),
    ]


def _counted(world: FunctionalWorld, transitions: int) -> list[Recipe]:
    """The five kinds of Schweighofer et al. 2021, all of one size, for worlds whose coverage can be counted."""
    random, noisy, expert = Part(world, 400, random=1.0), Part(world, 400, random=0.2), Part(world, 400)
    name = world.name
    mixed = (Part(world, 320, random=1.0), Part(world, 80))
    recipe = partial(_recipe, transitions=transitions)
    return [
        recipe(f"{name}-random", "uniform actions", random),
        recipe(f"{name}-mixed", "four parts of uniform actions to one of the controller's", *mixed),
        recipe(
            f"{name}-replay",
            "uniform actions giving way to the controller",
            *_annealed(world, 400, noise=0.0, last=0.01),
        ),
        recipe(f"{name}-noisy", "the controller, with one action in five uniform", noisy),
        recipe(f"{name}-expert", "the controller", expert),
    ]


SMALL_WORLD_RECIPES = [
    *(recipe for maze in ("umaze", "medium", "large") for recipe in _mazes(maze)),
    *_pendulum(),
    *_counted(MountainCar(), 20_000),
    *_counted(LavaGap(), 20_000),
    _recipe(
        "table-kitchen-demonstrations",
        "four site sequences by the scripted controller, noise 0.2; one of them solves the task",
        Part(TableKitchen(), 200, noise=0.2),
    ),
    _recipe(
        "table-kitchen-partial",
        "the same demonstrations of a task that none of them completes: the first four sites",
        Part(TableKitchen(targets=(0, 1, 2, 3)), 200, noise=0.2),
    ),
]
"""Datasets of the point mazes, the pendulum, the mountain car, the lava gap and the table kitchen."""
