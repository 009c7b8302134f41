"""Optimistic preference learning where policies are few numbers: every policy is the best one for some bounded reward.

A bonus for optimism is concave in that reward, so gradient steps from where one is hardly explore: the response to be
tried has next to no probability, hence next to no gradient. The exact minimiser, found from several starts, explores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.envs.preference_bandits import Pairs, PreferenceBandit, draw
from headstart.language.method import LanguageMethod
from headstart.language.tabular import Table, descend, row_losses, side


@dataclass
class Recorded:
    """Every pair labelled so far, each distinct one once with how often it came up.

    Attributes:
        counts: by prompt, chosen, rejected, and whether the chosen came from the comparator.
    """

    counts: Int[np.ndarray, "prompt response response 2"]

    def add(self, pairs: Pairs, chosen_from_comparator: np.ndarray) -> None:
        """Count more pairs."""
        where = (pairs.prompts, pairs.chosen, pairs.rejected, chosen_from_comparator.astype(np.int64))
        np.add.at(self.counts, where, 1)

    def losses(self, method: LanguageMethod, reference: Table) -> Callable[[Table], Float[Tensor, "*batch prompt"]]:
        """The method's losses summed over the pairs of each prompt, as a function of policies.

        The side ``calibration`` of every row holds the expected log-probability of the reference's responses.
        """
        cells = np.nonzero(self.counts)
        prompts, chosen, rejected, source = (torch.from_numpy(index) for index in cells)
        counts = torch.from_numpy(self.counts[cells]).double()
        weights = reference.exp()
        expected = (weights * reference).sum(-1)[prompts]

        def summed(policy: Table) -> Float[Tensor, "*batch prompt"]:
            sides = {
                "chosen": side(policy, reference, prompts, chosen),
                "rejected": side(policy, reference, prompts, rejected),
                "calibration": ((weights * policy).sum(-1)[..., prompts], expected),
            }
            losses = row_losses(method, sides, {"chosen_from_comparator": source.double()}) * counts
            return losses.new_zeros(policy.shape[:-1]).index_add(-1, prompts, losses)

        return summed


@dataclass
class Explored:
    """What an online learner did.

    Attributes:
        policies: log-probabilities before each round and after the last.
        suboptimality: of each of them, exactly.
        first_hit: mean over prompts of the round in which the best response was first tried; the number of rounds
            where it never was.
    """

    policies: list[Float[np.ndarray, "prompt response"]] = field(default_factory=list)
    suboptimality: list[float] = field(default_factory=list)
    first_hit: float = 0.0

    def regret(self) -> list[float]:
        """Suboptimality summed over the rounds that were played."""
        return np.cumsum(self.suboptimality[:-1]).tolist()


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """Plays rounds of labelled pairs and refits to all of them after each.

    Attributes:
        beta: price of leaving the reference.
        greatest: rewards are sought between 0 and this.
        rounds: how many.
        pairs: labelled for each prompt in a round.
        comparator: who gives the second response of a pair.
        starts: ``one``: descend from where one is; ``many``: and from there with each response in turn raised to the
            greatest reward, the others as they are or lowered together as far as they go.
        steps: of the solver from one start, at most; a quarter of them to compare starts.
        tolerance: it stops once no reward would move further than this.
    """

    beta: float = 0.4
    greatest: float = 6.0
    rounds: int = 60
    pairs: int = 8
    comparator: Literal["policy", "reference"] = "reference"
    starts: Literal["many", "one"] = "many"
    steps: int = 24
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not (self.beta > 0 and self.greatest > 0 and self.rounds > 0 and self.pairs > 0):
            raise UsageError(f"beta, greatest, rounds and pairs must be above 0; given {self}")

    def explore(self, world: PreferenceBandit, method: Callable[[int], LanguageMethod], seed: int) -> Explored:
        """All rounds.

        Args:
            world: prompts, responses and the annotator.
            method: whose loss is minimised after each round, counted from 1; its schedule, if it has one.
            seed: of the responses and the labels.
        """
        generator = np.random.default_rng([seed, 21])
        reference = torch.from_numpy(world.reference)
        rewards = torch.zeros_like(reference)
        recorded = Recorded(np.zeros((*world.reference.shape, world.responses, 2), np.int64))
        best = world.rewards.argmax(-1)
        hit = np.full(world.prompts, self.rounds)
        done = Explored()
        for count in range(1, self.rounds + 1):
            policy = self.policy(rewards, reference).numpy()
            self._note(done, world, policy)
            prompts = np.repeat(np.arange(world.prompts), self.pairs)
            first = draw(policy[prompts], generator)
            comparator = world.reference if self.comparator == "reference" else policy
            second = draw(comparator[prompts], generator)
            tried = ((first == best[prompts]) | (second == best[prompts])).reshape(world.prompts, -1).any(-1)
            hit = np.where(tried, np.minimum(hit, count), hit)
            pairs = world.prefer(prompts, first, second, generator)
            recorded.add(pairs, pairs.chosen == second)
            rewards = self.fit(recorded, method(count), reference, rewards)
        self._note(done, world, self.policy(rewards, reference).numpy())
        done.first_hit = float(hit.mean())
        return done

    def fit(self, recorded: Recorded, method: LanguageMethod, reference: Table, rewards: Table) -> Table:
        """Rewards, within their bounds, whose policy has the least loss; ``rewards`` is where one is."""
        losses = recorded.losses(method, reference)

        def objective(rewards: Table) -> Float[Tensor, "*batch prompt"]:
            return losses(self.policy(rewards, reference))

        def best(starts: Table, steps: int) -> Table:
            found, values = descend(objective, starts, steps, 0.0, self.greatest, self.tolerance)
            # Of equals the first: what is not raised for a gain stays.
            chosen = values.argmin(0)[None, :, None].expand(1, *rewards.shape)
            return found.gather(0, chosen)[0]

        rewards = best(rewards[None], self.steps)
        if self.starts == "many":
            raised = torch.eye(rewards.shape[-1], dtype=torch.bool)[:, None]
            others = rewards.where(~raised, torch.inf).amin(-1, keepdim=True)  # only differences of rewards count
            starts = [rewards[None]] + [(rewards - low).where(~raised, self.greatest) for low in (0, others)]
            rewards = best(best(torch.cat(starts), self.steps // 4)[None], self.steps)
        return rewards

    def policy(self, rewards: Table, reference: Table) -> Table:
        """The best policy for these rewards."""
        return torch.log_softmax(reference + rewards / self.beta, dim=-1)

    def _note(self, done: Explored, world: PreferenceBandit, policy: np.ndarray) -> None:
        done.policies.append(policy)
        done.suboptimality.append(float(world.suboptimality(policy, self.beta)))
