"""A planted sequence that has to be written, with policies that know a part of it and exact values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

START = "start"


@lru_cache(maxsize=4096)
def automaton(sequence: tuple[int, ...], words: int) -> Int[np.ndarray, "matched word"]:
    """How much of ``sequence`` is matched after each word, given how much was (Knuth, Morris and Pratt): the longest
    suffix that begins it. The last row goes on after a whole match from its longest border."""
    table = np.zeros((len(sequence) + 1, words), dtype=np.int64)
    for matched in range(len(sequence) + 1):
        for word in range(words):
            seen = (*sequence[:matched], word)
            table[matched, word] = next(
                k for k in range(min(len(seen), len(sequence)), -1, -1) if seen[len(seen) - k :] == sequence[:k]
            )
    return table


def completion_time(sequence: tuple[int, ...], words: int, response: Sequence[int]) -> int | None:
    """Position of the word that completes the first occurrence of ``sequence``, from 0; None if there is none."""
    table, matched = automaton(sequence, words), 0
    for place, word in enumerate(response):
        matched = table[matched, word] if 0 <= word < words else 0
        if matched == len(sequence):
            return place
    return None


@dataclass(frozen=True)
class Planted:
    """Write the planted sequence anywhere before the end (the didactic task of Setlur et al. 2024, arXiv:2410.08146).

    There is one problem, and its prompt is ``start``. The words are numbers; the tokenizer's end token is one more.

    Attributes:
        sequence: what has to be written, in one piece.
        words: how many words there are besides the end token.
        length: longest response, its end included.
        strength: weight gamma of the next word of the sequence in the usual demonstrations.
    """

    sequence: tuple[int, ...] = (3, 6, 0, 3, 5)
    words: int = 14
    length: int = 10
    strength: float = 10.0
    pretraining: ClassVar = {"positions": 16, "steps": 300}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The start, and the numbers."""
        return (START, *map(str, range(self.words)))

    @property
    def longest(self) -> int:
        """Words of a response that needs no end."""
        return self.length

    def sample_problem(self, rng: np.random.Generator) -> tuple[()]:
        """The only problem."""
        return ()

    def prompt(self, problem: tuple[()]) -> str:
        """The start."""
        return START

    def policy(self, strength: float) -> Float[np.ndarray, "matched word"]:
        """Probabilities of each word, the end last, given how much of the sequence is matched: the next word of the
        sequence has weight ``strength``, all others 1."""
        weights = np.ones((len(self.sequence) + 1, self.words + 1))
        for matched, word in enumerate(self.sequence):
            weights[matched, word] = strength
        border = next((k for k in range(len(self.sequence) - 1, 0, -1) if self._border(k)), 0)
        weights[-1] = weights[border]
        return weights / weights.sum(-1, keepdims=True)

    def action_values(self, strength: float) -> Float[np.ndarray, "left matched word"]:
        """Probability that the sequence gets written, with so many tokens left, so much matched, if this word (the end
        last) is next and the policy of that strength goes on. With all matched it is 1, with no token left 0."""
        policy, table = self.policy(strength), automaton(self.sequence, self.words)
        values = np.zeros(len(self.sequence) + 1)
        values[-1] = 1.0
        tables = [np.broadcast_to(values[:, None], policy.shape)]
        for _ in range(self.length):
            action = np.concatenate([values[table], np.zeros((len(values), 1))], axis=1)
            action[-1] = 1.0
            values = (policy * action).sum(-1)
            tables.append(action)
        return np.stack(tables)

    def values(self, strength: float) -> Float[np.ndarray, "left matched"]:
        """Probability that a policy gets the sequence written, by tokens left and how much is matched."""
        return (self.action_values(strength) * self.policy(strength)).sum(-1)

    def advantages(self, strength: float) -> Float[np.ndarray, "left matched word"]:
        """Action values less values."""
        return self.action_values(strength) - self.values(strength)[..., None]

    def demo(self, problem: tuple[()], rng: np.random.Generator, style: float | None = None) -> str:
        """What a policy of strength ``style`` writes."""
        policy, table = self.policy(self.strength if style is None else style), automaton(self.sequence, self.words)
        written: list[int] = []
        matched = 0
        while len(written) < self.length:
            word = int(rng.choice(self.words + 1, p=policy[matched]))
            if word == self.words:
                break
            written.append(word)
            matched = table[matched, word]
        return " ".join(map(str, written))

    def verify(self, problem: tuple[()], response: str) -> float:
        """1 if the sequence is in the response's first ``length`` words."""
        return float(completion_time(self.sequence, self.words, _numbers(response)[: self.length]) is not None)

    def segment(self, response: str) -> list[tuple[int, int]]:
        """Each word is a step."""
        return [(i, i + 1) for i in range(len(response.split()))]

    def oracle_step(self, problem: tuple[()], prefix: str) -> str:
        """The next word of the sequence; empty once it is written."""
        return _next_word(self.sequence, self.words, prefix)

    def _border(self, length: int) -> bool:
        return self.sequence[:length] == self.sequence[-length:]


