"""Worlds by name: our own, Gymnasium's, EnvPool's and the user's."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from headstart.core.errors import UsageError
from headstart.core.registry import Entry, Registry, load_attribute, unknown

if TYPE_CHECKING:
    import gymnasium

    from headstart.envs.functional import FunctionalWorld
    from headstart.envs.worlds import Worlds

FUNCTIONAL_WORLDS = Registry("world")
for _name, _target, _summary in (
    ("point-maze-umaze", "point_maze:umaze", "point mass in the U-shaped maze of D4RL"),
    ("point-maze-medium", "point_maze:medium", "point mass in the medium maze of D4RL"),
    ("point-maze-large", "point_maze:large", "point mass in the large maze of D4RL"),
    ("pendulum", "pendulum:Pendulum", "swing a rod up and hold it; physics can be altered"),
    ("mountain-car", "mountain_car:discrete", "rock a car out of a valley, three actions, -1 a step"),
    ("mountain-car-continuous", "mountain_car:continuous", "rock a car out of a valley, bonus at the goal"),
    ("table-kitchen", "table_kitchen:TableKitchen", "switch on four of five sites; demonstrations show three"),
    ("lava-gap", "lava_gap:LavaGap", "7x7 grid with a gap in a wall of lava, deterministic"),
):
    FUNCTIONAL_WORLDS.add(_name, f"headstart.envs.{_target}", _summary)

# Packages whose worlds appear in Gymnasium's registry once they are imported, by how their ids start.
_PROVIDERS = {
    ("MiniGrid-", "BabyAI-"): ("minigrid", "minigrid"),
    ("AntMaze", "PointMaze", "Adroit", "FrankaKitchen", "Fetch", "HandReach", "HandManipulate"): (
        "gymnasium_robotics",
        "gymnasium-robotics",
    ),
    ("ALE/",): ("ale_py", "ale-py"),
    ("Meta-World/",): ("metaworld", "metaworld"),
    ("MinAtar/",): ("minatar", "minatar"),
}


def functional(name: str, **options: Any) -> FunctionalWorld:
    """A pure-JAX world by name, or the user's own as ``module:attribute`` (a class or factory).

    Args:
        name: a name that ``list_worlds`` shows, or ``module:attribute``.
        options: fields of the world.

    Raises:
        UsageError: the name or an option is unknown.
    """
    world = find_functional(name, **options)
    if world is None:
        raise unknown("functional world", name, FUNCTIONAL_WORLDS.names())
    return world


def find_functional(name: str, **options: Any) -> FunctionalWorld | None:
    """As ``functional``, but None for the name of a world that is acted in on the host."""
    import gymnasium

    from headstart.envs.functional import FunctionalWorld

    target = _resolve(name)
    if target is None or (isinstance(target, type) and issubclass(target, gymnasium.Env)):
        return None
    world = _call(target, name, options)
    if isinstance(world, FunctionalWorld):
        return world
    if isinstance(world, gymnasium.Env):
        world.close()
    return None


def make(
    name: str,
    count: int = 1,
    seed: int = 0,
    *,
    engine: Literal["gymnasium", "envpool", "auto"] = "gymnasium",
    flatten: bool = False,
    max_episode_steps: int | None = None,
    **options: Any,
) -> Worlds:
    """Worlds to act in on the host, ``count`` copies stepped together.

    Args:
        name: one of our names ("point-maze-medium"), a Gymnasium id ("Hopper-v5"), or the user's own
            ``module:attribute`` (an environment class, a functional world, or a function that makes one).
        count: how many copies.
        seed: seeds every episode, together with the copy's index and the episode's number.
        engine: "envpool" steps the copies in parallel in C++ (the id must be one of EnvPool's); "auto" does so where
            EnvPool is installed and has the id with the same spaces.
        flatten: flatten observations of any kind that Gymnasium can flatten into one vector.
        max_episode_steps: truncate episodes after this many steps, in place of the id's own limit.
        options: passed to the world.

    Raises:
        UsageError: the name, an option or the kind of spaces is not usable.
    """
    from headstart.envs.worlds import GymnasiumWorlds

    if engine not in ("gymnasium", "envpool", "auto"):
        raise unknown("engine", engine, ("gymnasium", "envpool", "auto"))
    if engine == "envpool" or (engine == "auto" and not flatten):
        from headstart.envs.envpool_worlds import EnvPoolWorlds, envpool_ids

        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        if engine == "envpool":
            if flatten:
                raise UsageError("engine=envpool gives observations as they are; flatten needs engine=gymnasium")
            return EnvPoolWorlds(name, count, seed, **limit, **options)
        if name in envpool_ids():
            with suppress(UsageError):
                return EnvPoolWorlds(name, count, seed, **limit, **options)
    factory = partial(make_environment, name, flatten=flatten, max_episode_steps=max_episode_steps, **options)
    return GymnasiumWorlds(factory, count, seed, name)


def make_environment(
    name: str, *, flatten: bool = False, max_episode_steps: int | None = None, **options: Any
) -> gymnasium.Env:
    """One Gymnasium environment by any name that ``make`` takes; see there."""
    import gymnasium

    from headstart.envs.functional import FunctionalWorld
    from headstart.envs.gymnasium_face import FunctionalEnv

    target = _resolve(name)
    if target is None:
        environment = _gymnasium_make(name, max_episode_steps, options)
    else:
        made = _call(target, name, options)
        environment = FunctionalEnv(made) if isinstance(made, FunctionalWorld) else made
        if not isinstance(environment, gymnasium.Env):
            raise UsageError(f"{name!r} made a {type(made).__name__}; expected a gymnasium.Env or a FunctionalWorld")
        if max_episode_steps is not None:
            environment = gymnasium.wrappers.TimeLimit(environment, max_episode_steps)
    return gymnasium.wrappers.FlattenObservation(environment) if flatten else environment


def list_worlds() -> list[Entry]:
    """Every world that can be made by name: ours, then Gymnasium's registered ids (newest versions)."""
    import gymnasium

    newest: dict[str, Any] = {}
    for spec in sorted(gymnasium.registry.values(), key=lambda spec: spec.version or 0):
        if spec.namespace != "headstart":
            newest[f"{spec.namespace}/{spec.name}"] = spec
    others = [Entry(spec.id, str(spec.entry_point), "Gymnasium") for spec in newest.values()]
    return [*FUNCTIONAL_WORLDS, *sorted(others, key=lambda entry: entry.name)]


def _gymnasium_make(name: str, max_episode_steps: int | None, options: dict[str, Any]) -> gymnasium.Env:
    import gymnasium

    advice = ""
    for starts, (module, package) in _PROVIDERS.items():
        if name.startswith(starts):
            try:
                gymnasium.register_envs(load_attribute(f"{module}:__name__"))
            except UsageError:
                advice = f"It may be one of {package}'s: pip install {package}."
    try:
        spec = gymnasium.spec(name.partition(":")[2] or name)
    except gymnasium.error.Error as error:
        known = [*FUNCTIONAL_WORLDS.names(), *gymnasium.registry]
        raise unknown("world", name, known, advice or "A world of your own is module:Env.") from error
    try:
        with _quiet_mujoco() if "mujoco" in str(spec.entry_point) else nullcontext():
            return gymnasium.make(name, max_episode_steps, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise UsageError(f"cannot make {name!r}: {error}") from error
    except TypeError as error:
        raise UsageError(f"cannot make {name!r} with options {options}: {error}") from error


@contextmanager
def _quiet_mujoco() -> Iterator[None]:
    """MuJoCo 4 prints, and writes to a file where it is run, that Gymnasium's models use deprecated attributes."""
    config = getattr(importlib.import_module("mujoco"), "MjLogConfig", None)
    if config is None:
        yield
        return
    before, quiet = config.get(), config.get()
    quiet.logto_console = quiet.logto_file = False
    quiet.set()
    try:
        yield
    finally:
        before.set()


def _resolve(name: str) -> Any:
    """What makes our or the user's world of this name; None where it is for Gymnasium to make."""
    import gymnasium

    if name in FUNCTIONAL_WORLDS:
        return FUNCTIONAL_WORLDS.get(name)
    module, colon, attribute = name.partition(":")
    if not colon:
        return None
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # a console script does not look for modules where it is run
    load_attribute(f"{module}:__name__")
    return None if attribute in gymnasium.registry else load_attribute(name)  # Gymnasium too has module:id names


def _call(factory: Any, name: str, options: dict[str, Any]) -> Any:
    if not callable(factory):
        if options:
            raise UsageError(f"{name!r} is made already; options {sorted(options)} cannot be given to it")
        return factory
    try:
        return factory(**options)
    except TypeError as error:
        raise UsageError(f"cannot make {name!r} with options {options}: {error}") from error
