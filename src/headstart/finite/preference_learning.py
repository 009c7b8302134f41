"""Learning a finite world from preferences between trajectories, and the exact regret of it.

In every round two policies play an episode each, and an annotator may be asked which was better; rewards are never
seen. In NumPy, a round at a time: what is asked depends on what was answered, and rewards are fitted to a growing
number of answers, but only now and then.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteMDP, FiniteSpec
from headstart.finite.planning import backward_induction, value_of
from headstart.finite.preference_queries import AskWhenUnsure, QueryRule
from headstart.finite.preferences import Comparisons, Link, Logistic
from headstart.finite.reward_posterior import RewardPosterior

Policy = Float[np.ndarray, "horizon states actions"]


class Trajectory(NamedTuple):
    """One episode."""

    states: Int[np.ndarray, " horizon+1"]
    actions: Int[np.ndarray, " horizon"]


@dataclass(frozen=True)
class PreferenceState:
    """What a learner knows, and the two policies of this round."""

    policy: Policy
    comparator: Policy
    comparisons: Comparisons
    posterior: RewardPosterior
    dynamics: Any
    """What is known of transitions; each learner has its own."""
    fitted: int = 0
    """Answers that ``posterior`` rests on."""
    played: int = 0


Comparator = Literal["previous", "same"] | Callable[[PreferenceState, Policy], Policy]
Annotator = Callable[[Trajectory, Trajectory, np.random.Generator], float]
"""1 where the first trajectory is better, 0 where the second is; between them where it is not sure."""


@dataclass(frozen=True, eq=False)
class PreferenceLearner(abc.ABC):
    """Draws plausible rewards and a plausible world, plays what is best there against a comparator, and asks.

    Fields are constants; methods are pure, but for the generator they draw from.
    """

    link: Link = field(default_factory=Logistic)
    """How annotators answer."""
    query: QueryRule = field(default_factory=AskWhenUnsure)
    """When they are asked."""
    comparator: Comparator = "previous"
    """What the newest policy is compared with: the one of the round before, itself (two episodes of it), or what a
    function of the state and the newest policy returns. Against itself, little is learned of how good it is."""
    refit_every: int = 10
    """Answers between two fits of the rewards, after the first 50; before that, every answer is fitted at once."""

    def init(self, spec: FiniteSpec) -> PreferenceState:
        """What is known before the first round; its comparator acts at random."""
        uniform = np.full((spec.horizon, spec.states, spec.actions), 1 / spec.actions)
        comparisons = Comparisons.none(self.features_of(spec))
        start = np.zeros(comparisons.differences.shape[1])
        posterior = self.posterior(comparisons, start)
        return PreferenceState(uniform, uniform, comparisons, posterior, self.no_dynamics(spec))

    def begin(self, state: PreferenceState, generator: np.random.Generator) -> PreferenceState:
        """Start a round: fit rewards to the answers and choose ``policy`` and ``comparator``."""
        answers = len(state.comparisons)
        if answers - state.fitted >= (1 if answers <= 50 else self.refit_every):
            posterior = self.posterior(state.comparisons, state.posterior.mean)
            state = replace(state, posterior=posterior, fitted=answers)
        policy = self.plan(state, generator)
        if self.comparator == "previous":
            comparator = state.policy
        else:
            comparator = policy if self.comparator == "same" else self.comparator(state, policy)
        return replace(state, policy=policy, comparator=comparator)

    def difference(
        self, state: PreferenceState, first: Trajectory, second: Trajectory
    ) -> Float[np.ndarray, " features"]:
        """Features of the first trajectory minus those of the second."""
        return self.trajectory_features(state, first) - self.trajectory_features(state, second)

    def asks(
        self, state: PreferenceState, first: Trajectory, second: Trajectory, generator: np.random.Generator
    ) -> bool:
        """Whether to ask about a pair; never about one whose features are the same."""
        difference = self.difference(state, first, second)
        disagreement = float(state.posterior.disagreement(difference))
        asks = self.query.asks(disagreement, state.played, len(state.comparisons), generator)
        return asks and bool(difference.any())

    def observe(
        self, state: PreferenceState, first: Trajectory, second: Trajectory, answer: float | None
    ) -> PreferenceState:
        """What is known after a round; ``answer`` is None where nobody was asked.

        Raises:
            DataError: the answer is outside [0, 1].
        """
        dynamics = self.learn_dynamics(self.learn_dynamics(state.dynamics, first), second)
        state = replace(state, dynamics=dynamics, played=state.played + 1)
        if answer is None:
            return state
        return replace(state, comparisons=state.comparisons.add(self.difference(state, first, second), answer))

    @abc.abstractmethod
    def features_of(self, spec: FiniteSpec) -> int:
        """How many features a trajectory has."""

    @abc.abstractmethod
    def trajectory_features(self, state: PreferenceState, trajectory: Trajectory) -> Float[np.ndarray, " features"]:
        """What returns are linear in."""

    @abc.abstractmethod
    def posterior(self, comparisons: Comparisons, start: np.ndarray) -> RewardPosterior:
        """What the answers say of rewards; ``start`` is the mean after fewer of them."""

    @abc.abstractmethod
    def no_dynamics(self, spec: FiniteSpec) -> Any:
        """What is known of transitions before the first."""

    @abc.abstractmethod
    def learn_dynamics(self, dynamics: Any, trajectory: Trajectory) -> Any:
        """What is known of them after an episode."""

    @abc.abstractmethod
    def plan(self, state: PreferenceState, generator: np.random.Generator) -> Policy:
        """A policy that is best in a world that might be the true one."""


@dataclass(frozen=True)
class ReturnsAnnotator:
    """Answers at random, as a link says, by the returns of a world."""

    world: FiniteMDP
    link: Link = field(default_factory=Logistic)

    def __call__(self, first: Trajectory, second: Trajectory, generator: np.random.Generator) -> float:
        """1 for the first, 0 for the second."""
        difference = self._return(first) - self._return(second)
        return float(generator.random() < self.link.probability(difference))

    def _return(self, trajectory: Trajectory) -> float:
        rewards = np.asarray(self.world.reward)
        steps = np.arange(self.world.horizon) % len(rewards)
        return float(rewards[steps, trajectory.states[:-1], trajectory.actions].sum())


class PreferenceCurves(NamedTuple):
    """What ``simulate_preferences`` returns."""

    regret: Float[np.ndarray, "seeds rounds"]
    """Sum over the rounds so far of twice the optimal value minus the values of both policies (exact)."""
    asked: Bool[np.ndarray, "seeds rounds"]
    """Whether the annotator was asked."""
    states: list[PreferenceState]
    """What each seed's learner knows in the end."""


