"""Tune a solver's parameter while solving problem after problem, from nothing but what each solution cost."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from headstart.bandits.bandit import BanditSpec, Learner
from headstart.bandits.tsallis_inf import TsallisINF
from headstart.core.errors import DataError, UsageError


class SolverTuner:
    """Chooses one of a grid of parameters for each problem, by a bandit whose reward is the cost's negative.

    Args:
        solver: ``solver(*problem, parameter)`` returns a solution and its cost, such as a number of iterations.
        grid: the parameters to choose from.
        learner: chooses. One that sees a context takes ``context`` with every problem.
        contextual: whether the learner sees a context, one number.
        least: the least cost that a problem can have; problems that cost less, such as those solved before they began,
            teach nothing and are left out.
        cap: the largest cost that counts; a solver that raises costs this much.
        seed: of the choices.

    Attributes:
        costs: of all problems so far.
        chosen: the grid's index chosen for each.

    Raises:
        UsageError: the grid is empty, or the costs' bounds are not in order.
    """

    def __init__(
        self,
        solver: Callable[..., tuple[Any, float]],
        grid: Sequence[float],
        learner: Learner | None = None,
        *,
        contextual: bool = False,
        least: float = 1.0,
        cap: float = 10_000.0,
        seed: int = 0,
    ):
        self.solver, self.grid = solver, [float(parameter) for parameter in grid]
        self.learner = learner if learner is not None else TsallisINF(scale="running")
        self.contextual, self.least, self.cap = contextual, least, cap
        self.costs: list[float] = []
        self.chosen: list[int] = []
        spec = BanditSpec(len(self.grid), 1 if contextual else None, -cap, -least)
        self._decisions = _Decisions(self.learner, spec, seed)

    def solve(self, *problem: Any, context: float | None = None) -> tuple[Any, float]:
        """Solve a problem with a chosen parameter, and learn from its cost.

        Args:
            problem: what the solver takes before the parameter.
            context: one number known beforehand, where the learner sees one.

        Returns:
            What the solver returned.

        Raises:
            UsageError: a context is missing, or there is one too many.
            DataError: the cost is not a number.
            Exception: whatever the solver raised, after it was counted as ``cap``.
        """
        if (context is not None) != self.contextual:
            expected = "one number" if self.contextual else "none: SolverTuner(…, contextual=True) takes one"
            raise UsageError(f"context is {context}; this tuner's learner expects {expected}")
        index = self._decisions.choose(context)
        try:
            solution, cost = self.solver(*problem, self.grid[index])
        except Exception:
            self._learn(index, self.cap)
            raise
        if math.isnan(cost):
            raise DataError(f"the solver's cost with parameter {self.grid[index]:g} is not a number")
        if cost > self.cap:
            warnings.warn(f"a cost of {cost:g} counts as {self.cap:g}, the cap", stacklevel=2)
        if cost >= self.least:
            self._learn(index, min(float(cost), self.cap))
        return solution, cost

    def _learn(self, index: int, cost: float) -> None:
        self._decisions.observe(-cost)
        self.costs.append(cost)
        self.chosen.append(index)


def replay_costs(
    learner: Learner,
    costs: Float[np.ndarray, "problems parameters"],
    contexts: Float[np.ndarray, " problems"] | None = None,
    seed: int = 0,
    cap: float = 10_000.0,
) -> Int[np.ndarray, " problems"]:
    """What a tuner would have chosen, where all costs are known beforehand.

    Args:
        learner: chooses.
        costs: of solving each problem with each parameter, at least 1.
        contexts: one number a problem, for a learner that sees it.
        seed: of the choices.
        cap: the largest cost there can be.

    Returns:
        The parameter's index chosen for each problem.

    Raises:
        DataError: a cost is not a number, below 1 or above the cap.
    """
    if not np.all((costs >= 1) & (costs <= cap)):
        raise DataError(f"costs must lie between 1 and the cap, {cap:g}; given {np.min(costs)} to {np.max(costs)}")
    spec = BanditSpec(costs.shape[1], None if contexts is None else 1, -cap, -1.0)
    decisions = _Decisions(learner, spec, seed)
    chosen = np.empty(len(costs), int)
    for problem, row in enumerate(costs):
        chosen[problem] = decisions.choose(None if contexts is None else float(contexts[problem]))
        decisions.observe(-float(row[chosen[problem]]))
    return chosen


class _Decisions:
    """A learner acting one decision at a time, its functions compiled where they can be."""

    def __init__(self, learner: Learner, spec: BanditSpec, seed: int):
        key = jax.random.key(seed)
        self.spec, self.state, self.number = spec, learner.init(spec, jax.random.fold_in(key, 2**31 - 1)), 0

        def choose(state, value, number):
            context = jnp.full(spec.context_shape, value)
            return context, learner.choose(state, context, jax.random.fold_in(key, number))

        traceable = getattr(learner, "traceable", True)
        self._choose, self._observe = (
            (map(jax.jit, (choose, learner.observe))) if traceable else (choose, learner.observe)
        )

    def choose(self, context: float | None) -> int:
        value = 0.0 if context is None else context
        self.context, self.choice = self._choose(self.state, value, self.number)
        self.number += 1
        return int(self.choice.action)

    def observe(self, reward: float) -> None:
        choice, received = self.choice, jnp.asarray(reward)
        self.state = self._observe(self.state, self.context, choice.action, received, choice.propensity)
