"""Learners with a way of working of their own, each in a world that shows what it is for: one seed, exact numbers.

What ``simulation`` plays learns from its own rewards, episode by episode. The learners here begin with records, with
demonstrations or with a budget of questions, or stop when they are sure. A trial is a dataclass of its options, whose
``run(seed)`` gives numbers by name; ``registry.TRIALS`` lists them, ``headstart finite simulate NAME`` runs them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.core.errors import UsageError
from headstart.core.trial import Numbers, Trial, at_least
from headstart.finite.mdp import DiscountedMDP, FiniteMDP
from headstart.finite.planning import backward_induction, evaluate_stationary, value_iteration, value_of


@dataclass(frozen=True)
class PessimisticTrial(Trial):
    """VI-LCB on recorded transitions of a random discounted world, beside plain value iteration and imitation."""

    transitions: int = 5000
    """Recorded ones."""
    mix: float = 0.7
    """Share of them that the optimal policy made; the rest takes the worst action, but for 2 % of even ones."""
    penalty_scale: float = 0.1
    """Of VI-LCB."""
    discount: float = 0.8
    """In [0, 1)."""

    def run(self, seed: int) -> Numbers:
        """How far each is from optimal, from an even start."""
        from headstart.finite.transitions import Transitions
        from headstart.finite.vi_lcb import VILCB

        at_least(1, transitions=self.transitions)
        if not 0 <= self.mix <= 1:
            raise UsageError(f"mix is {self.mix}; expected a share in [0, 1]")
        generator = np.random.default_rng(seed)
        world = DiscountedMDP.of(
            generator.dirichlet(np.full(10, 0.3), (10, 5)),
            generator.uniform(0.25, 1, (10, 5)),
            self.discount,
            np.full(10, 0.1),
        )
        best = value_iteration(world, 1e-8)
        worst = np.eye(5)[best.action_values.argmin(-1)]
        behaviour = 0.98 * (self.mix * best.policy + (1 - self.mix) * worst) + 0.02 / 5
        state = generator.integers(10, size=self.transitions)
        action = np.array([generator.choice(5, p=behaviour[each]) for each in state])
        following = np.array(
            [generator.choice(10, p=world.transition[each, chosen]) for each, chosen in zip(state, action)]
        )
        rewards = np.asarray(world.reward)[state, action]
        data = Transitions.of(state, action, rewards, following, n_states=10, n_actions=5)
        visits = data.counts().visits
        imitation = np.where(visits.any(-1, keepdims=True), np.eye(5)[visits.argmax(-1)], 1 / 5)

        def lost(policy: np.ndarray) -> float:
            return float(world.initial @ (best.values - np.asarray(evaluate_stationary(world, policy))))

        return {
            "VI-LCB": lost(VILCB(self.discount, self.penalty_scale).fit(data).policy),
            "value iteration": lost(VILCB(self.discount, 0.0).fit(data).policy),
            "imitation": lost(imitation),
        }


@dataclass(frozen=True)
class GLOWTrial(Trial):
    """GLOW on the slip-lock: optimism over value functions that the data cannot refute, no records."""

    rounds: int = 400
    """Episodes."""
    confidence_scale: float = 0.003
    """Of GLOW; theory has 36."""

    def run(self, seed: int) -> Numbers:
        """Regret, that of the last quarter, and how many of the value functions are left."""
        from headstart.finite.glow import GLOW
        from headstart.finite.slip_lock import explanations, slip_lock
        from headstart.finite.value_class import ValueClass

        at_least(4, rounds=self.rounds)
        world, values = slip_lock(seed), ValueClass.of_worlds(explanations())
        played, kept = GLOW(values, self.confidence_scale).run(world, self.rounds, seed)
        return _regret(world, played.policies) | {"functions left": float(kept[-1].sum())}


@dataclass(frozen=True)
class HyGLOWTrial(Trial):
    """HyGLOW (H2O with MABO) on the slip-lock: from an expert's records and episodes of its own."""

    rounds: int = 400
    """Episodes, and recorded ones."""
    experts_share: float = 1.0
    """Of the recorded episodes; the rest are random. 0: all random."""

    def run(self, seed: int) -> Numbers:
        """Regret, and what MABO would lose with the records alone."""
        from headstart.finite.hybrid import H2O, join
        from headstart.finite.mabo import MABO
        from headstart.finite.policies import record
        from headstart.finite.slip_lock import explanations, slip_lock
        from headstart.finite.value_class import ValueClass

        at_least(4, rounds=self.rounds)
        if not 0 <= self.experts_share <= 1:
            raise UsageError(f"experts_share is {self.experts_share}; expected a share in [0, 1]")
        world, mabo = slip_lock(seed), MABO(ValueClass.of_worlds(explanations()))
        expert, few = backward_induction(world).policy, round(self.experts_share * self.rounds)
        parts = [record(world, expert, few, seed)] if few else []
        if few < self.rounds:
            even = np.full(expert.shape, 1 / world.actions)
            parts.append(record(world, even, self.rounds - few, seed + 2**20))
        offline = join(parts).select(np.random.default_rng(seed).permutation(self.rounds))
        alone = _regret(world, np.repeat(mabo.fit(offline)[None], self.rounds, axis=0))["regret"]
        return _regret(world, H2O(mabo).run(world, self.rounds, offline, seed).policies) | {"records alone": alone}