@dataclass(frozen=True)
class PlantedByContext:
    """The sequence to write depends on the prompt: a hidden map applied to its first words.

    The reward is 0 before the sequence has been written, and 1 at the word that completes it and at every later
    position up to ``length``; the return is ``length`` less the position of that word, counted from 0.

    Attributes:
        words: how many words there are.
        context: words of the prompt.
        used: how many of them make up the sequence.
        length: longest response.
        strengths: of the base policies that demonstrations are a uniform mixture of; a base policy writes the
            sequence's next word with that weight and every other with weight 1.
        map_seed: of the hidden map.
    """

    words: int = 12
    context: int = 5
    used: int = 3
    length: int = 16
    strengths: tuple[float, ...] = (10.0,)
    map_seed: int = 0
    pretraining: ClassVar = {"positions": 80, "demonstrations": 20_000, "steps": 1000}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The numbers."""
        return tuple(map(str, range(self.words)))

    @property
    def longest(self) -> int:
        """Words of a response that needs no end."""
        return self.length

    @cached_property
    def _map(self) -> tuple[int, ...]:
        return tuple(np.random.default_rng(self.map_seed).integers(self.words, size=self.words).tolist())

    def sample_problem(self, rng: np.random.Generator) -> tuple[int, ...]:
        """Words of a prompt."""
        return tuple(int(word) for word in rng.integers(self.words, size=self.context))

    def prompt(self, problem: tuple[int, ...]) -> str:
        """The problem's words."""
        return " ".join(map(str, problem))

    def sequence(self, problem: tuple[int, ...]) -> tuple[int, ...]:
        """What has to be written."""
        return tuple(self._map[word] for word in problem[: self.used])

    def demo(self, problem: tuple[int, ...], rng: np.random.Generator, style: float | None = None) -> str:
        """What a base policy writes; all ``length`` words."""
        sequence = self.sequence(problem)
        strength = rng.choice(self.strengths) if style is None else style
        table, matched, written = automaton(sequence, self.words), 0, []
        for _ in range(self.length):
            weights = np.ones(self.words)
            if matched < self.used:
                weights[sequence[matched]] = strength
            word = int(rng.choice(self.words, p=weights / weights.sum()))
            written.append(word)
            matched = table[matched, word]
        return " ".join(map(str, written))

    def rewards(self, problem: tuple[int, ...], response: str) -> Float[np.ndarray, " length"]:
        """The reward at each position."""
        done = completion_time(self.sequence(problem), self.words, _numbers(response)[: self.length])
        return (np.arange(self.length) >= (self.length if done is None else done)).astype(np.float64)

    def verify(self, problem: tuple[int, ...], response: str) -> float:
        """The return, as a share of the longest response."""
        return float(self.rewards(problem, response).mean())

    def segment(self, response: str) -> list[tuple[int, int]]:
        """Each word is a step."""
        return [(i, i + 1) for i in range(len(response.split()))]

    def oracle_step(self, problem: tuple[int, ...], prefix: str) -> str:
        """The next word of the sequence; empty once it is written."""
        return _next_word(self.sequence(problem), self.words, prefix)


def _numbers(response: str) -> list[int]:
    return [int(word) if word.isdecimal() else -1 for word in response.split()]


def _next_word(sequence: tuple[int, ...], words: int, prefix: str) -> str:
    written = _numbers(prefix)
    if completion_time(sequence, words, written) is not None:
        return ""
    table, matched = automaton(sequence, words), 0
    for word in written:
        matched = table[matched, word] if 0 <= word < words else 0
    return str(sequence[matched])
