"""Sums in plain text for pretrained models: a few worked examples, then one to finish; the answer can be checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sums:
    """Additions written out for a model that has only read the web.

    Attributes:
        largest: the largest number to be added.
        examples: worked examples before the question, the same in every prompt.
    """

    largest: int = 49
    examples: int = 2

    def sample_problem(self, rng: np.random.Generator) -> tuple[int, int]:
        """Two numbers from 10 to ``largest``."""
        first, second = rng.integers(10, self.largest + 1, size=2)
        return int(first), int(second)

    def prompt(self, problem: tuple[int, int]) -> str:
        """Examples and the question; the answer belongs on the same line."""
        shown = [(12 + 9 * k, 15 + 4 * k) for k in range(self.examples)]
        lines = [f"{a} + {b} = {a + b}" for a, b in shown]
        return "\n".join([*lines, f"{problem[0]} + {problem[1]} ="])

    def answer(self, problem: tuple[int, int]) -> str:
        """The sum."""
        return str(problem[0] + problem[1])

    def rows(self, count: int, seed: int) -> list[dict[str, str]]:
        """Different questions with their ``answer``, as rows that a judge such as ``exact:answer`` reads.

        Args:
            count: how many; there are (largest - 9)² in all.
            seed: of their order: the first rows of one seed are never among its later ones.
        """
        numbers = self.largest - 9
        order = np.random.default_rng(seed).permutation(numbers**2)[:count]
        problems = [(10 + int(k) // numbers, 10 + int(k) % numbers) for k in order]
        return [{"prompt": self.prompt(problem), "answer": self.answer(problem)} for problem in problems]