@dataclass(frozen=True)
class FTPedelTrial(Trial):
    """FTPedel in the rare rooms: the fewest online episodes that recorded ones leave necessary for a certificate."""

    covered: int = 4
    """Doors of six that the records know."""
    epsilon: float = 0.1
    """Accuracy to certify."""
    beta: float = 4.0
    """Squared width of confidence."""
    samples: int = 100_000
    """Recorded visits of each known door."""

    def run(self, seed: int) -> Numbers:
        """Episodes with and without the records, and how far from the best policy the one returned is."""
        from headstart.finite.ftpedel import FTPedel
        from headstart.finite.rare_rooms import door_policies, rare_rooms, recorded_doors

        if not 0 <= self.covered <= 6:
            raise UsageError(f"covered is {self.covered}; there are 6 doors")
        world = rare_rooms(6)
        policies, learner = door_policies(world), FTPedel(epsilon=self.epsilon, beta=self.beta)
        offline = recorded_doors(world, self.covered, self.samples, np.random.default_rng(seed))
        found, alone = learner.run(world, policies, offline, seed), learner.run(world, policies, None, seed)
        best = max(float(value_of(world, policy)) for policy in policies)
        return {
            "online episodes": float(found.online_episodes),
            "without records": float(alone.online_episodes),
            "suboptimality": max(0.0, best - float(value_of(world, found.policy))),
        }


@dataclass(frozen=True)
class PRLSVITrial(Trial):
    """PR-LSVI in a random world: learns from which of two episodes was better, and asks only when unsure."""

    rounds: int = 2000
    """Of two episodes each."""
    threshold: float = 0.3
    """Disagreement above which it asks; 0 asks always."""
    scale: float = 4.0
    """How decided annotators are."""

    def run(self, seed: int) -> Numbers:
        """Regret of both policies, questions, and regret a round in the last quarter."""
        from headstart.finite.pr_lsvi import PRLSVI
        from headstart.finite.preferences import Logistic

        return _preferences(PRLSVI, Logistic(self.scale), self.threshold, self.rounds, seed)


@dataclass(frozen=True)
class PreferenceThompsonTrial(PRLSVITrial):
    """The Thompson variant of PR-LSVI (PbTS): a posterior over worlds and rewards, the same questions."""

    def run(self, seed: int) -> Numbers:
        """As PR-LSVI's."""
        from headstart.finite.preference_posterior_sampling import PreferencePosteriorSampling
        from headstart.finite.preferences import Logistic

        return _preferences(PreferencePosteriorSampling, Logistic(self.scale), self.threshold, self.rounds, seed)


