"""Trials (``trials.Trial``) of learners that see only part of the state, learn features, play games or show lists."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.core.errors import UsageError
from headstart.core.trial import Numbers, Trial


@dataclass(frozen=True)
class ContrastiveTrial(Trial):
    """Contrastive-UCB in the block lock: features that tell true next states from random ones, and a bonus in them."""

    iterations: int = 40
    """Of 60 episodes each."""
    bonus: float = 3.0
    """Of new features; without any, learning stays with the decoy."""
    observations: int = 10
    """Of each of the three hidden states."""

    def run(self, seed: int) -> Numbers:
        """Value of the policy found; an optimal one is worth 1, giving up 0.1."""
        from headstart.finite.block_lock import block_lock
        from headstart.finite.contrastive_ucb import ContrastiveUCB

        world = block_lock(observations=self.observations, seed=seed)
        found = ContrastiveUCB(bonus=self.bonus).explore(world, self.iterations, seed)
        return {"value": float(found.values[-1]), "episodes": float(found.episodes)}


@dataclass(frozen=True)
class ContrastiveGameTrial(Trial):
    """Contrastive-UCB for both players of a zero-sum Markov game behind a lock."""

    iterations: int = 40
    """Of 60 episodes each."""
    bonus: float = 3.0
    """Of new features."""

    def run(self, seed: int) -> Numbers:
        """What the players could gain by leaving the policies found: 0 at a Nash equilibrium."""
        from headstart.finite.block_duel import block_duel
        from headstart.finite.contrastive_game import ContrastiveUCBGame
        from headstart.finite.contrastive_ucb import ContrastiveUCB
        from headstart.finite.games import exploitability

        game = block_duel(seed=seed)
        found = ContrastiveUCBGame(ContrastiveUCB(bonus=self.bonus)).explore(game, self.iterations, seed)
        return {"exploitability": exploitability(game, found.rows, found.columns), "episodes": float(found.episodes)}


@dataclass(frozen=True)
class OMLETrial(Trial):
    """OMLE, or explore-then-commit, among the sixteen small reveal-locks there may be."""

    episodes: int = 600
    """In all."""
    mode: Literal["optimistic", "explore_then_commit"] = "optimistic"
    """``explore_then_commit`` explores for ``exploration`` episodes and then plays what is best in the likeliest."""
    exploration: int = 200
    """Episodes of exploration in that mode."""
    beta: float = 4.0
    """How much less likely, in logarithm, a world may be."""

    def run(self, seed: int) -> Numbers:
        """Value of the policy found, of the best one, and how many worlds are still plausible."""
        from headstart.finite.omle import OMLE
        from headstart.finite.reveal_lock import RevealLock

        _positive(episodes=self.episodes)
        secrets = itertools.product((0, 1), (0, 1), itertools.product((0, 1), repeat=2))
        locks = [RevealLock(leaf, action, word, (1, -1, -1, 1), leaves=2, actions=2) for leaf, action, word in secrets]
        lock = locks[int(np.random.default_rng(seed).integers(len(locks)))]
        learner = OMLE(self.beta, window=2, mode=self.mode, exploration=self.exploration, batch=10)
        learned = learner.run(lock.world, [other.world for other in locks], self.episodes, seed)
        return {
            "value": learned.policy.value_in(lock.world),
            "optimal": lock.optimal_value,
            "plausible worlds": float(len(learned.plausible)),
        }


@dataclass(frozen=True)
class CollisionTrial(Trial):
    """Explore, then commit: opens a reveal-lock by counting coincidences in what it reveals."""

    tests: int = 100
    """Episodes for each candidate."""
    length: int = 10
    """Of the password."""

    def run(self, seed: int) -> Numbers:
        """Whether the lock was opened, and the episodes it took."""
        from headstart.finite.collision_explore import CollisionExplore
        from headstart.finite.reveal_lock import RevealLock

        _positive(length=self.length)
        generator = np.random.default_rng(seed)
        lock = RevealLock.random(generator, length=self.length)
        found = CollisionExplore(self.tests).run(lock, generator)
        return {"opened": float(found.opens(lock)), "episodes": float(found.episodes)}


@dataclass(frozen=True)
class WindowTrial(Trial):
    """Q-learning from the last observations on a reveal-lock: the baseline that hiding states defeats."""

    episodes: int = 2000
    """In all."""
    window: int = 2
    """Observations that it remembers."""
    length: int = 4
    """Of the password."""

    def run(self, seed: int) -> Numbers:
        """Mean reward of the last quarter of the episodes, and what the best policy earns."""
        from headstart.finite.reveal_lock import RevealLock
        from headstart.finite.window_q_learning import WindowQLearning

        _positive(episodes=self.episodes, length=self.length)
        lock = RevealLock.random(np.random.default_rng(seed), length=self.length)
        played = WindowQLearning(window=self.window).run(lock.world, episodes=self.episodes, seed=seed)
        last = played.returns[-max(1, self.episodes // 4) :]
        return {"mean reward at last": float(last.mean()), "optimal": lock.optimal_value}


@dataclass(frozen=True)
class CascadingVITrial(Trial):
    """CascadingVI in a shop whose users' engagement depends on what they clicked."""

    episodes: int = 2000
    """Of six lists each."""
    items: int = 8
    """To choose lists of three from."""

    def run(self, seed: int) -> Numbers:
        """Regret, that of the last fifth, and how much the best lists earn in an episode."""
        from headstart.finite.cascading_simulation import simulate_cascading
        from headstart.finite.cascading_vi import CascadingVI
        from headstart.finite.cascading_worlds import engagement

        _positive(episodes=self.episodes)
        curves = simulate_cascading(CascadingVI(), engagement(seed, items=self.items), self.episodes, [seed], 5)
        regret = curves.regret[0]
        last = float(regret[-1] - regret[-2]) if len(regret) > 1 else float(regret[-1])
        return {"regret": float(regret[-1]), "regret at last": last, "optimal": curves.optimal}


@dataclass(frozen=True)
class CascadingBPITrial(Trial):
    """CascadingBPI in the same shop: shows lists until it is sure that they are good enough."""

    epsilon: float = 0.3
    """How far from optimal they may be."""
    most_episodes: int = 50_000
    """When to give up."""

    def run(self, seed: int) -> Numbers:
        """Episodes until it was sure, whether it was, and what its lists lack."""
        from headstart.finite.cascading_bpi import CascadingBPI
        from headstart.finite.cascading_simulation import identify
        from headstart.finite.cascading_worlds import engagement

        if not self.epsilon > 0:
            raise UsageError(f"epsilon is {self.epsilon}; expected more than 0")
        found = identify(CascadingBPI(epsilon=self.epsilon), engagement(seed, horizon=3), self.most_episodes, [seed])
        return {
            "episodes": float(found.episodes[0]),
            "sure": float(found.sure[0]),
            "suboptimality": max(0.0, float(found.gap[0])),
        }


def _positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} is {count}; expected at least 1")
