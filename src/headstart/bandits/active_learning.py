"""Asking few, noisy questions to find the right one of finitely many hypotheses (Zhang and Jamieson, arXiv 2010.15382).

A problem is a vector theta: question x is answered +1 with probability ``(1 + theta_x) / 2``, else -1. A hypothesis
says how every question should be answered; the right one agrees most with theta. How hard a problem is follows from
theta alone, so that a policy of asking can be judged at each level of difficulty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError, UsageError

Rule = Callable[[Int[np.ndarray, "states questions answers"]], Float[np.ndarray, "states questions"]]
"""Probabilities of what to ask next, from how often each question was answered +1 (index 0) and -1 (index 1)."""


@dataclass(frozen=True, eq=False)
class Game:
    """What can be asked, what may be true, and how often one may ask.

    Attributes:
        hypotheses: +1 or -1: how each hypothesis answers each question.
        budget: number of questions.

    Raises:
        UsageError: no budget, fewer than two hypotheses, two equal ones, or entries other than +1 and -1.
    """

    hypotheses: Int[np.ndarray, "hypotheses questions"]
    budget: int

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise UsageError(f"the budget must be 1 question or more; given {self.budget}")
        if self.hypotheses.ndim != 2 or len(self.hypotheses) < 2 or not np.isin(self.hypotheses, (-1, 1)).all():
            raise UsageError("hypotheses must be two or more rows of +1 and -1, a column a question")
        kept, first, group = np.unique(self.hypotheses, axis=0, return_index=True, return_inverse=True)
        if len(kept) < len(self.hypotheses):
            second = next(row for row in range(len(group)) if first[group[row]] != row)
            raise UsageError(
                f"hypotheses {first[group[second]]} and {second} answer all questions alike; no asking tells them apart"
            )

    @property
    def questions(self) -> int:
        """How many there are."""
        return self.hypotheses.shape[1]

    def truth(self, theta: Float[np.ndarray, "problems questions"]) -> Int[np.ndarray, " problems"]:
        """The hypothesis that agrees most with each problem."""
        return (theta @ self.hypotheses.T).argmax(-1)

    def recommend(self, counts: Int[np.ndarray, "states questions answers"]) -> Float[np.ndarray, "states hypotheses"]:
        """Probabilities of the final answer: what agrees most with the answers seen, ties drawn evenly."""
        agreement = (counts[..., 0].astype(int) - counts[..., 1]) @ self.hypotheses.T
        best = agreement == agreement.max(-1, keepdims=True)
        return best / best.sum(-1, keepdims=True)


def thresholds(questions: int, budget: int) -> Game:
    """Positions on a line; hypothesis j answers -1 to the first j of them and +1 to all others."""
    positions = np.arange(questions)
    return Game(np.where(positions >= np.arange(questions + 1)[:, None], 1, -1), budget)


def difficulty(
    theta: Float[np.ndarray, "problems questions"], game: Game, accuracy: float = 1e-3, most_steps: int = 5000
) -> Float[np.ndarray, " problems"]:
    """How many answers it takes at least to tell the right hypothesis from all others, up to a logarithm.

    ``min over shares of max over z of sum over x where z and z* differ of (1 / share_x) / gap_z^2`` with ``gap_z =
    (<z*, theta> - <z, theta>) / 2``. For weights mu on z the best shares are known in closed form, which leaves
    ``max over mu of (sum_x sqrt(a_x))^2``, ``a_x = sum_z mu_z [z_x != z*_x] / gap_z^2``: concave, and climbed by
    multiplying mu with its gradient. The value and the largest gradient enclose the difficulty.

    Args:
        theta: within [-1, 1].
        game: the hypotheses.
        accuracy: relative width of that enclosure at which to stop; its upper end is returned.
        most_steps: when to stop at the latest.

    Returns:
        The difficulty; inf where another hypothesis agrees as much as the right one.
    """
    truth = game.truth(theta)
    differ = game.hypotheses[None] != game.hypotheses[truth][:, None]  # [problems, hypotheses, questions]
    agreement = theta @ game.hypotheses.T
    gaps = (agreement[np.arange(len(theta)), truth][:, None] - agreement) / 2
    others = differ.any(-1)
    found = np.full(len(theta), np.inf)
    waiting = np.flatnonzero(np.where(others, gaps, np.inf).min(1) > 1e-9)
    needs = np.where(others[..., None], differ / np.where(others, np.maximum(gaps, 1e-9), 1.0)[..., None] ** 2, 0.0)
    mu = others / others.sum(1, keepdims=True)
    for step in range(most_steps):
        if not len(waiting):
            break
        weights, need = mu[waiting], needs[waiting]
        roots = np.sqrt(np.einsum("pz,pzx->px", weights, need))
        total = roots.sum(1, keepdims=True)
        # A question that no weighted hypothesis needs gets no share, and its need is then 0 too.
        inverse_shares = np.where(roots > 0, total / np.where(roots > 0, roots, 1.0), 0.0)
        slopes = np.einsum("pzx,px->pz", need, inverse_shares)
        value, upper = total[:, 0] ** 2, slopes.max(1)
        done = (upper <= value * (1 + accuracy)) | (step == most_steps - 1)
        found[waiting[done]] = upper[done]
        mu[waiting] = weights * slopes / value[:, None]
        waiting = waiting[~done]
    return found


def draw_problems(
    game: Game, level: float, count: int, generator: np.random.Generator
) -> Float[np.ndarray, "problems questions"]:
    """Problems of one difficulty: noisy hypotheses, scaled until they are as hard as wanted.

    Difficulty falls with the square of the scale, so one scaling is exact, unless answers would have to be more certain
    than certain. Those entries are cut, and problems that this made harder than 1.1 times ``level`` are drawn again.

    Raises:
        UsageError: no problem is that easy; says how easy they are.
    """
    accepted, easiest = np.empty((0, game.questions)), np.inf
    for _ in range(50):
        drawn = 4 * count
        rows = game.hypotheses[generator.integers(len(game.hypotheses), size=drawn)]
        powers = generator.choice([0.2, 1.0, 3.0], size=(drawn, 1))
        certainty = 0.1 + 0.9 * generator.uniform(size=rows.shape) ** powers
        theta = rows * certainty + 0.15 * generator.standard_normal(rows.shape)
        hardness = difficulty(theta, game)
        theta, hardness = theta[np.isfinite(hardness)], hardness[np.isfinite(hardness)]
        theta = np.clip(theta * np.sqrt(hardness / level)[:, None], -1, 1)
        hardness = difficulty(theta, game)
        easiest = min(easiest, hardness.min(initial=np.inf))
        accepted = np.concatenate([accepted, theta[hardness <= 1.1 * level]])
        if len(accepted) >= count:
            return accepted[:count]
    raise UsageError(f"hardly a problem has difficulty {level:g}; the easiest of those drawn has {easiest:.3g}")


def check_problems(theta: Float[np.ndarray, "problems questions"], game: Game) -> None:
    """Raises DataError where problems are not of this game or outside [-1, 1]."""
    if theta.ndim != 2 or theta.shape[1] != game.questions or not np.all(np.abs(theta) <= 1):
        raise DataError(
            f"problems must be rows of {game.questions} numbers within [-1, 1]; given shape {list(theta.shape)}, "
            f"values from {np.min(theta, initial=0):g} to {np.max(theta, initial=0):g}"
        )
