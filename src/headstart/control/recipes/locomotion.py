"""Datasets of MuJoCo's locomotion worlds, made as D4RL's were: from one training run, stopped at its levels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import jax
import numpy as np

from headstart.control.recipes.behaviours import Behaviour, Level, Trained
from headstart.control.recipes.recipe import Recipe, Recording, Rows
from headstart.control.recipes.recording import of_episodes, record, uniform
from headstart.control.sac import SAC
from headstart.core.errors import UsageError
from headstart.envs.registry import make

BEHAVIOURS = {
    "hopper": Behaviour("Hopper-v5", 150_000),
    "halfcheetah": Behaviour("HalfCheetah-v5", 300_000),
    "walker2d": Behaviour("Walker2d-v5", 500_000),
    "ant": Behaviour("Ant-v5", 500_000),
}
"""The run that each family's policies come from."""

MILLION = 1_000_000
COUNT = 20
"""Copies of the world that are recorded together."""


def _random(behaviour: Behaviour, transitions: int | None, seed: int, show_progress: bool) -> Recording:
    assert transitions is not None
    worlds = make(behaviour.world, COUNT, seed)
    rows = record(worlds, uniform(worlds.spec, COUNT, seed), transitions)
    return Recording(worlds.spec, rows, transitions, {"behaviour": {"level": "random"}})


def _played(behaviour: Behaviour, level: str, transitions: int | None, seed: int, show_progress: bool) -> Recording:
    """What a level's policy does, its actions sampled."""
    assert transitions is not None
    trained = behaviour.train(until_medium=level == "medium", show_progress=show_progress)
    found = trained.medium() if level == "medium" else trained.expert()
    policy, key = trained.policy(found), jax.random.key(seed)
    worlds = make(behaviour.world, COUNT, seed)

    def choose(observations: np.ndarray, step: int) -> np.ndarray:
        return policy(observations, jax.random.fold_in(key, step))

    rows = record(worlds, choose, transitions)
    return Recording(worlds.spec, rows, transitions, {"behaviour": _facts(trained, level, found)})


def _both(behaviour: Behaviour, transitions: int | None, seed: int, show_progress: bool) -> Recording:
    """Half of it medium, half expert."""
    assert transitions is not None
    half = transitions // 2
    expert = _played(behaviour, "expert", transitions - half, seed, show_progress)
    medium = _played(behaviour, "medium", half, seed + 1, show_progress)
    facts = {"behaviour": [medium.facts["behaviour"], expert.facts["behaviour"]]}
    rows: Iterator[Rows] = chain(medium.rows, expert.rows)
    return Recording(medium.spec, rows, transitions, facts)


def _replayed(behaviour: Behaviour, level: str, transitions: int | None, seed: int, show_progress: bool) -> Recording:
    """What the run collected until a level was reached, or in all; whole episodes at random where less is asked."""
    trained = behaviour.train(until_medium=level == "medium", show_progress=show_progress)
    found = trained.medium() if level == "medium" else trained.expert()
    experience = trained.replay(found.steps if level == "medium" else None)
    if transitions is not None and transitions > len(experience):
        raise UsageError(
            f"{transitions} transitions asked for, but the run until this level collected {len(experience)}"
        )
    rows = of_episodes(experience, transitions, seed)
    facts = {"behaviour": _facts(trained, level, found) | {"collected": len(experience)}}
    return Recording(experience.spec, rows, transitions or len(experience), facts)


def _facts(trained: Trained, level: str, found: Level) -> dict[str, Any]:
    config = trained.run.config
    return {
        "level": level,
        "steps": found.steps,
        "evaluation": found.evaluation,
        "wanted": found.wanted,
        "method": config["method"],
        "training_steps": sum(phase["steps"] for phase in config["plan"]),
        "code": trained.run.provenance["code"],
    }


def _recipes(family: str, behaviour: Behaviour) -> list[Recipe]:
    world = behaviour.world
    whole = f"training takes about {round(behaviour.steps * behaviour.seconds_per_step / 60)} minutes of one core"
    part = f"training until the level is reached takes a part of {whole.split('about ')[1]}"

    def recipe(variant: str, summary: str, transitions: int | None, cost: str, function: Any) -> Recipe:
        until_medium = variant in ("medium", "medium-replay")

        def ready() -> bool:
            return variant == "random" or behaviour.is_trained(until_medium)

        return Recipe(f"{family}-{variant}", world, summary, transitions, cost, function, ready)

    return [
        recipe("random", "uniform actions", MILLION, "minutes", partial(_random, behaviour)),
        recipe(
            "medium",
            "a SAC policy stopped at a third of the expert's reference return",
            MILLION,
            part,
            partial(_played, behaviour, "medium"),
        ),
        recipe(
            "medium-replay",
            "all that SAC saw until the medium level",
            None,
            part,
            partial(_replayed, behaviour, "medium"),
        ),
        recipe("medium-expert", "half medium, half expert", 2 * MILLION, whole, partial(_both, behaviour)),
        recipe("full-replay", "all that SAC saw", None, whole, partial(_replayed, behaviour, "expert")),
        recipe(
            "expert",
            "the best policy of the whole SAC run; the metadata say how good it is",
            MILLION,
            whole,
            partial(_played, behaviour, "expert"),
        ),
    ]


FIRST_STEPS = Behaviour(
    "HalfCheetah-v5",
    30_000,
    name="HalfCheetah-v5-first-steps",
    method=SAC(learning_rate=1e-3),
    random_steps=10_000,
    seconds_per_step=0.014,
)
"""A run that has only begun to learn; what it met is the dataset of the quickstart."""

LOCOMOTION_RECIPES = [
    *(recipe for family, run in BEHAVIOURS.items() for recipe in _recipes(family, run)),
    Recipe(
        "halfcheetah-first-steps",
        FIRST_STEPS.world,
        "all that SAC met in its first 30 000 steps, the first 10 000 of them random; ships with the package",
        None,
        "training takes about 7 minutes of one core",
        partial(_replayed, FIRST_STEPS, "expert"),
        FIRST_STEPS.is_trained,
    ),
]
"""Six datasets for each of Hopper, HalfCheetah, Walker2d and Ant, and the quickstart's."""
