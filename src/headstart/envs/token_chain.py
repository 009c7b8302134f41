"""A chain of words in which everything must be right: a reward that is next to never found by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Chains = Int[np.ndarray, "row step"]


@dataclass(frozen=True)
class TokenChain:
    """Words are written one after the other; word 0 is the right one at every step, and the reward is 1 if all are.

    What a policy needs to know is the step and whether everything has been right so far, so policies are tables
    ``[step, intact, word]``.

    Attributes:
        steps: words of a response.
        words: to choose from at each step.
        known: probability of the right word under the policy that learners begin as.
        complete: probability that a reference response is right throughout; the others break at a uniform step.
    """

    steps: int = 10
    words: int = 4
    known: float = 0.5
    complete: float = 0.4

    def start(self) -> Float[np.ndarray, "step 2 word"]:
        """Log-probabilities of the policy that learners begin as: the right word as ``known`` says, the others alike;
        and nothing known once the chain is broken."""
        policy = np.full((self.steps, 2, self.words), 1 / self.words)
        policy[:, 1] = (1 - self.known) / (self.words - 1)
        policy[:, 1, 0] = self.known
        return np.log(policy)

    def references(self, count: int, generator: np.random.Generator) -> Chains:
        """Recorded responses: right up to where they break, wrong there, and uniform words from there on."""
        complete = generator.random(count) < self.complete
        broken = np.where(complete, self.steps, generator.integers(self.steps, size=count))
        words = generator.integers(self.words, size=(count, self.steps))
        wrong = generator.integers(1, self.words, size=(count, self.steps))
        steps = np.arange(self.steps)
        return np.where(steps < broken[:, None], 0, np.where(steps == broken[:, None], wrong, words))

    def intact(self, chains: Chains) -> Bool[np.ndarray, "row step"]:
        """Whether everything before each step is right."""
        right = np.logical_and.accumulate(chains == 0, axis=1)
        return np.concatenate([np.ones((len(chains), 1), bool), right[:, :-1]], axis=1)

    def reward(self, chains: Chains) -> Float[np.ndarray, " row"]:
        """1 if every word is right."""
        return (chains == 0).all(1).astype(np.float64)

    def success(self, policy: Float[np.ndarray, "step 2 word"]) -> float:
        """Expected reward of a policy given as log-probabilities, exactly."""
        return float(np.exp(policy[:, 1, 0].sum()))
