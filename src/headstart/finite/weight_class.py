"""Explicit classes of weights of the data, and GLOW and MABO with them.

Amortila, Foster, Jiang, Sekhari and Xie 2024 (arXiv 2401.09681), Algorithm 1 and eq. 13. ``glow.GLOW`` and
``mabo.MABO`` take the largest over all weights there are; a small class that holds the density ratios needed refutes
fewer functions by chance, and need not be tabular.

A class is taken together with all fractions of its weights. That costs theory nothing (they are of one more dimension),
and without them the penalty lets nothing be refuted before ``gamma t`` is above 8 over the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, HeadstartError, UsageError
from headstart.finite.episodes import Counts, Episodes, collect, count
from headstart.finite.experiment_design import Policies, propagate
from headstart.finite.hybrid import Interaction, join
from headstart.finite.mdp import FiniteMDP
from headstart.finite.value_class import ValueClass

Weights = Float[np.ndarray, "weights horizon states actions"]


class WeightClass(Protocol):
    """Candidates for the ratio of a policy's occupancy to that of the data."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def after(self, policies: Policies) -> Weights:
        """The candidates once these policies have been played equally often."""
        ...


@dataclass(frozen=True, eq=False)
class ListedWeights:
    """The same candidates whatever was played."""

    weights: Weights

    @classmethod
    def of(cls, weights: ArrayLike) -> ListedWeights:
        """A class from its array.

        Raises:
            DataError: it has not four axes, is empty, or holds weights that are negative or not finite.
        """
        array = np.asarray(weights, np.float64)
        if array.ndim != 4 or 0 in array.shape or not (np.isfinite(array) & (array >= 0)).all():
            raise DataError(
                f"weights have the shape {list(array.shape)}; expected [weights, horizon, states, actions], none of "
                "them 0, and finite numbers of at least 0"
            )
        return cls(array)

    def __len__(self) -> int:
        return len(self.weights)

    def after(self, policies: Policies) -> Weights:
        """The listed ones."""
        return self.weights


@dataclass(frozen=True, eq=False)
class DensityRatios:
    """``d / mean of the played policies' d`` for each of some policies in each of some worlds: all that theory needs
    where one of the worlds is the true one and the policies are those of the value class.

    Where nothing that was played gets, the ratio is infinite if the policy gets there, and is clipped.
    """

    worlds: tuple[FiniteMDP, ...]
    policies: Policies

    @classmethod
    def of(cls, worlds: tuple[FiniteMDP, ...] | list[FiniteMDP], values: ValueClass) -> DensityRatios:
        """The ratios of the value class's greedy policies; equal policies count once."""
        policies = np.stack([values.policy(index) for index in range(len(values))])
        return cls(tuple(worlds), np.unique(policies, axis=0))

    def __len__(self) -> int:
        return len(self.worlds) * len(self.policies)

    def after(self, policies: Policies) -> Weights:
        """The ratios to the mixture of what was played, world by world."""
        found = []
        for world in self.worlds:
            known = np.asarray(world.transition, np.float64)
            known, initial = np.broadcast_to(known, (world.horizon, *known.shape[1:])), np.asarray(world.initial)
            mixture = propagate(known, initial, policies).mean(0)
            wanted = propagate(known, initial, self.policies)
            beyond = np.where(wanted > 0, np.inf, 0.0)
            found.append(np.divide(wanted, mixture, out=beyond, where=np.broadcast_to(mixture > 0, wanted.shape)))
        return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class WeightedGLOW:
    """GLOW with an explicit class of weights.

    In round t a function is kept if at every step, for every weight clipped at ``gamma_t = gamma t``, ``mean[w error -
    8 / gamma_t w^2]`` is at most ``confidence_scale gamma_t / (episodes so far) log(6 functions weights rounds horizon
    / failure_probability)``. Of those, the one that promises most is played.
    """

    values: ValueClass
    weights: WeightClass
    coverability: float
    """Of the world (``coverage.coverability``), or a guess: ``gamma`` is theory's, ``sqrt(coverability / (rounds
    log(functions weights / failure_probability)))``."""
    confidence_scale: float = 0.003
    """Theory has 36, which refutes nothing in fewer than about a million rounds."""
    failure_probability: float = 0.05
    """Within (0, 1)."""

    def __post_init__(self) -> None:
        if not (self.coverability > 0 and self.confidence_scale > 0 and 0 < self.failure_probability < 1):
            raise UsageError(
                f"coverability is {self.coverability}, confidence_scale {self.confidence_scale} and "
                f"failure_probability {self.failure_probability}; expected the first two above 0, the last in (0, 1)"
            )

    def run(self, world: FiniteMDP, rounds: int, seed: int = 0) -> tuple[Interaction, Bool[np.ndarray, "rounds f"]]:
        """Play a world whose start distribution is known; as ``glow.GLOW.run``.

        Raises:
            HeadstartError: all functions were refuted.
        """
        generator = np.random.default_rng(seed)
        promised = self.values.values[:, 0] @ np.asarray(world.initial)
        policies, played, kept = [], [], []
        for number in range(1, rounds + 1):
            left = np.ones(len(self.values), bool)
            if played:
                seen = count(join(played), self.values.spec)
                left = self.kept(seen, np.stack(policies), number, rounds)
            policy = self.values.policy(int(np.where(left, promised, -np.inf).argmax()))
            policies.append(policy)
            played.append(collect(world, policy, 1, int(generator.integers(2**31))))
            kept.append(left)
        return Interaction(np.stack(policies), join(played)), np.stack(kept)

    def kept(self, counts: Counts, policies: Policies, number: int, rounds: int) -> Bool[np.ndarray, " functions"]:
        """Which functions are not refuted in round ``number`` (from 1) by episodes of the policies played before."""
        together = len(self.values) * len(self.weights)
        gamma = number * math.sqrt(self.coverability / (rounds * math.log(together / self.failure_probability)))
        horizon = self.values.spec.horizon
        log = math.log(6 * together * rounds * horizon / self.failure_probability)
        allowed = self.confidence_scale * gamma / (number - 1) * log
        violation = violations(self.values, counts, self.weights.after(policies), gamma).max((1, 2))
        if violation.min() > allowed:
            raise HeadstartError(
                f"all {len(violation)} value functions were refuted: the least violation is {violation.min():.3g}, "
                f"allowed are {allowed:.3g}; give a class that holds the optimal values, or a larger confidence_scale"
            )
        return violation <= allowed