@dataclass(frozen=True)
class DemoRegularizedTrial(Trial):
    """UCBVI-Ent+ among noisy choices: imitation first, then exploring that pays for leaving it, to a certificate."""

    demonstrations: int = 1600
    """Of the optimal policy."""
    epsilon: float = 0.1
    """Accuracy to certify."""

    def run(self, seed: int) -> Numbers:
        """Episodes with the demonstrations and without (BPI-UCBVI), and what the returned policy lacks."""
        from headstart.finite.behavior_cloning import BehaviorCloning, trajectory_divergence
        from headstart.finite.bpi_ucbvi import BPIUCBVI
        from headstart.finite.demo_regularized import DemoRegularizedRL, temperature_for
        from headstart.finite.episodes import count
        from headstart.finite.noisy_choices import noisy_choices
        from headstart.finite.policies import record

        at_least(1, demonstrations=self.demonstrations)
        world = noisy_choices(seed)
        best = backward_induction(world)
        shown = record(world, best.policy, self.demonstrations, seed)
        clone = BehaviorCloning().fit(count(shown, world.spec))
        price = temperature_for(self.epsilon, trajectory_divergence(world, best.policy, clone))
        found = DemoRegularizedRL(self.epsilon).run(world, clone, price, seed)
        return {
            "episodes": float(found.episodes),
            "without demonstrations": float(BPIUCBVI(self.epsilon).run(world, seed).episodes),
            "suboptimality": float(world.initial @ best.values[0]) - float(value_of(world, found.policy)),
        }


@dataclass(frozen=True)
class DemoPreferencesTrial(Trial):
    """Demonstration-regularised learning from preferences: rewards are fitted to compared episodes of the imitation."""

    demonstrations: int = 30
    """Of the optimal policy."""
    preferences: int = 200
    """Pairs of the imitation's episodes that are compared."""
    temperature: float = 0.3
    """Price of leaving the imitation: high for few preferences."""
    epsilon: float = 0.3
    """Accuracy to certify in the world with the fitted rewards."""

    def run(self, seed: int) -> Numbers:
        """What the policy is worth more than the imitation, and the episodes it took."""
        from headstart.finite.behavior_cloning import BehaviorCloning
        from headstart.finite.demo_regularized import DemoRegularizedRL
        from headstart.finite.episodes import count
        from headstart.finite.noisy_choices import noisy_choices
        from headstart.finite.policies import record
        from headstart.finite.preference_reward import PreferenceReward

        at_least(1, demonstrations=self.demonstrations, preferences=self.preferences)
        world, judge = noisy_choices(seed), PreferenceReward()
        best = backward_induction(world)
        clone = BehaviorCloning().fit(count(record(world, best.policy, self.demonstrations, seed), world.spec))
        both = record(world, clone, 2 * self.preferences, seed)
        first, second = both.select(slice(self.preferences)), both.select(slice(self.preferences, None))
        preferred = judge.prefer(first, second, np.random.default_rng(seed))
        rewards = judge.fit(first, second, preferred, world.spec)
        told = np.broadcast_to(np.clip(rewards, 0, 1), best.policy.shape)
        found = DemoRegularizedRL(self.epsilon).run(world, clone, self.temperature, seed, told)
        imitation, optimal = float(value_of(world, clone)), float(world.initial @ best.values[0])
        gain = float(value_of(world, found.policy)) - imitation
        return {"gain over the imitation": gain, "possible": optimal - imitation, "episodes": float(found.episodes)}


def _preferences(kind, link, threshold: float, rounds: int, seed: int) -> Numbers:
    from headstart.finite.preference_learning import ReturnsAnnotator, simulate_preferences
    from headstart.finite.preference_queries import AskWhenUnsure

    at_least(4, rounds=rounds)
    generator, shape = np.random.default_rng(seed), (3, 3, 3)
    reward = 0.5 * generator.random(shape)
    reward[*np.indices(shape[:2]), generator.integers(3, size=shape[:2])] += 0.5
    world = FiniteMDP.of(generator.dirichlet(np.full(3, 0.2), shape), reward, 3)
    learner = kind(link=link, query=AskWhenUnsure(threshold))
    curves = simulate_preferences(learner, world, ReturnsAnnotator(world, link), rounds, [seed])
    regret, last = curves.regret[0], rounds - rounds // 4
    return {
        "regret": float(regret[-1]),
        "questions": float(curves.asked[0].sum()),
        "regret a round at last": float((regret[-1] - regret[last - 1]) / (rounds - last)),
    }


def _regret(world: FiniteMDP, policies: np.ndarray) -> Numbers:
    best = float(world.initial @ backward_induction(world).values[0])
    lost = [best - float(value_of(world, policy)) for policy in policies]
    return {"regret": float(np.sum(lost)), "regret of the last quarter": float(np.sum(lost[-(len(lost) // 4) :]))}
