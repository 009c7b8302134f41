"""The exact solution of small games of asking.

All that matters of a history is how often each question was answered +1 and -1. The chance of such a state is a product
of two parts: how likely the policy asks that way, summed over orders, and how likely the problem answers so. Only the
first depends on the policy, so the loss of a policy on all problems is one matrix product, and the best answer to any
weighting of problems is one sweep back through the states.

NumPy: sweeps through layers of states, each a few gathers on long arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headstart.bandits.active_learning import Game, Rule, check_problems
from headstart.core.errors import UsageError

LIMIT = 5_000_000
"""Most final states for which tables are made."""
Policy = list[Float[np.ndarray, "states questions"]]
"""Probabilities of each question in every state, a layer for each number of questions asked so far."""


@dataclass(frozen=True, eq=False)
class States:
    """All histories of a game, up to the order of the questions.

    Attributes:
        game: the game.
        counts: for every layer, how often each question was answered +1 and -1.
        children: for every layer but the last, where each question and answer leads to in the next.
    """

    game: Game
    counts: tuple[Int[np.ndarray, "states questions answers"], ...]
    children: tuple[Int[np.ndarray, "states questions answers"], ...]

    @classmethod
    def of(cls, game: Game) -> States:
        """The states of a game.

        Raises:
            UsageError: there are too many.
        """
        parts = 2 * game.questions
        final = math.comb(game.budget + parts - 1, parts - 1)
        if final > LIMIT:
            raise UsageError(
                f"{game.questions} questions and a budget of {game.budget} make {final:,} final states, more than "
                f"{LIMIT:,}; ask less or train by policy gradient"
            )
        # A state's code is its counts as digits, so that one more answer is one addition.
        digits = (game.budget + 1) ** np.arange(parts, dtype=np.int64)
        codes, children = [np.zeros(1, np.int64)], []
        for _ in range(game.budget):
            following = codes[-1][:, None] + digits
            layer = np.unique(following)
            children.append(np.searchsorted(layer, following).reshape(-1, game.questions, 2))
            codes.append(layer)
        counts = [(code[:, None] // digits % (game.budget + 1)).reshape(-1, game.questions, 2) for code in codes]
        return cls(game, tuple(count.astype(np.int16) for count in counts), tuple(children))

    def tabulate(self, rule: Rule) -> Policy:
        """A rule's probabilities in every state."""
        return [rule(counts) for counts in self.counts[:-1]]

    def losses(self, problems: Float[np.ndarray, "problems questions"]) -> Float[np.ndarray, "problems final"]:
        """Probability of each order of answers that leads to a final state, times that of a wrong final answer there.

        Raises:
            DataError: problems of another game, or outside [-1, 1].
        """
        check_problems(problems, self.game)
        final = self.counts[-1].astype(np.float32)
        # Certain answers have likelihood 0^0 = 1 of what they never say never being said.
        with np.errstate(divide="ignore"):
            logarithms = np.maximum(np.log(np.stack([1 + problems, 1 - problems], -1) / 2), -1e4)
        likelihood = np.exp(np.tensordot(logarithms.astype(np.float32), final, ([1, 2], [1, 2])))
        wrong = (1 - self.game.recommend(self.counts[-1])).astype(np.float32)
        return likelihood * wrong.T[self.game.truth(problems)]

    def reach(self, policy: Policy) -> Float[np.ndarray, " final"]:
        """How likely a policy asks in a way that leads to each final state, if it gets the answers for it, summed over
        the orders of questions."""
        weight = np.ones(1)
        for probabilities, children in zip(policy, self.children, strict=True):
            flow = np.repeat((weight[:, None] * probabilities).ravel(), 2)
            weight = np.bincount(children.ravel(), flow)
        return weight

    def errors(
        self, problems: Float[np.ndarray, "problems questions"], policy: Policy
    ) -> Float[np.ndarray, " problems"]:
        """Probability that a policy ends with a wrong answer, exactly.

        Raises:
            DataError: problems of another game, or outside [-1, 1].
        """
        reached = self.reach(policy).astype(np.float32)
        parts = np.array_split(problems, len(problems) // 500 + 1)  # whose tables fit in memory
        return np.concatenate([self.losses(part) @ reached for part in parts])

    def respond(self, values: Float[np.ndarray, " final"]) -> tuple[float, list[Int[np.ndarray, " states"]]]:
        """The least achievable sum of final values, and what to ask in every state for it.

        Args:
            values: of a final state, for each order that leads there.
        """
        asked = []
        for children in reversed(self.children):
            ahead = values[children].sum(-1)
            asked.append(ahead.argmin(1))
            values = ahead[np.arange(len(ahead)), asked[-1]]
        return float(values[0]), asked[::-1]


class Minimax(NamedTuple):
    """A policy whose largest gap is close to the least possible.

    Attributes:
        policy: probabilities of what to ask.
        upper: its largest gap: loss less target, over all problems.
        lower: no policy has a smaller largest gap.
    """

    policy: Policy
    upper: float
    lower: float


def solve(
    states: States,
    losses: Float[np.ndarray, "problems final"],
    targets: Float[np.ndarray, " problems"] | float = 0.0,
    iterations: int = 200,
) -> Minimax:
    """Minimise the largest gap between loss and target, by multiplicative weights on problems against best responses.

    Args:
        states: of the game.
        losses: of problems, from ``States.losses``.
        targets: what each problem's loss is compared to.
        iterations: rounds; the enclosure of the value narrows with their square root.
    """
    problems = len(losses)
    targets = np.broadcast_to(np.asarray(targets, np.float64), problems)
    step = 6 * np.sqrt(np.log(max(problems, 2)) / iterations)
    score, total, lower = np.zeros(problems), np.zeros(problems), -np.inf
    flows = [np.zeros(children.shape[:2]) for children in states.children]
    for _ in range(iterations):
        weights = np.exp(score - score.max())
        weights /= weights.sum()
        value, asked = states.respond(weights.astype(np.float32) @ losses)
        lower = max(lower, value - float(weights @ targets))
        weight = np.ones(1)
        for flow, children, ask, following in zip(flows, states.children, asked, states.counts[1:], strict=True):
            rows = np.arange(len(ask))
            flow[rows, ask] += weight
            weight = np.bincount(children[rows, ask].ravel(), np.repeat(weight, 2), len(following))
        gaps = losses @ weight.astype(np.float32) - targets
        total += gaps
        score += step * gaps
    # Averaged flows are the flow of one policy: what the mixture of all responses asks in each state.
    return Minimax([_shares(flow) for flow in flows], float(total.max() / iterations), lower)


def bayes(
    states: States, losses: Float[np.ndarray, "problems final"], prior: Float[np.ndarray, " problems"] | None = None
) -> Policy:
    """The policy of least mean loss when problems are drawn by ``prior`` (evenly by default)."""
    prior = np.full(len(losses), 1 / len(losses)) if prior is None else prior
    _, asked = states.respond(prior.astype(np.float32) @ losses)
    return [np.eye(states.game.questions)[ask] for ask in asked]


def _shares(flow: Float[np.ndarray, "states questions"]) -> Float[np.ndarray, "states questions"]:
    """Rows that sum to one; even where there is nothing."""
    total = flow.sum(1, keepdims=True)
    return np.where(total > 0, flow / np.where(total > 0, total, 1), 1 / flow.shape[1])
