"""The best and the worst of several completions by comparing them in pairs.

A bracket is a generator: it yields rounds of matches, pairs of positions, and is sent for each match the probability
that the first wins; it returns its outcome. So the brackets of many prompts are played together, one batch a round.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

Match = tuple[int, int]
Bracket = Generator[list[Match], list[float], Any]


class Comparer(Protocol):
    """Whatever can compare two completions of a prompt: a pairwise judge."""

    def prefer(
        self,
        prompts: Sequence[Any],
        first: Sequence[Any],
        second: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> Sequence[float]:
        """For each row the probability that the first is preferred."""
        ...


class Knockout(NamedTuple):
    """What a knockout found.

    Attributes:
        best: position of the winners' winner.
        worst: position of the losers' loser.
        probability: that the best is preferred to the worst, by the final check.
    """

    best: int
    worst: int
    probability: float


def knockout(count: int) -> Generator[list[Match], list[float], Knockout]:
    """Best and worst of ``count`` completions: everybody plays once, winners play on for the best and losers for the
    worst, and the two are compared at the end: 11 matches of 8 (RLHF workflow, Dong et al. 2024, Section 3).

    Whoever has no opponent in a round goes on to the next; in the first round to both sides. In a draw the first wins.
    """
    won, lost, idle = [], [], list(range(count))[count - count % 2 :]
    matches = [(i, i + 1) for i in range(0, count - 1, 2)]
    for (first, second), probability in zip(matches, (yield matches)):
        better, worse = (first, second) if probability >= 0.5 else (second, first)
        won.append(better)
        lost.append(worse)
    won, lost = won + idle, lost + idle
    while len(won) > 1 or len(lost) > 1:
        matches = [*_neighbours(won), *_neighbours(lost)]
        outcomes = dict(zip(matches, (yield matches)))
        won, lost = _go_on(won, outcomes, winner=True), _go_on(lost, outcomes, winner=False)
    (probability,) = yield [(won[0], lost[0])]
    return Knockout(won[0], lost[0], probability)


def paired_rounds(order: Sequence[int], rounds: int | None = 1) -> Generator[list[Match], list[float], list[Match]]:
    """Neighbours in ``order`` are compared; with more rounds the winners meet again.

    Args:
        order: positions in the order in which they meet; an odd one out of a round is left out.
        rounds: how many rounds; None plays until one is left.

    Returns:
        Every match played, the winner first.
    """
    found: list[Match] = []
    playing = list(order)
    while len(playing) > 1 and (rounds is None or rounds > 0):
        matches = _neighbours(playing)
        ordered = [pair if p >= 0.5 else (pair[1], pair[0]) for pair, p in zip(matches, (yield matches))]
        found += ordered
        playing = [winner for winner, _ in ordered]
        rounds = None if rounds is None else rounds - 1
    return found


def play(brackets: Sequence[Bracket], compare: Callable[[list[tuple[int, int, int]]], Sequence[float]]) -> list[Any]:
    """Play brackets side by side.

    Args:
        brackets: one for each prompt.
        compare: gives for each (bracket, first, second) the probability that the first wins; not-a-number where it
            cannot say.

    Returns:
        Each bracket's outcome; ``None`` where a match could not be decided.
    """
    outcomes: list[Any] = [None] * len(brackets)
    waiting: dict[int, list[Match]] = {}

    def advance(index: int, answer: list[float] | None) -> None:
        try:
            waiting[index] = next(brackets[index]) if answer is None else brackets[index].send(answer)
        except StopIteration as stop:
            outcomes[index] = stop.value

    for index in range(len(brackets)):
        advance(index, None)
    while waiting:
        played, waiting = waiting, {}
        asked = [(index, first, second) for index, matches in played.items() for first, second in matches]
        answers = iter(compare(asked))
        for index, matches in played.items():
            answer = [float(next(answers)) for _ in matches]
            if not np.isnan(answer).any():
                advance(index, answer)
    return outcomes


def both_orders(
    ask: Callable[..., Sequence[float]],
    prompts: Sequence[Any],
    first: Sequence[Any],
    second: Sequence[Any],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Ask a comparer's ``prefer`` for each pair in both orders.

    Returns:
        The probability that the first is preferred, averaged over the orders ``[pair]``; and the position bias
        ``[pair]``: the probabilities, in both orders, of whichever is shown first, less 1. Above 0, the place shown
        first is favoured.
    """
    twice = None if columns is None else {name: [*values, *values] for name, values in columns.items()}
    asked = ask([*prompts, *prompts], [*first, *second], [*second, *first], twice)
    forward, backward = np.asarray(asked, np.float64).reshape(2, -1)
    return (forward + 1 - backward) / 2, forward + backward - 1


def fair_preferences(
    judge: Comparer,
    prompts: Sequence[Any],
    first: Sequence[Any],
    second: Sequence[Any],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> list[float]:
    """Probabilities that the first are preferred, averaged over both orders; a judge that already does so (it says
    ``averages_orders``) is asked once.
    """
    if getattr(judge, "averages_orders", False):
        return list(judge.prefer(prompts, first, second, columns))
    return both_orders(judge.prefer, prompts, first, second, columns)[0].tolist()


def _neighbours(positions: Sequence[int]) -> list[Match]:
    return [(positions[i], positions[i + 1]) for i in range(0, len(positions) - 1, 2)]


def _go_on(positions: list[int], outcomes: Mapping[Match, float], winner: bool) -> list[int]:
    pairs = _neighbours(positions)
    kept = [pair[0] if (outcomes[pair] >= 0.5) == winner else pair[1] for pair in pairs]
    return kept + positions[2 * len(pairs) :]
