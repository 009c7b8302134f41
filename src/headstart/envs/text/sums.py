"""Sums in plain text for pretrained models: a few worked examples, then one to finish; the answer can be checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sums:
    """Additions written out for a model that has only read the web.

    Attributes:
        smallest: the smallest number to be added.
        largest: the largest.
        examples: worked examples before the question, the same in every prompt.
    """

    smallest: int = 1
    largest: int = 19
    examples: int = 2

    def sample_problem(self, rng: np.random.Generator) -> tuple[int, int]:
        """Two numbers from ``smallest`` to ``largest``."""
        first, second = rng.integers(self.smallest, self.largest + 1, size=2)
        return int(first), int(second)

    def prompt(self, problem: tuple[int, int]) -> str:
        """Examples and the question; the answer belongs on the same line."""
        shown = [(22 + 9 * k, 5 + 4 * k) for k in range(self.examples)]
        lines = [f"{a} + {b} = {a + b}" for a, b in shown]
        return "\n".join([*lines, f"{problem[0]} + {problem[1]} ="])

    def answer(self, problem: tuple[int, int]) -> str:
        """The sum."""
        return str(problem[0] + problem[1])

    def rows(self, count: int, seed: int) -> list[dict[str, str]]:
        """Different questions with their ``answer``, as rows that a judge such as ``exact:answer`` reads.

        Args:
            count: how many; there are (largest - smallest + 1)² in all.
            seed: of their order: the first rows of one seed are never among its later ones.
        """
        numbers = self.largest - self.smallest + 1
        order = np.random.default_rng(seed).permutation(numbers**2)[:count]
        problems = [(self.smallest + int(k) // numbers, self.smallest + int(k) % numbers) for k in order]
        return [{"prompt": self.prompt(problem), "answer": self.answer(problem)} for problem in problems]
