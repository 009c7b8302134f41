"""The dataset families of D4RL (Fu et al. 2020): what exists, under which names, and where its own files come from.

Minari's files of the same names were recorded anew with other worlds and policies: scores on them do not compare
with published D4RL scores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SERVER = "http://rail.eecs.berkeley.edu/datasets/offline_rl"


@dataclass(frozen=True)
class Entry:
    """One dataset of the catalogue.

    Attributes:
        name: ours, without a version ("hopper-medium"); what `headstart data build` makes.
        family: "locomotion", "pointmaze", "antmaze", "adroit", "kitchen", "grid", "flow", "carla" or "bullet".
        horizon: steps after which an episode is cut.
        files: D4RL's versioned names and where each file lies, the recommended one last.
        minari: id of Minari's counterpart, or None.
    """

    name: str
    family: str
    horizon: int
    files: dict[str, str]
    minari: str | None = None


def _locomotion() -> list[Entry]:
    entries = []
    short = {"medium-replay": "mixed"}
    for world in ("hopper", "halfcheetah", "walker2d", "ant"):
        for variant in ("random", "medium", "expert", "medium-replay", "full-replay", "medium-expert"):
            name = f"{world}-{variant}"
            files = {}
            if variant != "full-replay":
                stem = "walker" if (world, variant) == ("walker2d", "medium-replay") else world
                old = short.get(variant, variant).replace("-", "_")
                files[f"{name}-v0"] = f"{_SERVER}/gym_mujoco/{stem}_{old}.hdf5"
            for version in ("v1", "v2"):
                file = f"{world}_{variant.replace('-', '_')}-{version}.hdf5"
                files[f"{name}-{version}"] = f"{_SERVER}/gym_mujoco_{version}/{file}"
            minari = f"mujoco/{world}/{variant}-v0" if variant in ("medium", "expert") else None
            entries.append(Entry(name, "locomotion", 1000, files, minari))
    return entries


def _pointmaze() -> list[Entry]:
    entries = []
    horizons = {"open": 150, "umaze": 300, "medium": 600, "large": 800}
    for maze in ("open", "umaze", "medium", "large", "eval-umaze", "eval-medium", "eval-large"):
        for dense in ("", "-dense"):
            version = "v0" if maze == "open" else "v1"
            file = f"maze2d-{maze}{dense or '-sparse'}" + ("" if maze == "open" else "-v1")
            files = {f"maze2d-{maze}{dense}-{version}": f"{_SERVER}/maze2d/{file}.hdf5"}
            minari = None if maze.startswith("eval") else f"D4RL/pointmaze/{maze}{dense}-v2"
            horizon = horizons[maze.removeprefix("eval-")]
            entries.append(Entry(f"maze2d-{maze}{dense}", "pointmaze", horizon, files, minari))
    return entries


def _antmaze() -> list[Entry]:
    entries = []
    for maze, file, starts, goals in (
        ("umaze", "u-maze", False, False),
        ("umaze-diverse", "u-maze", True, True),
        ("medium-play", "big-maze", True, False),
        ("medium-diverse", "big-maze", True, True),
        ("large-play", "hardest-maze", True, False),
        ("large-diverse", "hardest-maze", True, True),
    ):
        path = f"Ant_maze_{file}_noisy_multistart_{starts}_multigoal_{goals}_sparse"
        files = {
            f"antmaze-{maze}-v0": f"{_SERVER}/ant_maze_new/{path}.hdf5",
            f"antmaze-{maze}-v2": f"{_SERVER}/ant_maze_v2/{path}_fixed.hdf5",
        }
        horizon = 700 if maze.startswith("umaze") else 1000
        entries.append(Entry(f"antmaze-{maze}", "antmaze", horizon, files, f"D4RL/antmaze/{maze}-v1"))
    return entries


def _adroit() -> list[Entry]:
    entries = []
    for task in ("pen", "hammer", "door", "relocate"):
        old = {
            "human": f"{task}-v0_demos_clipped",
            "cloned": f"{task}-demos-v0-bc-combined",
            "expert": f"{task}-v0_expert_clipped",
        }
        for variant, file in old.items():
            name = f"{task}-{variant}"
            files = {
                f"{name}-v0": f"{_SERVER}/hand_dapg/{file}.hdf5",
                f"{name}-v1": f"{_SERVER}/hand_dapg_v1/{name}-v1.hdf5",
            }
            horizon = 100 if task == "pen" else 200
            entries.append(Entry(name, "adroit", horizon, files, f"D4RL/{task}/{variant}-v2"))
    return entries


def _kitchen() -> list[Entry]:
    files = {
        "complete": "mini_kitchen_microwave_kettle_light_slider-v0",
        "partial": "kitchen_microwave_kettle_light_slider-v0",
        "mixed": "kitchen_microwave_kettle_bottomburner_light-v0",
    }
    return [
        Entry(
            f"kitchen-{variant}",
            "kitchen",
            280,
            {f"kitchen-{variant}-v0": f"{_SERVER}/kitchen/{file}.hdf5"},
            f"D4RL/kitchen/{variant}-v2",
        )
        for variant, file in files.items()
    ]


def _others() -> list[Entry]:
    def entry(name: str, family: str, horizon: int, file: str, minari: str | None = None) -> Entry:
        return Entry(name, family, horizon, {f"{name}-v0": f"{_SERVER}/{file}.hdf5"}, minari)

    entries = [
        entry("minigrid-fourrooms", "grid", 50, "minigrid/minigrid4rooms", "D4RL/minigrid/fourrooms-v0"),
        entry(
            "minigrid-fourrooms-random",
            "grid",
            50,
            "minigrid/minigrid4rooms_random",
            "D4RL/minigrid/fourrooms-random-v0",
        ),
        entry("carla-lane", "carla", 250, "carla/carla_lane_follow_flat-v0"),
        entry("carla-town", "carla", 1000, "carla/carla_town_subsamp_flat-v0"),
        entry("carla-town-full", "carla", 1000, "carla/carla_town_flat-v0"),
    ]
    for road, horizon in (("ring", 500), ("merge", 750)):
        for variant, file in (("random", "random"), ("controller", "idm")):
            entries.append(entry(f"flow-{road}-{variant}", "flow", horizon, f"flow/flow-{road}-v0-{file}"))
    for world in ("halfcheetah", "hopper", "ant", "walker2d"):
        for variant in ("random", "medium", "expert", "medium-expert", "medium-replay"):
            name = f"bullet-{world}-{variant}"
            entries.append(entry(name, "bullet", 1000, f"bullet/bullet-{world}_{variant.replace('-', '_')}"))
    for maze, horizon in (("open", 150), ("umaze", 300), ("medium", 600), ("large", 800)):
        entries.append(entry(f"bullet-maze2d-{maze}", "bullet", horizon, f"bullet/bullet-maze2d-{maze}-sparse"))
    return entries


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for family in (_locomotion, _pointmaze, _antmaze, _adroit, _kitchen, _others)
    for entry in family()
}
"""Every dataset of D4RL by its name without version."""


def find_entry(name: str) -> Entry | None:
    """The catalogue's entry of a D4RL name with or without version, or None."""
    return CATALOGUE.get(re.sub(r"-v\d+$", "", name))


def _names(worlds: str, variants: str) -> list[str]:
    return [f"{world}-{variant}" for world in worlds.split() for variant in variants.split()]


BUILDABLE: tuple[str, ...] = (
    *_names("hopper halfcheetah walker2d ant", "random medium medium-replay medium-expert full-replay expert"),
    "halfcheetah-first-steps",
    *_names("maze-umaze maze-medium maze-large", "undirected expert mixed"),
    *_names("pendulum", "random medium medium-replay expert"),
    *_names("mountain-car lava-gap", "random mixed replay noisy expert"),
    *_names("table-kitchen", "demonstrations partial"),
    *_names("four-rooms babyai-go-to-red-ball babyai-go-to-local", "expert noisy random"),
)
"""Names that ``headstart data build`` has a recipe for."""
