"""Recorded episodes of a finite world: played by a policy, checked, counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import FiniteMDP, FiniteSpec, Numbers


class Episodes(NamedTuple):
    """Whole episodes; row ``i``, column ``h`` is step ``h`` of episode ``i``."""

    observations: Int[np.ndarray, "episodes horizon"]
    actions: Int[np.ndarray, "episodes horizon"]
    rewards: Float[np.ndarray, "episodes horizon"]
    next_observations: Int[np.ndarray, "episodes horizon"]

    def select(self, episodes: Any) -> Episodes:
        """The episodes at the given indices, slice or mask."""
        return Episodes(*(column[episodes] for column in self))


class Counts(NamedTuple):
    """What tabular learners need of recorded data; ``steps`` is the horizon, or 1 (or left out) when steps are pooled.

    More leading axes, the same for all arrays, may keep data sets apart.
    """

    transitions: Float[np.ndarray, "*steps states actions next"]
    reward_sums: Float[np.ndarray, "*steps states actions"]
    terminations: Float[np.ndarray, "*steps states actions"] | float = 0.0
    """Visits after which the world ended, so that no state followed."""

    @property
    def visits(self) -> Float[np.ndarray, "*steps states actions"]:
        """How often each action was taken in each state."""
        return self.transitions.sum(-1) + self.terminations

    @property
    def mean_reward(self) -> Float[np.ndarray, "*steps states actions"]:
        """Average reward; 0 where the action was never taken."""
        return self.reward_sums / np.maximum(self.visits, 1)

    @property
    def frequencies(self) -> Float[np.ndarray, "*steps states actions next"]:
        """Fraction of the visits after which each state followed; rows of 0 where the action was never taken."""
        return self.transitions / np.maximum(self.visits, 1)[..., None]


def collect(
    world: FiniteMDP, policy: Float[Numbers, "horizon states actions"], episodes: int, seed: int = 0
) -> Episodes:
    """Episodes of a policy; as many at a time as there are, so NumPy is fast enough.

    Raises:
        UsageError: the policy has another shape than ``[horizon, states, actions]``.
    """
    shape = (world.horizon, world.states, world.actions)
    policy = np.asarray(policy, np.float64)
    if policy.shape != shape:
        raise UsageError(f"the policy has the shape {list(policy.shape)}; expected {list(shape)}")
    random = np.random.default_rng(seed)
    state = _draw(random, np.broadcast_to(np.asarray(world.initial), (episodes, world.states)))
    columns = []
    for step in range(world.horizon):
        transition, mean = (np.asarray(part, np.float64) for part in world.at(step))
        action = _draw(random, policy[step, state])
        following = _draw(random, transition[state, action])
        reward = mean[state, action]
        if world.reward_noise == "bernoulli":
            reward = (random.random(episodes) < reward).astype(np.float64)
        columns.append((state, action, reward, following))
        state = following
    return Episodes(*(np.stack(column, axis=1) for column in zip(*columns)))


def count(data: Episodes, spec: FiniteSpec, pooled: bool = False) -> Counts:
    """Count transitions and add up rewards, at each step or (``pooled``) over all steps together."""
    check_episodes(data, spec)
    step = np.broadcast_to(np.zeros(spec.horizon, int) if pooled else np.arange(spec.horizon), data.actions.shape)
    shape = (1 if pooled else spec.horizon, spec.states, spec.actions, spec.states)
    where = np.ravel_multi_index((step, data.observations, data.actions, data.next_observations), shape).ravel()
    pair = where // spec.states
    transitions = np.bincount(where, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
    rewards = np.bincount(pair, weights=data.rewards.ravel(), minlength=int(np.prod(shape[:3]))).reshape(shape[:3])
    return Counts(transitions, rewards)


def check_episodes(data: Episodes, spec: FiniteSpec) -> None:
    """Refuse episodes that do not fit the world.

    Raises:
        DataError: columns of different shapes or another horizon; a state or action that is not a whole number in
            range; a reward that is not finite. The message names the first such entry.
    """
    shapes = {name: np.shape(column) for name, column in data._asdict().items()}
    expected = (len(data.observations), spec.horizon)
    for name, shape in shapes.items():
        if shape != expected:
            raise DataError(f"{name} has the shape {list(shape)}; expected [episodes, horizon], here {list(expected)}")
    limits = {"observations": spec.states, "actions": spec.actions, "next_observations": spec.states}
    for name, limit in limits.items():
        column = np.asarray(getattr(data, name))
        if column.dtype.kind not in "iu":
            raise DataError(f"{name} are of type {column.dtype}; expected whole numbers from 0 to {limit - 1}")
        _refuse(name, column, (column < 0) | (column >= limit), f"expected 0 to {limit - 1}")
    _refuse("rewards", data.rewards, ~np.isfinite(data.rewards), "expected a finite number")


def _refuse(name: str, column: np.ndarray, wrong: np.ndarray, expected: str) -> None:
    if wrong.any():
        episode, step = np.argwhere(wrong)[0]
        raise DataError(f"{name} of episode {episode} at step {step} is {column[episode, step]}; {expected}")


def _draw(random: np.random.Generator, probabilities: Float[np.ndarray, "rows n"]) -> Int[np.ndarray, " rows"]:
    """One index for each row; none of probability zero."""
    cumulative = np.cumsum(probabilities, axis=1)
    return (cumulative <= random.random((len(cumulative), 1)) * cumulative[:, -1:]).sum(1)
