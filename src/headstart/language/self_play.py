"""Iterative preference learning in a game of finitely many responses: draw pairs, label them, refit, begin again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.envs.preference_bandits import draw
from headstart.envs.preference_game import PreferenceGame
from headstart.language.inpo import INPO
from headstart.language.method import LanguageMethod
from headstart.language.newton import newton
from headstart.language.tabular import row_losses, side

LogProbabilities = Float[Tensor, " response"]


def anchored(method: LanguageMethod, reference: LogProbabilities, previous: LogProbabilities) -> LogProbabilities:
    """What log-ratios are taken to: the fixed reference, mixed with the drawing policy where the method says so."""
    return method.anchor(reference, previous) if isinstance(method, INPO) else reference


def expected_loss(
    method: LanguageMethod, wins: Float[np.ndarray, "response response"], anchor: LogProbabilities
) -> Callable[[LogProbabilities], Float[Tensor, ""]]:
    """The method's mean loss over labelled pairs, as a function of a policy.

    Args:
        method: the loss.
        wins: how often the response of the line was preferred to that of the column; counts or probabilities.
        anchor: what log-ratios are taken to.
    """
    # Pairs of identical responses teach nothing.
    chosen, rejected = (torch.from_numpy(index) for index in np.nonzero(wins * (1 - np.eye(len(wins)))))
    weights = torch.from_numpy(wins)[chosen, rejected].double()
    weights = weights / wins.sum()
    prompts = torch.zeros_like(chosen)

    def loss(policy: LogProbabilities) -> Float[Tensor, ""]:
        table, given = policy[None], anchor[None]
        sides = {"chosen": side(table, given, prompts, chosen), "rejected": side(table, given, prompts, rejected)}
        return (weights * row_losses(method, sides)).sum()

    return loss


def minimise(
    loss: Callable[[LogProbabilities], Float[Tensor, ""]], start: LogProbabilities, steps: int = 30
) -> LogProbabilities:
    """The policy of least loss by Newton's method on its logits; responses that the loss ignores keep theirs."""
    return torch.log_softmax(newton(lambda logits: loss(torch.log_softmax(logits, -1)), start, steps), -1)


@dataclass(frozen=True, kw_only=True)
class SelfPlay:
    """Iterations of drawing pairs from the current policy and refitting to them alone.

    Attributes:
        iterations: how many.
        pairs: labelled in each.
        responses: ``sampled``: both of a pair drawn from the policy; ``extremes``: of ``candidates`` drawn, the one
            and the other end of their order by win rate against the policy, which breaks the condition for INPO.
        candidates: drawn for each pair of extremes.
        steps: of Newton's method.
    """

    iterations: int = 40
    pairs: int = 4000
    responses: Literal["sampled", "extremes"] = "sampled"
    candidates: int = 8
    steps: int = 8

    def __post_init__(self) -> None:
        if self.responses not in ("sampled", "extremes"):
            raise UsageError(f"responses {self.responses!r} is not known; expected 'sampled' or 'extremes'")

    def play(self, game: PreferenceGame, method: LanguageMethod, seed: int) -> Float[np.ndarray, "iteration response"]:
        """Log-probabilities at the start, where the policy is the reference, and after each iteration."""
        generator = np.random.default_rng([seed, 41])
        reference = torch.from_numpy(game.reference)
        policies = [reference]
        for _ in range(self.iterations):
            policy = policies[-1]
            wins = self.label(game, policy.numpy(), generator)
            loss = expected_loss(method, wins, anchored(method, reference, policy))
            policies.append(minimise(loss, policy, self.steps))
        return torch.stack(policies).numpy()

    def label(
        self, game: PreferenceGame, policy: Float[np.ndarray, " response"], generator: np.random.Generator
    ) -> Float[np.ndarray, "response response"]:
        """How often each response was preferred to each other one, among pairs drawn from the policy."""
        first, second = self._pairs(game, policy, generator)
        won = game.wins(first, second, generator)
        wins = np.zeros((game.responses, game.responses))
        np.add.at(wins, (np.where(won, first, second), np.where(won, second, first)), 1.0)
        return wins

    def _pairs(
        self, game: PreferenceGame, policy: Float[np.ndarray, " response"], generator: np.random.Generator
    ) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
        count = 2 if self.responses == "sampled" else self.candidates
        drawn = draw(np.broadcast_to(policy, (self.pairs, count, game.responses)), generator)
        if self.responses == "sampled":
            return drawn[:, 0], drawn[:, 1]
        rates = game.win_rates(policy)[drawn]
        lines = np.arange(self.pairs)
        return drawn[lines, rates.argmax(-1)], drawn[lines, rates.argmin(-1)]
