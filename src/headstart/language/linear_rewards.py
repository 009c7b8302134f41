"""Preference learning where rewards are linear in features: optimism or pessimism by VPO's term, and by an enhancer.

Everything about a policy is exact; only responses and labels are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.envs.preference_bandits import Policy, PreferenceBandit, draw, tilted
from headstart.language.implicit_reward import Explored, Explorer, Recorded
from headstart.language.method import LanguageMethod
from headstart.language.tabular import Table, descend

Weights = Float[np.ndarray, " feature"]


def calibrated(world: PreferenceBandit) -> Float[np.ndarray, "prompt response feature"]:
    """The world's features less their mean under the reference, so that every linear reward has mean 0 there.

    With such rewards r the greatest value J*(r) is -beta times the mean over the reference's responses of the log-ratio
    of r's best policy, which is what VPO's term is built on (Cen et al. 2025, arXiv:2405.19320).

    Raises:
        UsageError: the world has no features.
    """
    if world.features is None:
        raise UsageError("this world's responses have no features; make one with linear_bandit")
    mean = np.einsum("pr,prf->pf", np.exp(world.reference), world.features).mean(0)
    return world.features - mean


@dataclass(frozen=True, kw_only=True)
class LinearExplorer(Explorer):
    """Rounds of labelled pairs, after each of which the weights of a linear reward are fitted to all of them.

    The loss is that of a language method, on the policies that are best for linear rewards: with DPO it is the maximum
    likelihood of the weights; with VPO the likelihood and, by its mode, optimism or pessimism about the value.

    Attributes:
        features: of the responses, calibrated.
        norm: greatest norm of the weights; ``greatest`` is not used.
        directions: starts along random directions, besides where one is and zero, when ``starts`` is ``many``.
    """

    features: Float[np.ndarray, "prompt response feature"]
    norm: float = 3.0
    directions: int = 8

    def fit(self, recorded: Recorded, method: LanguageMethod, reference: Table, rewards: Table) -> Table:
        """Rewards of the weights, within their norm, whose policy has the least loss; ``rewards`` is where one is."""
        features = torch.from_numpy(self.features)
        size = features.shape[-1]
        now = torch.linalg.lstsq(features.reshape(-1, size), rewards.reshape(-1)).solution
        losses = recorded.losses(method, reference)

        def objective(points: Table) -> Float[Tensor, "*batch line"]:
            found = torch.einsum("prf,...f->...pr", features, self._weights(points)[..., 0, :])
            return losses(self.policy(found, reference)).sum(-1, keepdim=True)

        starts = torch.stack([now, torch.zeros(size, dtype=now.dtype)])
        if self.starts == "many":
            generator = torch.Generator().manual_seed(0)
            random = torch.randn(self.directions, size, generator=generator, dtype=now.dtype)
            starts = torch.cat([starts, 0.9 * self.norm * random / random.norm(dim=-1, keepdim=True)])
        found, values = descend(objective, self._points(starts)[:, None], self.steps, tolerance=self.tolerance)
        best = self._weights(found[values[:, 0].argmin()])[0]
        return torch.einsum("prf,f->pr", features, best)

    def _weights(self, points: Tensor) -> Tensor:
        """Weights in the open ball of the norm, from points anywhere."""
        return self.norm * points / (1 + points.square().sum(-1, keepdim=True)).sqrt()

    def _points(self, weights: Tensor) -> Tensor:
        length = weights.norm(dim=-1, keepdim=True)
        inside = weights * (0.999 * self.norm / length.clamp(min=0.999 * self.norm))
        return inside / (self.norm**2 - inside.square().sum(-1, keepdim=True)).sqrt()


@dataclass(frozen=True, kw_only=True)
class Duel:
    """A main policy that is best for the likeliest reward, and an enhancer that is as uncertain against it as it may be
    (RLHF Workflow, Dong et al. 2024, arXiv:2405.07863, Algorithm 1; exact for linear rewards).

    Uncertainty of two policies is ``width`` times the norm, in the inverse of the covariance of all compared features,
    of the difference of their mean features. The enhancer has the most of it among policies whose divergence from the
    main one, times ``beta``, is no more than their uncertainty.

    Attributes:
        beta: price of leaving the reference (their eta).
        width: scale of the uncertainty (their b); 0 makes the enhancer the main policy.
        ridge: weight of the squared norm of the weights, in the fit and in the covariance.
        rounds: how many.
        pairs: labelled for each prompt in a round, one response of each policy.
    """

    beta: float = 0.4
    width: float = 0.3
    ridge: float = 1.0
    rounds: int = 60
    pairs: int = 8

    def __post_init__(self) -> None:
        if not (self.beta > 0 and self.ridge > 0 and self.width >= 0 and self.rounds > 0 and self.pairs > 0):
            raise UsageError(f"beta, ridge, rounds and pairs must be above 0, width 0 or more; given {self}")

    def explore(self, world: PreferenceBandit, seed: int) -> Explored:
        """All rounds; what is judged is the main policy."""
        generator, features = np.random.default_rng([seed, 22]), calibrated(world)
        size = features.shape[-1]
        weights, covariance = np.zeros(size), self.ridge * np.eye(size)
        gaps = np.zeros((0, size))
        best = world.rewards.argmax(-1)
        hit, done = np.full(world.prompts, self.rounds), Explored()
        for count in range(1, self.rounds + 1):
            main = tilted(world.reference, features @ weights, self.beta)
            self._note(done, world, main)
            prompts = np.repeat(np.arange(world.prompts), self.pairs)
            first = draw(main[prompts], generator)
            second = draw(self.enhancer(main, features, covariance)[prompts], generator)
            tried = ((first == best[prompts]) | (second == best[prompts])).reshape(world.prompts, -1).any(-1)
            hit = np.where(tried, np.minimum(hit, count), hit)
            labelled = world.prefer(prompts, first, second, generator)
            new = features[prompts, labelled.chosen] - features[prompts, labelled.rejected]
            gaps, covariance = np.concatenate([gaps, new]), covariance + new.T @ new
            weights = likeliest_weights(gaps, self.ridge, weights)
        self._note(done, world, tilted(world.reference, features @ weights, self.beta))
        done.first_hit = float(hit.mean())
        return done

    def enhancer(
        self,
        main: Policy,
        features: Float[np.ndarray, "prompt response feature"],
        covariance: Float[np.ndarray, "feature feature"],
    ) -> Policy:
        """The most uncertain policy that the main one allows.

        For a direction of features it is the main policy tilted that way as far as is allowed. Directions are improved
        in turn, from both ends of every axis of the covariance: a policy's own gap to the main one is the next.
        """
        if not self.width:
            return main
        inverse = np.linalg.inv(covariance)
        axes = np.linalg.eigh(inverse)[1].T
        found, most = main, 0.0
        for direction in [*axes, *-axes]:
            for _ in range(3):
                policy = self._tilt(main, features, inverse, direction)
                gap = mean_features(policy, features) - mean_features(main, features)
                direction = inverse @ gap
            uncertainty = self.uncertainty(main, policy, features, inverse)
            if uncertainty > most:
                found, most = policy, uncertainty
        return found

    def uncertainty(
        self,
        main: Policy,
        other: Policy,
        features: Float[np.ndarray, "prompt response feature"],
        inverse: Float[np.ndarray, "feature feature"],
    ) -> float:
        """Of two policies; ``inverse`` is that of the covariance."""
        gap = mean_features(other, features) - mean_features(main, features)
        return self.width * float(np.sqrt(gap @ inverse @ gap))

    def _tilt(self, main: Policy, features: np.ndarray, inverse: np.ndarray, direction: Weights) -> Policy:
        """The main policy tilted along a direction, as far as divergence times beta stays below uncertainty."""
        size = np.linalg.norm(direction)
        if size == 0:
            return main
        slopes = features @ (direction / size)

        def at(strength: float) -> Policy:
            return tilted(main, slopes, 1 / strength)

        def allowed(strength: float) -> bool:
            policy = at(strength)
            divergence = (np.exp(policy) * (policy - main)).sum(-1).mean(-1)
            return self.beta * divergence <= self.uncertainty(main, policy, features, inverse)

        low, high = 1e-9, 1.0
        while allowed(high) and high < 1e6:
            low, high = high, 2 * high
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if allowed(middle) else (low, middle)
        return at(low)

    def _note(self, done: Explored, world: PreferenceBandit, policy: Policy) -> None:
        done.policies.append(policy)
        done.suboptimality.append(float(world.suboptimality(policy, self.beta)))


def mean_features(policy: Policy, features: Float[np.ndarray, "prompt response feature"]) -> Weights:
    """What a policy's responses look like on average, over prompts too."""
    return np.einsum("pr,prf->f", np.exp(policy), features) / len(policy)


def likeliest_weights(
    gaps: Float[np.ndarray, "pair feature"], ridge: float, start: Weights, steps: int = 20
) -> Weights:
    """Weights of greatest likelihood under Bradley and Terry's model, less half ``ridge`` times their squared norm.

    Args:
        gaps: features of the chosen less those of the rejected.
        ridge: above 0.
        start: where Newton's method begins.
        steps: at most.
    """
    weights = start
    for _ in range(steps):
        lose = 1 / (1 + np.exp(gaps @ weights))
        slope = ridge * weights - gaps.T @ lose
        bend = ridge * np.eye(len(weights)) + (gaps * (lose * (1 - lose))[:, None]).T @ gaps
        step = np.linalg.solve(bend, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return weights
