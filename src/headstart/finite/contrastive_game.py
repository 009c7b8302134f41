"""Contrastive-UCB for two-player zero-sum games: both players are optimists, each for itself.

The model and the data are those of ``ContrastiveUCB`` with joint actions. Values get an upper bound for the first
player and a lower one for the second; play is a coarse correlated equilibrium of the two at each state (Qiu, Wang, Bai,
Yang and Wang 2022, arXiv 2207.14800, after Xie, Chen, Wang and Yang 2020). NumPy and small linear programs around a
compiled fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import jax
import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.contrastive import BlockModel
from headstart.finite.contrastive_ucb import ContrastiveUCB, Transitions, roll_in
from headstart.finite.games import Columns, Equilibrium, MarkovGame, Rows, coarse_correlated_equilibrium, solve_game


@dataclass(frozen=True, eq=False)
class PlayedGame:
    """What exploring a game gave."""

    rows: Rows
    """The first player's policy in the equilibrium of the learned model, without bonuses."""
    columns: Columns
    """The second player's."""
    transition: Float[np.ndarray, "horizon states joint next"]
    """The model's, by joint action ``row columns + column``."""
    transitions: Transitions
    """Counts of all data, likewise."""
    episodes: int
    """Episodes played."""


@dataclass(frozen=True)
class ContrastiveUCBGame:
    """Exploration of a game by upper and lower confidence bounds in contrastively learned features."""

    learner: ContrastiveUCB = field(default_factory=ContrastiveUCB)
    """Its constants are used as they are."""

    def explore(self, game: MarkovGame, iterations: int, seed: int = 0) -> PlayedGame:
        """Play ``iterations x horizon x trajectories`` episodes of a game whose mean rewards are known.

        Args:
            game: is played; its rewards are read, its transitions are not.
            iterations: how many, at least 1.
            seed: of the episodes and the model.

        Raises:
            UsageError: no iterations.
        """
        if iterations < 1:
            raise UsageError(f"iterations is {iterations}; expected at least 1")
        generator, world = np.random.default_rng(seed), game.joint
        model = BlockModel.random(world.states, world.actions, world.horizon, self.learner.hidden, jax.random.key(seed))
        policy = np.full((world.horizon, world.states, world.actions), 1 / world.actions)
        transitions = np.zeros((*policy.shape, world.states))
        transition = transitions
        for _ in range(iterations):
            transitions = transitions + roll_in(world, policy, self.learner.trajectories, generator)
            model, transition, bonus = self.learner.learn(model, transitions)
            policy = plan_game(game.reward, transition, bonus)
        found = _equilibrium(game, transition)
        episodes = iterations * world.horizon * self.learner.trajectories
        return PlayedGame(found.rows, found.columns, transition, transitions, episodes)


def plan_game(
    reward: Float[np.ndarray, "horizon states rows columns"],
    transition: Float[np.ndarray, "horizon states joint next"],
    bonus: Float[np.ndarray, "horizon states joint"],
) -> Float[np.ndarray, "horizon states joint"]:
    """A coarse correlated equilibrium of optimistic values at each step and state, values kept within [0, horizon]."""
    horizon, states, rows, columns = reward.shape
    upper, lower, policy = np.zeros(states), np.zeros(states), []
    for step in reversed(range(horizon)):
        paid = reward[step].reshape(states, -1)
        above = np.minimum(paid + bonus[step] + transition[step] @ upper, horizon)
        below = np.maximum(paid - bonus[step] + transition[step] @ lower, 0)
        joint = np.stack(
            [
                coarse_correlated_equilibrium(high.reshape(rows, columns), low.reshape(rows, columns)).ravel()
                for high, low in zip(above, below)
            ]
        )
        policy.insert(0, joint)
        upper, lower = (joint * above).sum(-1), (joint * below).sum(-1)
    return np.stack(policy)


def _equilibrium(game: MarkovGame, transition: Float[np.ndarray, "horizon states joint next"]) -> Equilibrium:
    learned = transition.reshape(game.transition.shape)
    return solve_game(replace(game, transition=learned))
