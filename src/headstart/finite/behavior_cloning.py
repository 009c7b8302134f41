"""Imitation by counting, and how far an imitation is from whom it imitates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts, Episodes
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import occupancy

Policy = Float[np.ndarray, "horizon states actions"]


@dataclass(frozen=True)
class BehaviorCloning:
    """The policy of largest likelihood, under a logarithmic penalty that keeps every action possible.

    The penalty is what bounds the divergence from a demonstrator, who may be random (Tiapkin et al. 2023, arXiv
    2310.17303, section 3).
    """

    smoothing: float = 1.0
    """Weight of the penalty: as many times as each action counts as seen beforehand. At 0 states that were never seen
    get every action alike."""

    def __post_init__(self) -> None:
        if self.smoothing < 0:
            raise UsageError(f"smoothing is {self.smoothing}; expected 0 or more")

    def fit(self, counts: Counts) -> Float[np.ndarray, "*steps states actions"]:
        """Probabilities ``(visits + smoothing) / (visits of the state + smoothing actions)``."""
        weights = counts.visits + self.smoothing
        total = weights.sum(-1, keepdims=True)
        return np.divide(weights, total, out=np.full_like(weights, 1 / weights.shape[-1]), where=total > 0)


def trajectory_divergence(world: FiniteMDP, policy: Policy, other: Policy) -> float:
    """``KL(policy || other)`` of the distributions of whole episodes, exactly.

    It is the expected sum over the steps of the policy's episodes of the divergences of the actions; infinite where
    ``other`` never does what ``policy`` does.
    """
    visited = np.asarray(occupancy(world, policy))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(visited > 0, np.log(policy) - np.log(other), 0.0)
    return float((visited * ratios).sum())


def held_out_divergence(demonstrations: Episodes, imitation: Policy, entropy: float = 0.0) -> float:
    """An estimate of ``trajectory_divergence`` from demonstrations that the imitation has not seen.

    Args:
        demonstrations: fresh ones.
        imitation: what ``BehaviorCloning`` gave for others.
        entropy: of the demonstrator's actions, summed over an episode; 0 of a deterministic one.

    Raises:
        UsageError: there are no demonstrations.
    """
    if len(demonstrations.actions) == 0:
        raise UsageError("no demonstrations were held out; hold some out, or give the temperature yourself")
    steps = np.arange(demonstrations.actions.shape[1])
    taken = imitation[steps, demonstrations.observations, demonstrations.actions]
    return float(-np.log(taken).sum(1).mean() - entropy)
