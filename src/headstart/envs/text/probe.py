"""Search in context: try candidates one episode after another, and say which is right.

The demonstrations have bad habits on purpose: they try candidates again, give up and guess, and go on checking after
they have found the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np


class ProbeProblem(NamedTuple):
    """Find the candidate that the hidden permutation sends to the target."""

    target: int
    candidates: tuple[int, ...]


@dataclass(frozen=True)
class Probe:
    """An episode is ``@ c > v n`` or ``@ c > v y`` (candidate, recalled value, verdict); the answer is ``# c``.

    Forced termination is the prefix so far and then ``#``: the policy's probability of the right candidate there is
    its exact value.

    Attributes:
        candidates: of each problem; exactly one is right.
        numbers: the permutation is of so many.
        recall: probability that a demonstration recalls a candidate's value rightly.
        repeat: probability that an episode tries a candidate again.
        quit: probability of giving up after an episode that failed, with a guess among the candidates not yet tried.
        recheck: probability of one to three useless episodes after the right one was found.
        permutation_seed: of the hidden permutation.
    """

    candidates: int = 8
    numbers: int = 24
    recall: float = 0.97
    repeat: float = 0.3
    quit: float = 0.15
    recheck: float = 0.5
    permutation_seed: int = 0
    pretraining: ClassVar = {
        "layers": 3,
        "heads": 4,
        "demonstrations": 20_000,
        "steps": 1000,
        "batch": 64,
        "learning_rate": 2e-3,
        "positions": 160,
    }

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Numbers and signs."""
        return (*map(str, range(self.numbers)), "|", "=", "@", ">", "n", "y", "#")

    @cached_property
    def permutation(self) -> tuple[int, ...]:
        """The hidden permutation."""
        return tuple(np.random.default_rng(self.permutation_seed).permutation(self.numbers).tolist())

    def sample_problem(self, rng: np.random.Generator) -> ProbeProblem:
        """Distinct candidates, and the value of one of them."""
        chosen = tuple(rng.permutation(self.numbers)[: self.candidates].tolist())
        return ProbeProblem(self.permutation[chosen[rng.integers(self.candidates)]], chosen)

    def prompt(self, problem: ProbeProblem) -> str:
        """``t | c1 … c8 =``."""
        return " ".join([str(problem.target), "|", *map(str, problem.candidates), "="])

    def right(self, problem: ProbeProblem) -> int:
        """The right candidate."""
        return self.permutation.index(problem.target)

    def demo(self, problem: ProbeProblem, rng: np.random.Generator, style: float | None = None) -> str:
        """A demonstration.

        Args:
            problem: what is asked.
            rng: its source of randomness.
            style: probability of giving up instead of ``quit``.
        """
        leave = self.quit if style is None else style
        untried = list(rng.permutation(problem.candidates))
        tried: list[int] = []
        written: list[str] = []
        while True:
            again = tried and rng.random() < self.repeat
            candidate = int(rng.choice(tried)) if again else int(untried.pop())
            if not again:
                tried.append(candidate)
            if self._episode(problem, candidate, written, rng):
                if rng.random() < self.recheck:
                    for _ in range(rng.integers(1, 4)):
                        self._episode(problem, int(rng.choice(tried)), written, rng)
                answer = candidate
                break
            if not untried or rng.random() < leave:
                answer = int(rng.choice(untried or tried))
                break
        return " ".join([*written, "#", str(answer)])

    def verify(self, problem: ProbeProblem, response: str, ended: bool = True) -> float:
        """1 if the response ends with the right candidate; ``ended`` says whether the end token followed."""
        return float(ended and response.split()[-2:] == ["#", str(self.right(problem))])

    def segment(self, response: str) -> list[tuple[int, int]]:
        """First word and one past the last of each episode and of the answer."""
        words = response.split()
        starts = [i for i, word in enumerate(words) if word in ("@", "#")]
        return list(zip(starts, [*starts[1:], len(words)]))

    def oracle_step(self, problem: ProbeProblem, prefix: str) -> str:
        """The right candidate's episode, or the answer after it."""
        right = self.right(problem)
        found = f"@ {right} > {problem.target} y"
        return f"# {right}" if found in prefix else found

    def _episode(self, problem: ProbeProblem, candidate: int, written: list[str], rng: np.random.Generator) -> bool:
        value = self.permutation[candidate]
        if rng.random() >= self.recall:
            value = (value + int(rng.integers(1, self.numbers))) % self.numbers
        written.append(f"@ {candidate} > {value} {'y' if value == problem.target else 'n'}")
        return value == problem.target
