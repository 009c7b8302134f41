"""One-step worlds with finitely many responses, in which everything about a policy is computed, not sampled.

A policy is a table of log-probabilities, one line a prompt; prompts are equally likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from headstart.core.errors import UsageError

Policy = Float[np.ndarray, "*batch prompt response"]
"""Log-probabilities of responses."""


class Pairs(NamedTuple):
    """Preference pairs: a prompt, the response that was preferred, and the other."""

    prompts: Int[np.ndarray, " pair"]
    chosen: Int[np.ndarray, " pair"]
    rejected: Int[np.ndarray, " pair"]


@dataclass(frozen=True)
class PreferenceBandit:
    """Prompts, responses, their rewards, and the policy that one starts from.

    Attributes:
        reference: log-probabilities of the reference policy.
        rewards: what each response is worth; the first of two is preferred with probability sigmoid of the difference.
        covered: responses that recorded pairs may hold; all, if nothing else is said.
        features: of each response to its prompt, for policies that generalise.
    """

    reference: Float[np.ndarray, "prompt response"]
    rewards: Float[np.ndarray, "prompt response"]
    covered: Bool[np.ndarray, "prompt response"]
    features: Float[np.ndarray, "prompt response feature"] | None = None

    @property
    def prompts(self) -> int:
        """How many prompts."""
        return self.reference.shape[0]

    @property
    def responses(self) -> int:
        """How many responses each prompt has."""
        return self.reference.shape[1]

    def expected_reward(self, policy: Policy) -> Float[np.ndarray, "*batch"]:
        """Mean reward of the policy."""
        return (np.exp(policy) * self.rewards).sum(-1).mean(-1)

    def kl(self, policy: Policy) -> Float[np.ndarray, "*batch"]:
        """Divergence of the policy from the reference, KL(policy || reference), in nats, mean over prompts."""
        return (np.exp(policy) * (policy - self.reference)).sum(-1).mean(-1)

    def uncovered_mass(self, policy: Policy) -> Float[np.ndarray, "*batch"]:
        """Probability that the policy gives to responses which no recorded pair can hold."""
        return (np.exp(policy) * ~self.covered).sum(-1).mean(-1)

    def objective(self, policy: Policy, beta: float) -> Float[np.ndarray, "*batch"]:
        """Expected reward less ``beta`` times the divergence from the reference."""
        return self.expected_reward(policy) - beta * self.kl(policy)

    def optimum(self, beta: float) -> Float[np.ndarray, "prompt response"]:
        """The policy with the greatest objective: proportional to reference times exp(reward / beta)."""
        return tilted(self.reference, self.rewards, beta)

    def greatest_objective(self, beta: float) -> float:
        """The objective of that policy: beta times the log-mean of exp(reward / beta) under the reference."""
        return float(optimal_value(self.reference, self.rewards, beta))

    def suboptimality(self, policy: Policy, beta: float) -> Float[np.ndarray, "*batch"]:
        """How far the policy's objective is below the greatest."""
        return self.greatest_objective(beta) - self.objective(policy, beta)

    def prefer(
        self,
        prompts: Int[np.ndarray, " pair"],
        first: Int[np.ndarray, " pair"],
        second: Int[np.ndarray, " pair"],
        generator: np.random.Generator,
    ) -> Pairs:
        """Label pairs of responses by the world's annotator."""
        margin = self.rewards[prompts, first] - self.rewards[prompts, second]
        wins = generator.random(len(prompts)) < 1 / (1 + np.exp(-margin))
        return Pairs(prompts, np.where(wins, first, second), np.where(wins, second, first))

    def record(self, count: int, generator: np.random.Generator, everywhere: bool = False) -> Pairs:
        """Labelled pairs of the reference's own responses, as a data set would hold.

        Args:
            count: pairs drawn; those of two identical responses are dropped, so fewer come back.
            generator: all randomness comes from it.
            everywhere: draw from the whole reference, not from covered responses alone.
        """
        kept = self.reference if everywhere else np.where(self.covered, self.reference, -np.inf)
        prompts = generator.integers(self.prompts, size=count)
        first, second = draw(kept[prompts], generator), draw(kept[prompts], generator)
        different = first != second
        return self.prefer(prompts[different], first[different], second[different], generator)


