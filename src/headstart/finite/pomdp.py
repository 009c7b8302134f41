"""Finite worlds seen through observations: the filter, exact planning in beliefs, and playing.

At each step an observation is drawn from the state, then an action is taken, then the state moves. NumPy: episodes are
filtered and played many at a time, and planning is a search over the few beliefs that can come about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.mdp import FiniteMDP

Belief = Float[np.ndarray, " states"]


@dataclass(frozen=True, eq=False)
class FinitePOMDP:
    """An episodic world whose states are hidden. Build it with ``FinitePOMDP.of``, which checks the arrays."""

    transition: Float[np.ndarray, "horizon states actions next"]
    emission: Float[np.ndarray, "horizon states observations"]
    """Probabilities of what is seen in each state."""
    reward: Float[np.ndarray, "horizon states actions"]
    """In [0, 1], received as they are; they may tell of the state too."""
    initial: Float[np.ndarray, " states"]

    @classmethod
    def of(
        cls,
        transition: ArrayLike,
        emission: ArrayLike,
        reward: ArrayLike,
        horizon: int,
        initial: ArrayLike | None = None,
    ) -> FinitePOMDP:
        """A world from its arrays, each with or without a leading axis of steps.

        Args:
            transition: probabilities ``[states, actions, next]`` or ``[horizon, states, actions, next]``.
            emission: probabilities ``[states, observations]`` or ``[horizon, states, observations]``.
            reward: in [0, 1], ``[states, actions]`` or ``[horizon, states, actions]``.
            horizon: steps of an episode, at least 1.
            initial: probabilities ``[states]`` of the start; state 0 when None.

        Raises:
            UsageError: the horizon is not a positive integer.
            DataError: shapes disagree, a row is negative or does not sum to one, a reward is outside [0, 1].
        """
        hidden = FiniteMDP.of(transition, reward, horizon, initial)
        shape = (hidden.horizon, hidden.states, hidden.actions)
        seen = np.asarray(emission, np.float64)
        if seen.ndim not in (2, 3) or seen.shape[-2] != hidden.states or seen.shape[:-2] not in ((), (horizon,)):
            raise DataError(
                f"emission has the shape {list(seen.shape)}; expected [{hidden.states}, observations] or "
                f"[{horizon}, {hidden.states}, observations]"
            )
        seen = np.broadcast_to(seen, (hidden.horizon, *seen.shape[-2:]))
        wrong = (seen < 0).any(-1) | ~(np.abs(seen.sum(-1) - 1) <= 1e-6)
        if wrong.any():
            step, state = np.argwhere(wrong)[0]
            raise DataError(
                f"emission at step {step}, state {state} is {seen[step, state]}; probabilities of observations are at "
                "least 0 and sum to 1"
            )
        return cls(
            np.broadcast_to(hidden.transition, (*shape, hidden.states)),
            seen,
            np.broadcast_to(hidden.reward, shape),
            np.asarray(hidden.initial),
        )

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return len(self.transition)

    @property
    def states(self) -> int:
        """Number of hidden states."""
        return self.transition.shape[1]

    @property
    def actions(self) -> int:
        """Number of actions."""
        return self.transition.shape[2]

    @property
    def observations(self) -> int:
        """Number of observations."""
        return self.emission.shape[2]


class Histories(NamedTuple):
    """What was seen, done and received in some episodes."""

    observations: Int[np.ndarray, "episodes horizon"]
    actions: Int[np.ndarray, "episodes horizon"]
    rewards: Float[np.ndarray, "episodes horizon"]


Chooser = Callable[[int, Int[np.ndarray, "episodes seen"], Int[np.ndarray, "episodes done"]], ArrayLike]
"""``choose(step, observations, actions)`` gives the actions at a step from all observations up to it and all actions
before it: an array ``[episodes]``, or one action for all."""


def play(world: FinitePOMDP, choose: Chooser, episodes: int, generator: np.random.Generator) -> Histories:
    """Play some episodes side by side."""
    observations, actions = (np.zeros((episodes, world.horizon), int) for _ in range(2))
    rewards = np.zeros((episodes, world.horizon))
    state = _draw(np.broadcast_to(world.initial, (episodes, world.states)), generator)
    for step in range(world.horizon):
        observations[:, step] = _draw(world.emission[step, state], generator)
        action = actions[:, step] = np.asarray(choose(step, observations[:, : step + 1], actions[:, :step]))
        rewards[:, step] = world.reward[step, state, action]
        state = _draw(world.transition[step, state, action], generator)
    return Histories(observations, actions, rewards)


def log_likelihood(world: FinitePOMDP, histories: Histories) -> Float[np.ndarray, " episodes"]:
    """Log-probability of what was seen and received given what was done; ``-inf`` where the world rules it out.

    Histories may stop before the horizon.
    """
    belief = np.broadcast_to(world.initial, (len(histories.actions), world.states))
    total = np.zeros(len(belief))
    for step in range(histories.actions.shape[1]):
        seen, done, received = (column[:, step] for column in histories)
        belief = belief * world.emission[step][:, seen].T
        belief = belief * (received[:, None] == world.reward[step][:, done].T)
        mass = belief.sum(1)
        with np.errstate(divide="ignore"):
            total = total + np.log(mass)
        belief = belief / np.where(mass > 0, mass, 1.0)[:, None]
        belief = np.einsum("es,esn->en", belief, world.transition[step].transpose(1, 0, 2)[done])
    return total


@dataclass(frozen=True, eq=False)
class BeliefPlan:
    """The optimal policy, computed for each belief when it first comes about. Ties go to the lowest action.

    Exact, so for short horizons or few reachable beliefs only: their number can be ``(actions observations)^horizon``.
    """

    world: FinitePOMDP
    _known: dict[tuple[int, bytes], tuple[float, int]] = field(default_factory=dict, repr=False)

    @property
    def value(self) -> float:
        """Expected reward of an episode."""
        return self._before_seeing(0, self.world.initial)

    def action(self, step: int, belief: Belief) -> int:
        """The best action for a belief that takes the step's observation into account already."""
        return self._best(step, belief)[1]

    def _best(self, step: int, belief: Belief) -> tuple[float, int]:
        key = (step, np.round(belief, 10).tobytes())
        if key not in self._known:
            values = belief @ self.world.reward[step]
            if step + 1 < self.world.horizon:
                following = np.einsum("s,san->an", belief, self.world.transition[step])
                values = values + [self._before_seeing(step + 1, each) for each in following]
            best = int(np.argmax(np.round(values, 12)))
            self._known[key] = float(values[best]), best
        return self._known[key]

    def _before_seeing(self, step: int, belief: Belief) -> float:
        total = 0.0
        for observation in np.flatnonzero(belief @ self.world.emission[step]):
            joint = belief * self.world.emission[step, :, observation]
            total += joint.sum() * self._best(step, joint / joint.sum())[0]
        return total


