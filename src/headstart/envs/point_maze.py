"""A point mass in the mazes of D4RL, with a shortest-path controller."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.core.specs import Box, Spec
from headstart.envs.functional import FunctionalWorld

# Maps of D4RL (Fu et al. 2020), with a start cell S added: # wall, O free, G goal.
MAPS = {
    "umaze": ("#####", "#GOO#", "###O#", "#SOO#", "#####"),
    "medium": (
        "########",
        "#SO##OO#",
        "#OO#OOO#",
        "##OOO###",
        "#OO#OOO#",
        "#O#OO#O#",
        "#OOO#OG#",
        "########",
    ),
    "large": (
        "############",
        "#SOOO#OOOOO#",
        "#O##O#O#O#O#",
        "#OOOOOO#OOO#",
        "#O####O###O#",
        "#OO#O#OOOOO#",
        "##O#O#O#O###",
        "#OO#OOO#OGO#",
        "############",
    ),
}
HORIZONS = {"umaze": 60, "medium": 100, "large": 200}

_TIME_STEP = 0.2
_ACCELERATION = 2.0
_DAMPING = 0.5
_MAXIMUM_SPEED = 1.5
_WALL_MARGIN = 0.1
_GOAL_RADIUS = 0.5


class PointMazeState(NamedTuple):
    """Position and velocity in cells (row first) and cells per second, where the controller heads, and a key.

    Attributes:
        position: cell (i, j) spans [i, i+1] x [j, j+1].
        velocity: at most 1.5 along each axis.
        destination: row and column of the cell that the controller heads for.
        key: draws later destinations of a roaming controller.
    """

    position: Float[Array, "2"]
    velocity: Float[Array, "2"]
    destination: Int[Array, "2"]
    key: PRNGKeyArray


@dataclass(frozen=True)
class PointMaze(FunctionalWorld):
    """Push a point mass through a maze to the goal cell; the reward is 1 within half a cell of it, else 0.

    Observations are position and velocity, scaled to [-1, 1]; actions are a push along each axis in [-1, 1].

    Attributes:
        maze: "umaze", "medium" or "large".
        start: from the start cell, or from a "random" free cell.
        destination: where the scripted controller heads. "goal"; one "random" free cell an episode; or "roaming", a
            new random cell each time one is reached. Rewards and terminations are always about the goal, so the last
            two record undirected data for it.
        terminate: whether reaching the goal ends the episode.
        reward: "sparse" (0 or 1), or "dense", exp(-distance to the goal).
    """

    maze: str = "medium"
    start: Literal["start", "random"] = "start"
    destination: Literal["goal", "random", "roaming"] = "goal"
    terminate: bool = True
    reward: Literal["sparse", "dense"] = "sparse"

    def __post_init__(self):
        if self.maze not in MAPS:
            raise unknown("maze", self.maze, MAPS)
        for field, accepted in _CHOICES.items():
            if getattr(self, field) not in accepted:
                raise UsageError(f"{field}={getattr(self, field)!r}; accepted: {', '.join(accepted)}")

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return f"point-maze-{self.maze}"

    @property
    def horizon(self) -> int:
        """60, 100 or 200 steps, by the maze."""
        return HORIZONS[self.maze]

    @property
    def spec(self) -> Spec:
        """Observations [4] and actions [2], both within [-1, 1]."""
        return Spec(Box.uniform((4,), -1.0, 1.0), Box.uniform((2,), -1.0, 1.0))

    def reset(self, key: PRNGKeyArray) -> PointMazeState:
        """At rest within 0.2 of the centre of the start cell."""
        maze = _compile(self.maze)
        offset_key, cell_key, destination_key, key = jax.random.split(key, 4)
        offset = jax.random.uniform(offset_key, (2,), minval=-0.2, maxval=0.2)
        cell = _random_cell(maze, cell_key) if self.start == "random" else jnp.asarray(maze.start)
        destination = jnp.asarray(maze.goal) if self.destination == "goal" else _random_cell(maze, destination_key)
        return PointMazeState(cell + 0.5 + offset, jnp.zeros(2), destination, key)

    def observe(self, state: PointMazeState) -> Float[Array, "4"]:
        """(row, column, velocity along each), scaled to [-1, 1]."""
        size = jnp.asarray(_compile(self.maze).walls.shape, jnp.float32)
        scaled = jnp.concatenate([2 * state.position / size - 1, state.velocity / _MAXIMUM_SPEED])
        return jnp.clip(scaled, -1.0, 1.0)  # rounding may pass the bounds

    def step(
        self, state: PointMazeState, action: Float[Array, "2"]
    ) -> tuple[PointMazeState, Float[Array, ""], Bool[Array, ""]]:
        """Accelerate, then move along each axis in turn unless a wall is in the way."""
        maze = _compile(self.maze)
        walls, goal = jnp.asarray(maze.walls), jnp.asarray(maze.goal) + 0.5
        push = jnp.clip(action, -1.0, 1.0)
        velocity = state.velocity + _TIME_STEP * (_ACCELERATION * push - _DAMPING * state.velocity)
        velocity = jnp.clip(velocity, -_MAXIMUM_SPEED, _MAXIMUM_SPEED)
        position = state.position
        for axis in range(2):
            moved = position.at[axis].add(_TIME_STEP * velocity[axis])
            edge = moved.at[axis].add(_WALL_MARGIN * jnp.sign(velocity[axis]))
            row, column = jnp.floor(edge).astype(jnp.int32)
            blocked = walls[row, column]
            position = jnp.where(blocked, position, moved)
            velocity = velocity.at[axis].set(jnp.where(blocked, 0.0, velocity[axis]))
        distance = jnp.linalg.norm(position - goal)
        reached = distance <= _GOAL_RADIUS
        reward = jnp.exp(-distance) if self.reward == "dense" else reached.astype(jnp.float32)
        destination, key = state.destination, state.key
        if self.destination == "roaming":
            key, cell_key = jax.random.split(key)
            arrived = jnp.linalg.norm(position - destination - 0.5) <= _GOAL_RADIUS
            destination = jnp.where(arrived, _random_cell(maze, cell_key), destination)
        terminated = reached if self.terminate else jnp.zeros((), bool)
        return PointMazeState(position, velocity, destination, key), reward, terminated

    def controller(self, state: PointMazeState) -> Float[Array, "2"]:
        """Steer for the centre of the next cell on a shortest path to the destination."""
        maze = _compile(self.maze)
        columns = maze.walls.shape[1]
        row, column = jnp.floor(state.position).astype(jnp.int32)
        here, there = row * columns + column, state.destination[0] * columns + state.destination[1]
        following = jnp.asarray(maze.next_cell)[here, there]
        target = jnp.stack([following // columns, following % columns]) + 0.5
        return jnp.clip(4.0 * (target - state.position) - 1.5 * state.velocity, -1.0, 1.0)


_CHOICES = {
    "start": ("start", "random"),
    "destination": ("goal", "random", "roaming"),
    "reward": ("sparse", "dense"),
}


class _Maze(NamedTuple):
    walls: np.ndarray  # bool [rows, columns]
    start: np.ndarray  # int32 [2]
    goal: np.ndarray  # int32 [2]
    free: np.ndarray  # int32 [cells, 2]
    next_cell: np.ndarray  # int32 [from, to], cells numbered along rows; itself where there is no path


@cache
def _compile(name: str) -> _Maze:
    cells = np.array([list(row) for row in MAPS[name]])
    walls = cells == "#"
    columns = walls.shape[1]
    next_cell = np.tile(np.arange(walls.size, dtype=np.int32)[:, None], (1, walls.size))
    for goal in np.flatnonzero(~walls):
        seen, frontier = {goal}, deque([goal])
        while frontier:
            cell = frontier.popleft()
            for step in (-columns, columns, -1, 1):
                if not walls.flat[cell + step] and cell + step not in seen:
                    seen.add(cell + step)
                    frontier.append(cell + step)
                    next_cell[cell + step, goal] = cell
    start, goal = (np.argwhere(cells == letter)[0].astype(np.int32) for letter in "SG")
    return _Maze(walls, start, goal, np.argwhere(~walls).astype(np.int32), next_cell)


def _random_cell(maze: _Maze, key: PRNGKeyArray) -> Int[Array, "2"]:
    return jnp.asarray(maze.free)[jax.random.randint(key, (), 0, len(maze.free))]


umaze = partial(PointMaze, maze="umaze")
medium = partial(PointMaze, maze="medium")
large = partial(PointMaze, maze="large")
