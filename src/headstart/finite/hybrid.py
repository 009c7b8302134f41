"""H2O: any offline learner becomes a hybrid one, that learns from recorded episodes and its own.

Amortila, Foster, Jiang, Sekhari and Xie 2024 (arXiv 2401.09681), Algorithm 2. With MABO as the offline learner it is
their HyGLOW. Neither optimism nor pessimism is needed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.episodes import Episodes, collect
from headstart.finite.mdp import FiniteMDP


class OfflineLearner(Protocol):
    """Whatever turns recorded episodes, possibly none, into a policy."""

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """The policy."""
        ...


class Interaction(NamedTuple):
    """What a learner did, round by round."""

    policies: Float[np.ndarray, "rounds horizon states actions"]
    """Theory's guarantee is for a policy drawn from them evenly."""
    episodes: Episodes
    """What was played, in that order."""


@dataclass(frozen=True, eq=False)
class H2O:
    """Refits an offline learner to a growing mixture of recorded and own episodes, and plays what it says."""

    base: OfflineLearner
    """The offline learner."""
    offline_per_online: float = 1.0
    """How many recorded episodes are revealed for each one played. Theory has 1; infinity reveals all of them at
    once."""
    refit_every: int = 1
    """Rounds from one fit to the next."""
    exploration: float = 0.0
    """Share of actions that are taken evenly at random; the algorithm has none."""

    def __post_init__(self) -> None:
        if not (self.offline_per_online >= 0 and self.refit_every >= 1 and 0 <= self.exploration <= 1):
            raise UsageError(
                f"offline_per_online is {self.offline_per_online}, refit_every {self.refit_every}, exploration "
                f"{self.exploration}; expected at least 0, at least 1 and within [0, 1]"
            )

    def run(self, world: FiniteMDP, rounds: int, offline: Episodes | None = None, seed: int = 0) -> Interaction:
        """Play a world for some rounds of one episode.

        Warns where the recorded episodes run out: those there are are used on.

        Args:
            world: only ever played.
            rounds: how many.
            offline: recorded episodes, in the order in which they are revealed; without them this is the offline
                learner, used online.
            seed: of the episodes.
        """
        generator = np.random.default_rng(seed)
        recorded = nothing(world.horizon) if offline is None else offline
        wanted = self.offline_per_online * (rounds - 1)
        if offline is not None and np.isfinite(wanted) and len(offline.actions) < wanted:
            warnings.warn(f"{len(offline.actions)} recorded episodes are fewer than {wanted:g}", stacklevel=2)
        own, policies = [], []
        for played in range(rounds):
            if played % self.refit_every == 0:
                fitted = self.base.fit(join([recorded.select(slice(self._revealed(played))), *own]))
                policy = (1 - self.exploration) * fitted + self.exploration / world.actions
            policies.append(policy)
            own.append(collect(world, policy, 1, int(generator.integers(2**31))))
        return Interaction(np.stack(policies), join(own))

    def _revealed(self, played: int) -> int | None:
        return None if np.isinf(self.offline_per_online) else int(self.offline_per_online * played)


def join(parts: list[Episodes]) -> Episodes:
    """All episodes, one part after the other."""
    return Episodes(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def nothing(horizon: int) -> Episodes:
    """No episodes."""
    none = np.zeros((0, horizon), np.int64)
    return Episodes(none, none, none.astype(np.float64), none)
