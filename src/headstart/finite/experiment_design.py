"""Which episodes to play so that chosen policies become known well: optimal design over what policies can visit.

A policy pi is known at a step as well as the cells (state, action) that it visits: with ``N`` visits of each cell the
variance of its estimate is at most ``sum d_pi^2 / N``, where ``d_pi`` are its occupancies. Given recorded visits, the
offline-to-online concentrability coefficient (Wagenmaker and Pacchiano 2023, arXiv 2211.04974) says how small the worst
of these can be made, relative to how well each policy needs to be known, in a number of online episodes; inverted, it
says how many episodes are needed. Both are convex problems over occupancies, solved by Frank and Wolfe's method, whose
linear step is a plan in the world. NumPy: the arrays are tiny and each step waits for the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import HeadstartError, UsageError
from headstart.finite.mdp import FiniteMDP

Transition = Float[np.ndarray, "horizon states actions next"]
Policies = Float[np.ndarray, "policies horizon states actions"]
Cells = Float[np.ndarray, "states actions"]

SHARPNESS = 60.0
"""How closely the smooth maximum over policies follows the largest, in units of that largest."""


@dataclass(frozen=True, eq=False)
class OnlineNeed:
    """How many more episodes are needed, by an agent who knows the world and may choose them best."""

    by_step: Float[np.ndarray, " horizon"]
    """Episodes for what is unknown at each step, to within one part in a hundred."""

    @property
    def episodes(self) -> float:
        """Their sum: an episode can serve several steps, so it is an upper bound up to the last percent."""
        return float(self.by_step.sum())


def propagate(transition: Transition, initial: Float[np.ndarray, " states"], policies: Policies) -> Policies:
    """Occupancies of many policies at once, ``[policies, horizon, states, actions]``.

    Rows of ``transition`` may sum to less than one (an empirical model); the rest of the mass is lost.
    """
    visited, occupancies = np.broadcast_to(initial, (len(policies), len(initial))), []
    for step in range(policies.shape[1]):
        occupancies.append(visited[:, :, None] * policies[:, step])
        visited = np.einsum("psa,san->pn", occupancies[-1], transition[step])
    return np.stack(occupancies, axis=1)


def uncertainty(
    features: Float[np.ndarray, "policies states actions"], visits: Cells
) -> Float[np.ndarray, " policies"]:
    """``sum d^2 / N`` for each policy; infinite where it visits a cell that was never visited."""
    seen = visits > 0
    known = (features**2 / np.where(seen, visits, 1.0) * seen).sum((1, 2))
    return np.where((features * ~seen).any((1, 2)), np.inf, known)


def visit(
    transition: Transition, gain: Cells, optimism: Float[np.ndarray, "steps states actions"] | None = None
) -> Int[np.ndarray, "steps states"]:
    """The actions that collect most of ``gain`` at one step, with the steps before it used to get there.

    Args:
        transition: of the steps before (their number says which step it is) and possibly more.
        gain: reward of each cell at that step, at least 0; none is collected elsewhere.
        optimism: added to the value of each cell of the steps before, values being cut at the largest gain; none when
            None (then ``transition`` is only read before the last step of the horizon).
    """
    steps = len(transition) if optimism is None else len(optimism)
    quality, actions = gain, []
    for step in reversed(range(steps)):
        actions.insert(0, quality.argmax(-1))
        quality = transition[step] @ quality.max(-1)
        if optimism is not None:
            quality = np.minimum(quality + optimism[step], gain.max())
    return np.stack([quality.argmax(-1), *actions])


def concentrability(
    world: FiniteMDP, policies: Policies, offline: Transition, epsilon: float, episodes: float
) -> Float[np.ndarray, " horizon"]:
    """The offline-to-online concentrability coefficient of each step: ``min_d max_pi |d_pi|^2 / max(gap, epsilon)^2``.

    ``|d_pi|^2`` is ``sum d_pi^2 / (episodes d + offline)`` and ``d`` any occupancies that the world allows; ``gap`` is
    how much worse than the best of the policies pi is, and at least the smallest positive gap.

    Args:
        world: the world, known.
        policies: the policies to be told apart.
        offline: recorded visits ``[horizon, states, actions]``.
        epsilon: differences in value smaller than this do not matter.
        episodes: online episodes.

    Raises:
        UsageError: no policies, shapes that do not fit, epsilon or episodes out of range.
    """
    problem = _Problem.of(world, policies, offline, epsilon)
    if not episodes >= 0:
        raise UsageError(f"episodes is {episodes}; expected at least 0")
    return np.array([problem.solve(step, episodes, 0.0)[0] for step in range(world.horizon)])


def min_online_episodes(
    world: FiniteMDP, policies: Policies, offline: Transition, epsilon: float, beta: float
) -> OnlineNeed:
    """The fewest online episodes after which the concentrability coefficient of each step is at most ``1 / beta``.

    Args:
        world: the world, known.
        policies: the policies to be told apart.
        offline: recorded visits ``[horizon, states, actions]``.
        epsilon: differences in value smaller than this do not matter.
        beta: squared confidence width, as that of ``FTPedel``.

    Raises:
        UsageError: no policies, shapes that do not fit, epsilon or beta out of range.
        HeadstartError: no number of episodes up to 1e12 is enough.
    """
    if not beta > 0:
        raise UsageError(f"beta is {beta}; expected a positive number")
    problem = _Problem.of(world, policies, offline, epsilon)
    return OnlineNeed(np.array([problem.episodes(step, 1 / beta) for step in range(world.horizon)]))


@dataclass(frozen=True, eq=False)
class _Problem:
    """Optimal design at each step of one world."""

    transition: Transition
    features: Policies
    weights: Float[np.ndarray, " policies"]
    """``1 / max(gap, epsilon, smallest positive gap)^2``."""
    offline: Transition
    anywhere: Float[np.ndarray, "horizon states actions"]
    """Occupancies of uniform actions: positive wherever any policy gets."""

    @classmethod
    def of(cls, world: FiniteMDP, policies: Policies, offline: Transition, epsilon: float) -> _Problem:
        shape = (world.horizon, world.states, world.actions)
        policies, offline = np.asarray(policies, np.float64), np.asarray(offline, np.float64)
        if policies.ndim != 4 or len(policies) == 0 or policies.shape[1:] != shape or offline.shape != shape:
            raise UsageError(
                f"policies and offline visits have the shapes {list(policies.shape)} and {list(offline.shape)}; "
                f"expected [at least 1, {', '.join(map(str, shape))}] and {list(shape)}"
            )
        if not epsilon > 0:
            raise UsageError(f"epsilon is {epsilon}; expected a positive number")
        transition = np.broadcast_to(world.transition, (*shape, world.states)).astype(np.float64)
        initial = np.asarray(world.initial, np.float64)
        features = propagate(transition, initial, policies)
        gaps = (features * np.asarray(world.reward, np.float64)).sum((1, 2, 3))
        gaps = gaps.max() - gaps
        unique = np.sort(gaps)[1] if len(gaps) > 1 else 0.0  # zero when two policies are best
        needed = np.maximum(gaps, max(epsilon, unique))
        uniform = np.full((1, *shape), 1 / world.actions)
        return cls(transition, features, needed**-2, offline, propagate(transition, initial, uniform)[0])

    def solve(self, step: int, episodes: float, enough: float, iterations: int = 500) -> tuple[float, Cells]:
        """The least objective found and its occupancies at the step; stops at one that is at most ``enough``."""
        features, offline = self.features[:, step], self.offline[step]
        design = self.anywhere[step]
        best, found = np.inf, design
        for iteration in range(iterations):
            visits = episodes * design + offline
            objective = uncertainty(features, visits) * self.weights
            largest = objective.max()
            if largest < best:
                best, found = largest, design
            if largest <= enough or episodes == 0:
                break
            softmax = np.exp(SHARPNESS * (objective / largest - 1)) * self.weights
            gain = np.einsum("p,psa->sa", softmax / softmax.max(), features**2) / np.maximum(visits, 1e-100) ** 2
            design = design + 2 / (iteration + 4) * (self._reach(step, gain) - design)
        return float(best), found

    def _reach(self, step: int, gain: Cells) -> Cells:
        """Occupancies at the step of the policy that gains most there."""
        actions = visit(self.transition[:step], gain)
        states = np.arange(gain.shape[0])
        visited = self.anywhere[0].sum(-1)
        for before in range(step):
            visited = visited @ self.transition[before][states, actions[before]]
        reached = np.zeros_like(gain)
        reached[states, actions[step]] = visited
        return reached

    def episodes(self, step: int, target: float) -> float:
        """The fewest episodes whose objective is at most the target, by doubling and bisection."""
        if self.solve(step, 0.0, target)[0] <= target:
            return 0.0
        low, high = 0.0, 1.0
        while self.solve(step, high, target)[0] > target:
            low, high = high, 2 * high
            if high > 1e12:
                raise HeadstartError(f"step {step} needs more than 1e12 episodes; raise epsilon or lower beta")
        while high - low > 0.01 * high and high > 1:
            middle = (low + high) / 2
            low, high = (low, middle) if self.solve(step, middle, target)[0] <= target else (middle, high)
        return high
