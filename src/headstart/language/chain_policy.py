"""Policy gradients from reset states on a table: which beginnings a policy is made to go on from, and nothing else.

The loss is that of language models, on the tokens that the policy drew itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.envs.token_chain import Chains, TokenChain
from headstart.language.advantages import generalized_advantages, token_rewards
from headstart.language.method import LossBatch, Scored
from headstart.language.policy_gradient import PPO


@dataclass(frozen=True, kw_only=True)
class ChainLearner:
    """PPO of a table in a chain, each response begun by a prefix of a recorded one with some probability (dataset
    resets, Chang et al. 2024, arXiv:2404.08495, Alg. 1).

    The baseline of a state is the mean return of those who drew a word there.

    Attributes:
        method: whose loss is taken; forced words get no gradient.
        reset_fraction: probability that a response begins with a prefix; 0 is plain PPO.
        min_prefix: shortest such prefix; the longest leaves one word to be drawn. With 1 and a fraction of 1 the first
            word is never learned.
        kl_coef: what each nat of log-ratio to the start takes from the return.
        responses: of each iteration.
        epochs: steps of gradient descent on them.
        learning_rate: of these; large, for the loss is a mean over words and most states are seldom visited.
    """

    method: PPO = field(default_factory=PPO)
    reset_fraction: float = 0.5
    min_prefix: int = 0
    kl_coef: float = 0.02
    responses: int = 128
    epochs: int = 4
    learning_rate: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.reset_fraction <= 1:
            raise UsageError(f"reset_fraction is {self.reset_fraction}; expected a part from 0 to 1")
        if self.min_prefix < 0 or self.responses < 1 or self.epochs < 1:
            raise UsageError(f"min_prefix must be 0 or more, responses and epochs 1 or more; given {self}")

    def learn(self, world: TokenChain, iterations: int, seed: int) -> list[Float[np.ndarray, "step 2 word"]]:
        """Policies before each iteration and after the last, as log-probabilities."""
        # Streams of their own: without resets, references change nothing.
        drawing, resetting = (np.random.default_rng([seed, part]) for part in (41, 42))
        start = torch.from_numpy(world.start())
        logits = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([logits], lr=self.learning_rate)
        policies = [torch.log_softmax(logits, -1).detach().numpy()]
        for _ in range(iterations):
            references = world.references(self.responses, resetting)
            prefixes = self.prefixes(world.steps, resetting)
            chains = draw_chains(world, policies[-1], references, prefixes, drawing)
            batch = self.batch(world, policies[-1], chains, prefixes)
            for _ in range(self.epochs):
                optimizer.zero_grad()
                self.loss(logits, world, chains, batch).backward()
                optimizer.step()
            policies.append(torch.log_softmax(logits, -1).detach().numpy())
        return policies

    def prefixes(self, steps: int, generator: np.random.Generator) -> Int[np.ndarray, " response"]:
        """How many words of each response are given."""
        low = min(self.min_prefix, steps - 1)
        lengths = generator.integers(low, steps, size=self.responses)
        return np.where(generator.random(self.responses) < self.reset_fraction, lengths, 0)

    def batch(
        self,
        world: TokenChain,
        policy: Float[np.ndarray, "step 2 word"],
        chains: Chains,
        prefixes: Int[np.ndarray, " response"],
    ) -> dict[str, Tensor]:
        """The fields that the loss reads: log-probabilities when drawn, words that were given, advantages."""
        intact = world.intact(chains).astype(np.int64)
        steps = np.arange(world.steps)[None]
        behavior, reference = (
            torch.from_numpy(table[steps, intact, chains].astype(np.float32)) for table in (policy, world.start())
        )
        drawn = torch.from_numpy(steps >= prefixes[:, None])
        rewards = token_rewards(
            torch.from_numpy(world.reward(chains)).float(), behavior, reference, torch.ones_like(drawn), self.kl_coef
        )
        returns, _ = generalized_advantages(rewards, torch.zeros_like(rewards), torch.ones_like(drawn), 1.0, 1.0)
        state = torch.from_numpy(2 * steps + intact)
        zeros = torch.zeros(2 * world.steps)
        total = zeros.index_add(0, state[drawn], returns[drawn])
        count = zeros.index_add(0, state[drawn], torch.ones_like(returns[drawn]))
        advantage = torch.where(drawn, returns - (total / count.clamp(min=1))[state], 0.0)
        return {"behavior": behavior, "forced": torch.from_numpy(prefixes).float(), "advantage": advantage}

    def loss(self, logits: Tensor, world: TokenChain, chains: Chains, fields: dict[str, Tensor]) -> Float[Tensor, ""]:
        """The method's loss of a table on some chains."""
        intact = torch.from_numpy(world.intact(chains).astype(np.int64))
        policy = torch.log_softmax(logits, -1)[torch.arange(world.steps)[None], intact, torch.from_numpy(chains)]
        mask = torch.ones(chains.shape, dtype=torch.bool)
        return self.method.loss(LossBatch({"completion": Scored(policy.float(), mask)}, fields))[0]


def draw_chains(
    world: TokenChain,
    policy: Float[np.ndarray, "step 2 word"],
    references: Chains,
    prefixes: Int[np.ndarray, " response"],
    generator: np.random.Generator,
) -> Chains:
    """Responses of a policy, each begun by so many words of its reference."""
    chains = np.empty_like(references)
    intact = np.ones(len(references), dtype=np.int64)
    noise = generator.random(references.shape)
    for step in range(world.steps):
        cumulative = np.exp(policy[step, intact]).cumsum(-1)
        drawn = np.minimum((noise[:, step, None] >= cumulative).sum(-1), world.words - 1)
        chains[:, step] = np.where(step < prefixes, references[:, step], drawn)
        intact &= chains[:, step] == 0
    return chains
