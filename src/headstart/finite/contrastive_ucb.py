"""Contrastive-UCB: explore with features learned by contrast and a bonus for directions of them not yet seen.

Qiu, Wang, Bai, Yang and Wang 2022 (arXiv 2207.14800). Each iteration rolls the policy in to every step, acts uniformly
from there, fits the model to all transitions by the contrastive loss, and plans in the model with the elliptical bonus
of its features. NumPy around a compiled fit: an iteration waits for the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.contrastive import BlockModel, ContrastiveModel, fit_contrastive, marginal, transition_of
from headstart.finite.drawing import draw_episodes
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import greedy, value_of

Transitions = Float[np.ndarray, "horizon states actions next"]


@dataclass(frozen=True, eq=False)
class Explored:
    """What exploring gave, iteration by iteration."""

    values: Float[np.ndarray, " iterations"]
    """Exact value, in the world, of the policy that is best in the learned model without any bonus."""
    policy: Float[np.ndarray, "horizon states actions"]
    """That policy after the last iteration."""
    model: ContrastiveModel
    transition: Transitions
    """The model's transition probabilities."""
    transitions: Transitions
    """Counts of all data."""
    episodes: int
    """Episodes played."""


@dataclass(frozen=True)
class ContrastiveUCB:
    """Exploration by upper confidence bounds in contrastively learned features."""

    hidden: int = 3
    """Hidden states of the model; the features have this many dimensions for each action."""
    bonus: float = 3.0
    """Times ``sqrt(phi Sigma^-1 phi)``; the analysis has an order of ``H sqrt(actions dimension log)``."""
    ridge: float = 1.0
    """Added to the diagonal of ``Sigma``."""
    trajectories: int = 10
    """Episodes for each step in an iteration."""
    updates: int = 150
    """Steps of Adam in an iteration, from where the last one ended."""
    learning_rate: float = 0.03
    """Of Adam."""
    negatives: Literal["uniform", "marginal"] = "uniform"
    """Next states that stand in for true ones: any, or as often as they follow in the data (half of them any)."""

    def __post_init__(self) -> None:
        if not (self.bonus >= 0 and self.ridge > 0) or min(self.hidden, self.trajectories, self.updates) < 1:
            raise UsageError(
                f"bonus is {self.bonus}, ridge {self.ridge}, hidden {self.hidden}, trajectories {self.trajectories} "
                f"and updates {self.updates}; expected a bonus of at least 0, a ridge above 0, at least 1 of the others"
            )
        if self.negatives not in ("uniform", "marginal"):
            raise UsageError(f"negatives is {self.negatives!r}; choose uniform or marginal")

    def explore(
        self,
        world: FiniteMDP,
        iterations: int,
        seed: int = 0,
        watch: Callable[[int, Explored], None] | None = None,
    ) -> Explored:
        """Play ``iterations x horizon x trajectories`` episodes of a world whose mean rewards are known.

        Args:
            world: is played; its rewards are read, its transitions only to say what policies are worth.
            iterations: how many, at least 1.
            seed: of the episodes and the model.
            watch: called after each iteration with its number and what there is so far.

        Raises:
            UsageError: no iterations.
        """
        if iterations < 1:
            raise UsageError(f"iterations is {iterations}; expected at least 1")
        generator = np.random.default_rng(seed)
        model = BlockModel.random(world.states, world.actions, world.horizon, self.hidden, jax.random.key(seed))
        reward = np.broadcast_to(world.reward, (world.horizon, world.states, world.actions)).astype(np.float64)
        transitions = np.zeros((*reward.shape, world.states))
        policy, values, explored = np.full(reward.shape, 1 / world.actions), [], None
        for iteration in range(iterations):
            transitions = transitions + roll_in(world, policy, self.trajectories, generator)
            model, transition, bonus = self.learn(model, transitions)
            policy = plan(reward + bonus, transition)
            found = plan(reward, transition)
            values.append(float(value_of(world, found)))
            episodes = (iteration + 1) * world.horizon * self.trajectories
            explored = Explored(np.array(values), found, model, transition, transitions, episodes)
            if watch is not None:
                watch(iteration, explored)
        assert explored is not None
        return explored

    def learn(
        self, model: ContrastiveModel, transitions: Transitions
    ) -> tuple[ContrastiveModel, Transitions, Float[np.ndarray, "horizon states actions"]]:
        """The model fitted to counts, its transition probabilities, and the bonus of its features. Needs no world."""
        states = transitions.shape[-1]
        negatives = marginal(transitions) if self.negatives == "marginal" else np.full(states, 1 / states)
        model = fit_contrastive(model, transitions, negatives, self.updates, self.learning_rate)
        widths = elliptical_bonus(np.asarray(model.features(), np.float64), transitions.sum(-1), self.ridge)
        return model, transition_of(model, negatives), np.minimum(self.bonus * widths, 2 * len(transitions))


def roll_in(
    world: FiniteMDP,
    policy: Float[np.ndarray, "horizon states actions"],
    trajectories: int,
    generator: np.random.Generator,
) -> Transitions:
    """Counts of episodes that follow the policy up to a step and act uniformly from it on, some for each step.

    The analysis needs a uniform action at a step, and one at the step before; the rest of each episode tells of the
    same transitions and is kept.
    """
    fresh = np.zeros((*policy.shape, world.states))
    for step in range(world.horizon):
        mixed = np.where((np.arange(world.horizon) < step)[:, None, None], policy, 1 / world.actions)
        fresh += draw_episodes(world, mixed, trajectories, generator).transitions
    return fresh


def elliptical_bonus(
    features: Float[np.ndarray, "states actions dimension"],
    visits: Float[np.ndarray, "horizon states actions"],
    ridge: float,
) -> Float[np.ndarray, "horizon states actions"]:
    """``sqrt(phi Sigma^-1 phi)`` with ``Sigma = ridge I + sum phi phi^T`` over the visits of each step."""
    flat = features.reshape(-1, features.shape[-1])
    widths = []
    for counts in visits.reshape(len(visits), -1):
        covariance = ridge * np.eye(flat.shape[1]) + (flat * counts[:, None]).T @ flat
        widths.append(np.sqrt(np.einsum("nd,nd->n", flat, np.linalg.solve(covariance, flat.T).T)))
    return np.stack(widths).reshape(visits.shape)


def plan(reward: Float[np.ndarray, "horizon states actions"], transition: Transitions) -> np.ndarray:
    """The policy that is best for rewards (bonuses among them) in a model, values cut at the horizon; ties go to the
    lowest action."""
    horizon = len(reward)
    value, policy = np.zeros(reward.shape[1]), []
    for step in reversed(range(horizon)):
        quality = np.minimum(reward[step] + transition[step] @ value, horizon)
        policy.insert(0, greedy(quality))
        value = quality.max(-1)
    return np.stack(policy)