def draw(policy: Policy, generator: np.random.Generator) -> Int[np.ndarray, "*batch prompt"]:
    """One response for each line of log-probabilities (they need not be normalised)."""
    return np.argmax(policy + generator.gumbel(size=policy.shape), axis=-1)


def normalised(logits: Policy) -> Policy:
    """Log-probabilities proportional to ``exp(logits)``."""
    return logits - _log_sum(logits)


def tilted(reference: Policy, rewards: Policy, beta: float) -> Policy:
    """Log-probabilities of the policy proportional to reference times exp(rewards / beta)."""
    return normalised(reference + rewards / beta)


def optimal_value(reference: Policy, rewards: Policy, beta: float) -> Float[np.ndarray, "*batch"]:
    """The greatest mean reward less beta times divergence: beta times the log of E_reference exp(rewards / beta)."""
    return beta * _log_sum(reference + rewards / beta)[..., 0].mean(-1)


def _log_sum(logits: Policy) -> Float[np.ndarray, "*batch prompt 1"]:
    top = logits.max(-1, keepdims=True)
    return top + np.log(np.exp(logits - top).sum(-1, keepdims=True))


def coverage_bandit(seed: int, prompts: int = 64, responses: int = 48, covered: int = 12) -> PreferenceBandit:
    """Responses that recorded pairs cover have smoothly varying rewards; all others are bad, and look no different.

    Prompts u and responses v are vectors of 8 normal numbers; the reward is u'Av scaled to unit variance on the
    ``covered`` likeliest responses of each prompt, -2 on the rest. Features are u, v and their product.
    """
    generator = np.random.default_rng([seed, 11])
    size = 8
    u, v = generator.normal(size=(prompts, size)), generator.normal(size=(responses, size))
    quality = u @ generator.normal(size=(size, size)) / np.sqrt(size) @ v.T
    quality /= quality.std()
    reference = normalised(1.5 * generator.normal(size=(prompts, responses)))
    inside = np.zeros(reference.shape, bool)
    np.put_along_axis(inside, np.argsort(-reference, axis=-1)[:, :covered], True, axis=-1)
    wide = np.broadcast_to(u[:, None], (prompts, responses, size)), np.broadcast_to(v, (prompts, responses, size))
    features = np.concatenate([*wide, wide[0] * wide[1]], axis=-1)
    return PreferenceBandit(reference, np.where(inside, quality, -2.0), inside, features)


GREATEST_REWARD = 6.0
"""Of the rare-best bandit."""


def rare_best_bandit(seed: int, rarity: float = 1e-3, prompts: int = 4, responses: int = 12) -> PreferenceBandit:
    """One response is far better than all others, and the reference hardly ever gives it.

    Args:
        seed: of the rewards and of which response is best.
        rarity: probability of the best response under the reference; the others share the rest evenly.
        prompts: how many.
        responses: of each prompt.

    Raises:
        UsageError: the rarity is not a probability between 0 and 1.
    """
    if not 0 < rarity < 1:
        raise UsageError(f"rarity is {rarity}; expected the probability of a response, between 0 and 1")
    generator = np.random.default_rng([seed, 12])
    rewards = GREATEST_REWARD * generator.uniform(0, 0.5, size=(prompts, responses))
    reference = np.full((prompts, responses), np.log((1 - rarity) / (responses - 1)))
    best = generator.integers(responses, size=(prompts, 1))
    np.put_along_axis(rewards, best, GREATEST_REWARD, axis=-1)
    np.put_along_axis(reference, best, np.log(rarity), axis=-1)
    return PreferenceBandit(reference, rewards, np.ones(rewards.shape, bool))


def linear_bandit(
    seed: int, responses: int = 200, size: int = 8, norm: float = 3.0
) -> tuple[PreferenceBandit, Float[np.ndarray, " feature"]]:
    """One prompt whose responses' rewards are linear in their features: the world, and the true weights.

    Features are normal with variance 1 / size; the weights have the given norm; the reference is uniform.
    """
    generator = np.random.default_rng([seed, 13])
    features = generator.normal(size=(responses, size)) / np.sqrt(size)
    weights = generator.normal(size=size)
    weights *= norm / np.linalg.norm(weights)
    reference = np.full((1, responses), -np.log(responses))
    rewards = (features @ weights)[None]
    return PreferenceBandit(reference, rewards, np.ones(rewards.shape, bool), features[None]), weights
