"""Datasets of grid worlds: BabyAI's own bot, and a shortest-path planner for the four rooms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from headstart.control.recipes.recipe import Recipe, Recording
from headstart.control.recipes.recording import record, uniform
from headstart.envs.registry import make_environment
from headstart.envs.worlds import GymnasiumWorlds

COUNT = 4
"""Copies of the world that are recorded together."""


class Guide(Protocol):
    """Chooses actions for one episode."""

    def action(self, last: int | None) -> int | None:
        """The next action, given the one that was taken last (None at the beginning); None where it is at a loss."""
        ...


class Bot:
    """BabyAI's bot, which knows the rules and sees what the agent has seen."""

    def __init__(self, environment: Any):
        from minigrid.utils.baby_ai_bot import BabyAIBot

        self._bot: Any = BabyAIBot(environment)

    def action(self, last: int | None) -> int | None:
        """See ``Guide.action``; once a box has been opened or its plan has broken, the bot has no more to say."""
        from minigrid.utils.baby_ai_bot import DisappearedBoxError

        try:
            return None if self._bot is None else int(self._bot.replan(last))
        except (DisappearedBoxError, AssertionError):
            self._bot = None
            return None


class Planner:
    """Walks a shortest path to the goal over the whole map."""

    def __init__(self, environment: Any):
        self._world = environment
        self._distances = _distances_to_goal(self._world.grid)

    def action(self, last: int | None) -> int:
        """Turn or step forward (0 left, 1 right, 2 forward), whichever comes first on a shortest path."""
        position, heading = tuple(self._world.agent_pos), int(self._world.agent_dir)
        turned = [(2, _ahead(position, heading), heading)]
        turned += [(action, position, (heading + turn) % 4) for action, turn in ((0, -1), (1, 1))]
        return min(turned, key=lambda option: self._distances.get((*option[1], option[2]), np.inf))[0]


def _ahead(position: tuple[int, ...], heading: int) -> tuple[int, int]:
    across, down = ((1, 0), (0, 1), (-1, 0), (0, -1))[heading]
    return position[0] + across, position[1] + down


def _distances_to_goal(grid: Any) -> dict[tuple[int, int, int], int]:
    """Steps to the goal from every column, row and heading, by search from the goal."""
    kinds = {(x, y): getattr(grid.get(x, y), "type", None) for x in range(grid.width) for y in range(grid.height)}
    goal = next(cell for cell, kind in kinds.items() if kind == "goal")
    distances = {(*goal, heading): 0 for heading in range(4)}
    frontier = deque(distances)
    while frontier:
        x, y, heading = at = frontier.popleft()
        behind = _ahead((x, y), (heading + 2) % 4)
        sources = [(x, y, (heading + 1) % 4), (x, y, (heading - 1) % 4)]
        sources += [(*behind, heading)] if kinds.get(behind) is None and behind in kinds else []
        for source in sources:
            if source not in distances:
                distances[source] = distances[at] + 1
                frontier.append(source)
    return distances


def _record(
    world: str, guide: Callable[[Any], Guide], random: float, transitions: int | None, seed: int, show_progress: bool
) -> Recording:
    """What a guide does, each action replaced by a uniform one with probability ``random``."""
    assert transitions is not None
    worlds = GymnasiumWorlds(partial(make_environment, world), COUNT, seed, world)
    bases: list[Any] = [environment.unwrapped for environment in worlds.environments]
    generator = np.random.default_rng((seed, 1))
    anything = uniform(worlds.spec, COUNT, seed)
    guides: list[Any] = [None] * COUNT
    last: list[int | None] = [None] * COUNT

    def choose(observations: np.ndarray, step: int) -> np.ndarray:
        actions = anything(observations, step)
        replaced = generator.random(COUNT) < random
        for index, environment in enumerate(bases):
            if environment.step_count == 0:
                guides[index], last[index] = guide(environment), None
            if random < 1:
                wanted = guides[index].action(last[index])
                actions[index] = actions[index] if replaced[index] or wanted is None else wanted
            last[index] = int(actions[index])
        return actions

    facts = {"behaviour": {"random": random}}
    return Recording(worlds.spec, record(worlds, choose, transitions), transitions, facts)


def _recipes(name: str, world: str, guide: Callable[[Any], Guide], who: str) -> list[Recipe]:
    kinds = (
        ("expert", 0.0, f"{who}"),
        ("noisy", 0.3, f"{who}, with three actions in ten uniform"),
        ("random", 1.0, "uniform actions"),
    )
    return [
        Recipe(
            f"{name}-{kind}",
            f"headstart.envs.grids:{world}",
            summary,
            20_000,
            "a minute",
            partial(_record, f"headstart.envs.grids:{world}", guide, random),
            ready=lambda: True,
        )
        for kind, random, summary in kinds
    ]


GRID_RECIPES = [
    *_recipes(
        "four-rooms", "four_rooms", Planner, "the shortest path over the whole map, of which the agent sees a part"
    ),
    *_recipes("babyai-go-to-red-ball", "go_to_red_ball", Bot, "BabyAI's bot"),
    *_recipes("babyai-go-to-local", "go_to_local", Bot, "BabyAI's bot"),
]
"""Datasets of MiniGrid's four rooms and two BabyAI levels; observations as in ``headstart.envs.grids``."""
