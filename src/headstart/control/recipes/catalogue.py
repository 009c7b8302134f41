"""Every recipe by name, and why other datasets of D4RL have none."""

from __future__ import annotations

import re

from headstart.control.recipes.grids import GRID_RECIPES
from headstart.control.recipes.locomotion import LOCOMOTION_RECIPES
from headstart.control.recipes.recipe import Recipe
from headstart.control.recipes.small_worlds import SMALL_WORLD_RECIPES
from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.data.catalogue import find_entry

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (*LOCOMOTION_RECIPES, *SMALL_WORLD_RECIPES, *GRID_RECIPES)
}
"""Recipes by the name of what they build."""

NOT_BUILT = {
    "pointmaze": "built here in our own mazes instead: maze-umaze-undirected and its like",
    "antmaze": "needs an ant that walks to any goal, days of training on two cores",
    "adroit": "recorded from people's hands in a glove; without them a hand practises for hundreds of simulated hours"
    " (Rajeswaran et al. 2018), days on two cores",
    "kitchen": "recorded from people's demonstrations in virtual reality; table-kitchen-demonstrations stands in",
    "grid": "that world does not end at the goal; built here where it does: four-rooms-expert and its like",
    "flow": "its traffic simulator is not among Python's packages",
    "carla": "its driving simulator is not among Python's packages",
    "bullet": "the same families in another physics engine; hopper-medium and its like are built in MuJoCo",
}
"""Why the datasets of a family of the catalogue are not built, by family."""


def find_recipe(name: str) -> Recipe:
    """The recipe of a dataset.

    Raises:
        UsageError: there is none; says why, where else it comes from, or which names are near.
    """
    if name in RECIPES:
        return RECIPES[name]
    entry = find_entry(name)
    if entry is not None and entry.name in RECIPES:
        raise UsageError(f"{name!r} is D4RL's own file, which is read by that name; {entry.name!r} is built here")
    if entry is not None:
        raise UsageError(f"{name!r} is not built here: {why_not_built(entry.name)}")
    raise unknown("recipe", re.sub(r"-v\d+$", "", name), RECIPES, "`headstart data list` shows all.")


def why_not_built(name: str) -> str:
    """Why a dataset of the catalogue has no recipe, and under which names its recorded file is read."""
    entry = find_entry(name)
    assert entry is not None
    return f"{NOT_BUILT[entry.family]}. Its recorded file is read as {recorded_files(name)}"


def recorded_files(name: str) -> str:
    """The names under which D4RL's own file, and Minari's counterpart, of a dataset of the catalogue are read."""
    entry = find_entry(name)
    assert entry is not None
    return " or ".join([list(entry.files)[-1]] + ([entry.minari] if entry.minari else []))