def simulate_preferences(
    learner: PreferenceLearner, world: FiniteMDP, annotator: Annotator, rounds: int, seeds: int | Sequence[int]
) -> PreferenceCurves:
    """Let a learner play a world, once for each seed.

    The world, the learner, its questions and the annotator draw from streams of their own, so that learners are
    compared in the same circumstances.

    Raises:
        UsageError: no rounds or no seeds.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if rounds < 1 or not chosen:
        raise UsageError(f"{rounds} rounds for {len(chosen)} seeds; both need to be at least 1")
    best = float(world.initial @ backward_induction(world).values[0])
    played = [_play(learner, world, annotator, rounds, seed, best) for seed in chosen]
    regret, asked, states = zip(*played, strict=True)
    return PreferenceCurves(np.cumsum(regret, axis=1), np.array(asked), list(states))


def _play(
    learner: PreferenceLearner, world: FiniteMDP, annotator: Annotator, rounds: int, seed: int, best: float
) -> tuple[np.ndarray, np.ndarray, PreferenceState]:
    """Regret and questions of each round."""
    of_world, of_learner, of_questions, of_annotator = np.random.default_rng(seed).spawn(4)
    state = learner.init(world.spec)
    regret, asked = np.zeros(rounds), np.zeros(rounds, bool)
    for played in range(rounds):
        state = learner.begin(state, of_learner)
        first, second = (roll_out(world, policy, of_world) for policy in (state.policy, state.comparator))
        asked[played] = learner.asks(state, first, second, of_questions)
        answer = annotator(first, second, of_annotator) if asked[played] else None
        state = learner.observe(state, first, second, answer)
        regret[played] = 2 * best - value_of(world, state.policy) - value_of(world, state.comparator)
    return regret, asked, state


def roll_out(world: FiniteMDP, policy: Policy, generator: np.random.Generator) -> Trajectory:
    """One episode of a policy."""

    def draw(probabilities: np.ndarray, uniform: float) -> int:
        return int(min(np.cumsum(probabilities).searchsorted(uniform, side="right"), len(probabilities) - 1))

    uniform = generator.random((world.horizon + 1, 2))
    states, actions = [draw(np.asarray(world.initial), uniform[-1, 0])], []
    for step in range(world.horizon):
        actions.append(draw(policy[step, states[-1]], uniform[step, 0]))
        transition, _ = world.at(step)
        states.append(draw(np.asarray(transition[states[-1], actions[-1]]), uniform[step, 1]))
    return Trajectory(np.array(states), np.array(actions))