@dataclass(frozen=True, eq=False)
class WeightedMABO:
    """MABO.CR with an explicit class of weights: minimises the largest, over it, of ``sum_h |mean[w error]| - alpha
    mean[w^2]``, weights clipped at ``gamma episodes`` and ``alpha = 8 / (gamma episodes)``."""

    values: ValueClass
    weights: Weights
    gamma: float = 1.0
    """Theory's is ``sqrt((single-policy concentrability + coverability) / (episodes horizon^2 log))``."""

    def __post_init__(self) -> None:
        ListedWeights.of(self.weights)
        if not self.gamma > 0:
            raise UsageError(f"gamma is {self.gamma}; expected more than 0")

    def fit(self, data: Episodes) -> Float[np.ndarray, "horizon states actions"]:
        """The policy that is greedy for the minimiser; the first of several."""
        clip = self.gamma * max(len(data.actions), 1)
        errors = violations(self.values, count(data, self.values.spec), self.weights, clip, either_sign=True)
        return self.values.policy(int(errors.sum(-1).max(1).argmin()))


def violations(
    values: ValueClass, counts: Counts, weights: Weights, clip: float, either_sign: bool = False
) -> Float[np.ndarray, "functions weights horizon"]:
    """The largest of ``c mean[w error] - c^2 8 / clip mean[w^2]`` over factors c in [0, 1] at each step.

    Weights are clipped before; with ``either_sign`` the size of the mean error counts.

    Raises:
        DataError: weights are of other steps, states or actions than the functions.
    """
    if weights.shape[1:] != values.action_values.shape[1:]:
        raise DataError(
            f"weights are of {list(weights.shape[1:])} steps, states and actions, the value functions of "
            f"{list(values.action_values.shape[1:])}"
        )
    share = counts.visits / np.maximum(counts.visits.sum((1, 2), keepdims=True), 1)
    clipped = np.minimum(weights, clip)
    error = np.einsum("whsa,fhsa->fwh", share * clipped, values.residuals(counts))
    error = np.abs(error) if either_sign else np.maximum(error, 0)
    penalty = 8 / clip * np.einsum("hsa,whsa->wh", share, clipped**2)
    factor = np.minimum(np.divide(error, 2 * penalty, out=np.zeros_like(error), where=penalty > 0), 1)
    return factor * error - factor**2 * penalty
