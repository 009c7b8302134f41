"""OMLE: act as is best in the most promising world that explains what was seen (optimistic maximum likelihood).

Liu, Chung, Szepesvari and Jin 2022 (arXiv 2204.08967), over a finite list of worlds. The explore-then-commit form is
that of Chen, Wang, Xiong, Mei and Bai 2023 (arXiv 2302.01333) for worlds that reveal their state over several steps
only. NumPy: each episode's policy depends on all earlier episodes, and worlds are small enough to plan in exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError, UsageError
from headstart.finite.pomdp import BeliefPlan, BeliefPolicy, FinitePOMDP, Histories, log_likelihood, play


@dataclass(frozen=True, eq=False)
class Learned:
    """What OMLE returns."""

    model: int
    """Place of the most likely of the worlds that were given; the first of equals."""
    policy: BeliefPolicy
    """Optimal in it."""
    log_likelihoods: Float[np.ndarray, " models"]
    """Of all that was seen, in each of the worlds."""
    plausible: Int[np.ndarray, " plausible"]
    """Places of the worlds within ``beta`` of the most likely one."""
    returns: Float[np.ndarray, " episodes"]
    """Reward of each episode."""


@dataclass(frozen=True)
class OMLE:
    """Optimistic maximum likelihood estimation in partially observable worlds."""

    beta: float | None = 4.0
    """How much less likely (in logarithm) than the best a world may be. None: ``log(models episodes horizon / delta)``,
    the analysis's; 3 to 5 is practical."""
    delta: float = 0.05
    """Probability of error; used when beta is the analysis's."""
    window: int = 1
    """Observations over which the worlds reveal their states. Above 1, the policy is followed up to a step, drawn anew
    each episode, from which on ``window - 1`` actions are uniform, so that what reveals is done."""
    mode: Literal["optimistic", "explore_then_commit"] = "optimistic"
    """``explore_then_commit`` explores for ``exploration`` episodes and then plays what is best in the likeliest."""
    exploration: int = 0
    """Episodes of exploration; used in ``explore_then_commit``."""
    batch: int = 1
    """Episodes between two choices of a policy; the analysis has 1, more are faster."""

    def __post_init__(self) -> None:
        if (self.beta is not None and self.beta < 0) or not 0 < self.delta < 1 or self.window < 1:
            raise UsageError(
                f"beta is {self.beta}, delta {self.delta} and window {self.window}; expected a beta of at least 0, a "
                "delta in (0, 1) and a window of at least 1"
            )
        if self.batch < 1:
            raise UsageError(f"batch is {self.batch}; expected at least 1 episode")
        if self.mode not in ("optimistic", "explore_then_commit"):
            raise UsageError(f"mode is {self.mode!r}; choose optimistic or explore_then_commit")

    def run(self, world: FinitePOMDP, models: Sequence[FinitePOMDP], episodes: int, seed: int = 0) -> Learned:
        """Play a world that is (or is like) one of some models.

        Args:
            world: is played, nothing else.
            models: the worlds it may be, all with its horizon, actions and observations.
            episodes: how many to play.
            seed: of the episodes.

        Raises:
            UsageError: no models, or models of another shape.
            DataError: something was seen that all models rule out.
        """
        _check_models(world, models)
        beta = self.beta
        if beta is None:
            beta = math.log(len(models) * max(episodes, 1) * world.horizon / self.delta)
        generator = np.random.default_rng(seed)
        policies = [BeliefPolicy(BeliefPlan(model)) for model in models]
        optima = np.array([policy.plan.value for policy in policies])
        likelihoods, returns = np.zeros(len(models)), np.zeros(episodes)
        for start in range(0, episodes, self.batch):
            committed = self.mode == "explore_then_commit" and start >= self.exploration
            if committed:
                chosen = int(likelihoods.argmax())
            else:
                chosen = int(np.where(likelihoods >= likelihoods.max() - beta, optima, -np.inf).argmax())
            explore_from = world.horizon if committed else self._explore_from(world.horizon, generator)
            count = min(self.batch, episodes - start)
            played = self._play(world, policies[chosen], explore_from, count, generator)
            returns[start : start + count] = played.rewards.sum(1)
            likelihoods = likelihoods + [log_likelihood(model, played).sum() for model in models]
            if np.isneginf(likelihoods.max()):
                raise DataError(_first_impossible(models, played, start))
        plausible = np.flatnonzero(likelihoods >= likelihoods.max() - beta)
        best = int(likelihoods.argmax())
        return Learned(best, policies[best], likelihoods, plausible, returns)

    def _explore_from(self, horizon: int, generator: np.random.Generator) -> int:
        """The first step whose action is uniform; the horizon when none is."""
        return horizon if self.window == 1 else int(generator.integers(max(1, horizon - self.window + 1)))

    def _play(
        self,
        world: FinitePOMDP,
        policy: BeliefPolicy,
        explore_from: int,
        episodes: int,
        generator: np.random.Generator,
    ) -> Histories:
        def choose(step: int, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
            if explore_from <= step < explore_from + self.window - 1:
                return generator.integers(world.actions, size=episodes)
            return policy.choose(step, observations, actions)

        return play(world, choose, episodes, generator)


def _check_models(world: FinitePOMDP, models: Sequence[FinitePOMDP]) -> None:
    def shape(of: FinitePOMDP) -> tuple[int, int, int]:
        return of.horizon, of.actions, of.observations

    if not models:
        raise UsageError("no models were given; OMLE needs the worlds that this one may be")
    for index, model in enumerate(models):
        if shape(model) != shape(world):
            raise UsageError(
                f"model {index} has horizon, actions and observations {shape(model)}; the world has {shape(world)}"
            )


def _first_impossible(models: Sequence[FinitePOMDP], played: Histories, start: int) -> str:
    """The first thing that happened in these episodes, the first of them number ``start``, that no model allows."""
    for row in range(len(played.actions)):
        for step in range(played.actions.shape[1]):
            cut = Histories(*(column[row : row + 1, : step + 1] for column in played))
            if all(np.isneginf(log_likelihood(model, cut)[0]) for model in models):
                seen, done, received = (column[row, step] for column in played)
                return (
                    f"all models rule out what happened in episode {start + row} at step {step}: observation {seen}, "
                    f"action {done}, reward {received:g}; the world is none of them"
                )
    return (
        f"by episode {start + len(played.actions)} something seen has ruled out every model; the world is none of them"
    )
