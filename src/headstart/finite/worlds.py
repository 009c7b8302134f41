"""Episodic worlds by name: a constructor each, with the optimum at hand from ``planning.backward_induction``."""

from __future__ import annotations

import numpy as np

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteMDP, RewardNoise


def random_world(
    states: int = 20,
    actions: int = 5,
    horizon: int = 10,
    seed: int = 0,
    concentration: float = 0.1,
    reward_noise: RewardNoise = "bernoulli",
) -> FiniteMDP:
    """Transitions from a Dirichlet distribution, mean rewards uniform in [0, 1], the same at every step; start 0.

    Args:
        states: number of states.
        actions: number of actions.
        horizon: steps of an episode.
        seed: of the world.
        concentration: of the Dirichlet distribution; small ones make transitions nearly deterministic.
        reward_noise: how rewards vary.
    """
    random = np.random.default_rng(seed)
    transition = random.dirichlet(np.full(states, concentration), (states, actions))
    return FiniteMDP.of(transition, random.random((states, actions)), horizon, reward_noise=reward_noise)


def river_swim(states: int = 6, horizon: int = 20, reward_noise: RewardNoise = "bernoulli") -> FiniteMDP:
    """Swim against the stream (action 1) for reward 1 at its source, or drift (action 0) for 0.005 at its mouth.

    Strehl and Littman 2008: swimming moves up with probability 0.35 and down with 0.05 (at the mouth up with 0.6, at
    the source down with 0.4); drifting always moves down. Acting at random hardly ever gets to the source.
    """
    if states < 2:
        raise UsageError(f"river-swim has {states} states; it needs at least 2")
    transition = np.zeros((states, 2, states))
    for state in range(states):
        transition[state, 0, max(state - 1, 0)] = 1
        transition[state, 1, max(state - 1, 0)] += 0.05
        transition[state, 1, state] += 0.6
        transition[state, 1, min(state + 1, states - 1)] += 0.35
    transition[0, 1] = 0.4 * np.eye(states)[0] + 0.6 * np.eye(states)[1]
    transition[-1, 1] = 0.4 * np.eye(states)[-2] + 0.6 * np.eye(states)[-1]
    reward = np.zeros((states, 2))
    reward[0, 0], reward[-1, 1] = 0.005, 1
    return FiniteMDP.of(transition, reward, horizon, reward_noise=reward_noise)


def combination_lock(horizon: int = 6, actions: int = 4, seed: int = 0, decoy: float = 0.1) -> FiniteMDP:
    """Reward 1 for the right action at every step, found by exploring in depth alone; giving up at once pays a little.

    States are: on the way (0), failed (1). The code, one action a step, is drawn from the seed. A wrong action fails
    and pays ``decoy`` at the first step, nothing later; random actions succeed with probability ``actions**-horizon``.
    """
    code = np.random.default_rng(seed).integers(0, actions, horizon)
    transition = np.zeros((horizon, 2, actions, 2))
    transition[:, :, :, 1] = 1
    transition[np.arange(horizon), 0, code] = [1, 0]
    reward = np.zeros((horizon, 2, actions))
    reward[0, 0] = decoy
    reward[0, 0, code[0]] = 0
    reward[-1, 0, code[-1]] = 1
    return FiniteMDP.of(transition, reward, horizon)


def deep_sea(size: int = 10, seed: int = 0) -> FiniteMDP:
    """Dive through a ``size`` by ``size`` grid: only always going right finds the treasure, and every step right costs.

    Osband et al. 2019 (bsuite). State ``row * size + column`` with the diver one row deeper each step; which of the two
    actions is right is drawn for each state from the seed. Rewards are shifted and scaled to [0, 1]: moving right costs
    ``0.01 / size`` against going left, and the treasure is worth 1 more.
    """
    rightward = np.random.default_rng(seed).integers(0, 2, (size, size))
    transition = np.zeros((size * size, 2, size * size))
    reward = np.full((size * size, 2), 0.01 / size)
    for row, column in np.ndindex(size, size):
        state, deeper = row * size + column, min(row + 1, size - 1) * size
        right, left = rightward[row, column], 1 - rightward[row, column]
        transition[state, right, deeper + min(column + 1, size - 1)] = 1
        transition[state, left, deeper + max(column - 1, 0)] = 1
        reward[state, right] = 0
    reward[-1, rightward[-1, -1]] = 1
    return FiniteMDP.of(transition, reward, size)


def two_rooms(horizon: int = 20, actions: int = 5, gap: float = 0.1, leave: float = 0.2, seed: int = 0) -> FiniteMDP:
    """The hard instance of lower bounds (Jaksch et al. 2010): one action enters the paying room slightly more often.

    From the poor room (0) every action leads to the rich one (1) with probability ``leave``, one of them with
    ``leave + gap``; the rich room pays 1 a step and is left with probability ``leave``. Any learner needs about
    ``actions / gap**2`` visits to tell.
    """
    if not 0 < leave <= leave + gap <= 1:
        raise UsageError(f"leave is {leave} and gap {gap}; probabilities leave and leave + gap lie in (0, 1]")
    enter = np.full(actions, leave)
    enter[np.random.default_rng(seed).integers(actions)] += gap
    stay = np.full(actions, 1 - leave)
    transition = np.stack([np.stack([1 - enter, enter], -1), np.stack([1 - stay, stay], -1)])
    return FiniteMDP.of(transition, np.stack([np.zeros(actions), np.ones(actions)]), horizon)


def grid(size: int = 5, horizon: int = 20, slip: float = 0.1) -> FiniteMDP:
    """Walk from one corner of a ``size`` by ``size`` grid to the other; reward 1 for every step spent at the goal.

    Actions are up, down, left, right; with probability ``slip`` the move is a random one; walls hold the walker.
    """
    moves = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    transition = np.zeros((size * size, 4, size * size))
    for row, column in np.ndindex(size, size):
        reached = [
            min(max(row + down, 0), size - 1) * size + min(max(column + right, 0), size - 1) for down, right in moves
        ]
        for action in range(4):
            transition[row * size + column, action, reached[action]] += 1 - slip
            for cell in reached:
                transition[row * size + column, action, cell] += slip / 4
    reward = np.zeros((size * size, 4))
    reward[-1] = 1
    return FiniteMDP.of(transition, reward, horizon)
