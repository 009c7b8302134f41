"""Snapshots of where a trained policy comes, and worlds whose early episodes start there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np

from headstart.control.actor_critic import ActorCritic
from headstart.control.policy import Policy, load_policy
from headstart.control.settings import Settings
from headstart.core.errors import UsageError
from headstart.envs.functional import FunctionalWorld
from headstart.envs.gymnasium_face import FunctionalEnv
from headstart.envs.registry import make_environment
from headstart.envs.snapshots import SnapshotEnv, Snapshots, collect_snapshots
from headstart.envs.worlds import GymnasiumWorlds, Worlds
from headstart.runs.folder import RunFolder


def worlds_at_snapshots(world: Any, settings: Settings) -> Callable[[int, int], Worlds] | None:
    """What makes (from count and seed) the worlds to act in as the settings say; None if they name no snapshots.

    Functional worlds are acted in on the host, by their Gymnasium face.

    Raises:
        UsageError: there is no world, or the snapshots were taken in another one, or there are too few.
        CheckpointError: the file is missing or damaged.
    """
    if settings.snapshots is None:
        return None
    if world is None:
        raise UsageError("snapshots are given but no world; give the world that they were taken in")
    if isinstance(world, FunctionalWorld):
        world = partial(FunctionalEnv, world)
    plain: Callable[[], gymnasium.Env] = partial(make_environment, world) if isinstance(world, str) else world
    snapshots = Snapshots.load(settings.snapshots)

    def environment() -> gymnasium.Env:
        return SnapshotEnv(
            plain(),
            snapshots,
            clusters=settings.snapshot_clusters,
            truncate_after=settings.snapshot_truncation,
            until_step=settings.snapshot_steps,
        )

    environment().close()
    name = world if isinstance(world, str) else getattr(world, "__name__", type(world).__name__)
    return lambda count, seed: GymnasiumWorlds(environment, count, seed, name)


def snapshots_digest(settings: Settings) -> str:
    """What tells whether the file that the settings name has changed."""
    with Path(str(settings.snapshots)).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def snapshots_of(
    teacher: Path | str, *, seed: int | None = None, sampled: bool = False, first_episode: int = 0, **how: Any
) -> Snapshots:
    """States along the episodes of a run's policy in the run's world, valued by its first critic if it has critics.

    Args:
        teacher: a run; or the name of a world that has a scripted controller, which then is the teacher.
        seed: which of the run's seeds; the first by default.
        sampled: act as when exploring (the paper's SAC teachers), not greedily (its TD3 teachers).
        first_episode: seed of the first episode.
        how: ``episodes``, ``every``, ``best`` and ``discount`` of ``collect_snapshots``.

    Raises:
        UsageError: there is no such run or world, or its states cannot be read.
    """
    if not Path(teacher).exists():
        return collect_snapshots(make_environment(str(teacher)), seed=first_episode, **how)
    run = RunFolder.open(teacher)
    source = (run.config["world"] or {}).get("source")
    if source is None:
        raise UsageError(f"{run.path} has no world by name; collect with headstart.envs.snapshots.collect_snapshots")
    policy, key, taken = load_policy(run, seed), jax.random.key(first_episode), 0

    def act(observation: np.ndarray) -> np.ndarray:
        nonlocal taken
        taken += 1
        return policy(observation, jax.random.fold_in(key, taken) if sampled else None)

    value = partial(_value, policy) if isinstance(policy.method, ActorCritic) else None
    return collect_snapshots(make_environment(source), act, value=value, seed=first_episode, **how)


def _value(policy: Policy, observations: np.ndarray) -> np.ndarray:
    method, state = policy.method, policy.state
    assert isinstance(method, ActorCritic)
    seen = policy.preprocessor.observation(jax.numpy.asarray(observations, jax.numpy.float32))
    actions = method.act(state, seen, jax.random.key(0), explore=False)
    return np.asarray(method.q_values(state.nets["critic"], seen, actions)[0])