@dataclass(frozen=True, eq=False)
class BeliefPolicy:
    """Acts as is optimal in a world that may not be the one acted in: what OMLE plays.

    Histories that the plan's world rules out are met with action 0.
    """

    plan: BeliefPlan

    def choose(self, step: int, observations: np.ndarray, actions: np.ndarray) -> Int[np.ndarray, " episodes"]:
        """The actions for some histories; see ``Chooser``."""
        distinct, which = np.unique(np.hstack([observations, actions]), axis=0, return_inverse=True)
        chosen = [self._act(step, row[: step + 1], row[step + 1 :]) for row in distinct]
        return np.array(chosen)[which.reshape(-1)]

    def value_in(self, world: FinitePOMDP) -> float:
        """Exact expected reward of an episode of this policy in a world."""
        return self._continue(world, 0, world.initial, (), ())

    def _act(self, step: int, observations: np.ndarray | tuple, actions: np.ndarray | tuple) -> int:
        world, belief = self.plan.world, self.plan.world.initial
        for at, seen in enumerate(observations):
            belief = belief * world.emission[at, :, seen]
            if belief.sum() == 0:
                return 0
            belief = belief / belief.sum()
            if at < step:
                belief = belief @ world.transition[at, :, actions[at]]
        return self.plan.action(step, belief)

    def _continue(self, world: FinitePOMDP, step: int, weight: Belief, observations: tuple, actions: tuple) -> float:
        """Expected reward from a step on, the states weighted by the probability of getting there."""
        if step == world.horizon:
            return 0.0
        total = 0.0
        for seen in np.flatnonzero(weight @ world.emission[step]):
            joint, history = weight * world.emission[step, :, seen], (*observations, int(seen))
            action = self._act(step, history, actions)
            total += joint @ world.reward[step, :, action]
            total += self._continue(
                world, step + 1, joint @ world.transition[step, :, action], history, (*actions, action)
            )
        return float(total)


def open_loop(actions: ArrayLike) -> Chooser:
    """Actions fixed beforehand, ``[horizon]`` or ``[episodes, horizon]``.

    Raises:
        UsageError: they have another number of axes.
    """
    plan = np.asarray(actions)
    if plan.ndim not in (1, 2):
        raise UsageError(f"actions have {plan.ndim} axes; expected [horizon] or [episodes, horizon]")
    return lambda step, observations, done: plan[..., step]


def _draw(
    probabilities: Float[np.ndarray, "episodes outcomes"], generator: np.random.Generator
) -> Int[np.ndarray, " episodes"]:
    """One outcome for each row; none of probability zero."""
    cumulative = np.cumsum(probabilities, axis=1)
    return (cumulative <= generator.random((len(cumulative), 1)) * cumulative[:, -1:]).sum(1)
