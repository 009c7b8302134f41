"""Questions answered in one of several ways: the likeliest first word can lead away from the likeliest answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Way:
    """A way to answer: a first word, one of some phrasings, words that always follow, and then the answer.

    Attributes:
        word: the first one.
        probability: of this way.
        phrasings: how many second words there are, equally likely.
        filler: words before the answer that are always the same.
        certain: probability of the usual answer; the others share the rest.
        misled: share of the questions whose usual answer this way is wrong.
    """

    word: str
    probability: float
    phrasings: int
    filler: int
    certain: float
    misled: float


TEMPTING = (Way("perhaps", 0.55, 8, 0, 0.6, 0.6), Way("plainly", 0.45, 1, 0, 0.97, 0.0))
"""Most answers begin the first way, in many phrasings, and often wrongly; none of them is as likely as the one that
begins the second way."""
WORDY = (Way("slowly", 0.7, 16, 8, 0.95, 0.0), Way("quick", 0.3, 1, 0, 0.5, 1.0))
"""Right answers are long and wrong ones short, so that whole sequences of wrong ones are likelier."""


@dataclass(frozen=True)
class GardenPaths:
    """A question is one word; a response is right if its last word is the question's answer.

    Attributes:
        ways: how answers are given; their probabilities add up to 1.
        questions: how many.
        answers: how many words can be answers.
        facts_seed: of the right and the usual answers.
    """

    ways: tuple[Way, ...] = TEMPTING
    questions: int = 128
    answers: int = 10
    facts_seed: int = 0
    pretraining: ClassVar = {"positions": 16}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Questions, answers, and the words of each way."""
        own = [
            (way.word, *(f"{way.word}-{i}" for i in range(way.phrasings)), *(["well"] if way.filler else []))
            for way in self.ways
        ]
        words = (f"question-{i}" for i in range(self.questions)), (f"answer-{i}" for i in range(self.answers)), *own
        return tuple(dict.fromkeys(word for part in words for word in part))

    @property
    def longest(self) -> int:
        """Words of the longest response, its end included."""
        return 4 + max(way.filler for way in self.ways)

    @cached_property
    def _facts(self) -> tuple[Int[np.ndarray, " question"], Int[np.ndarray, "way question"]]:
        """The right answer of each question, and the usual one of each way."""
        generator = np.random.default_rng(self.facts_seed)
        right = generator.integers(self.answers, size=self.questions)
        wrong = (right + generator.integers(1, self.answers, size=(len(self.ways), self.questions))) % self.answers
        misled: Bool[np.ndarray, "way question"] = np.stack(
            [generator.permutation(self.questions) < round(way.misled * self.questions) for way in self.ways]
        )
        return right, np.where(misled, wrong, right)

    def sample_problem(self, rng: np.random.Generator) -> int:
        """A question's number."""
        return int(rng.integers(self.questions))

    def prompt(self, problem: int) -> str:
        """The question."""
        return f"question-{problem}"

    def demo(self, problem: int, rng: np.random.Generator, style: Any = None) -> str:
        """A response as the author of the questions would give it; there is one style."""
        chosen = int(rng.choice(len(self.ways), p=[way.probability for way in self.ways]))
        way = self.ways[chosen]
        answer = rng.choice(self.answers, p=self._odds(way, int(self._facts[1][chosen, problem])))
        phrasing = rng.integers(way.phrasings)
        return " ".join([way.word, f"{way.word}-{phrasing}", *["well"] * way.filler, f"answer-{answer}"])

    def verify(self, problem: int, response: str) -> float:
        """1 if the last word is the right answer, else 0."""
        return float(response.split()[-1:] == [f"answer-{self._facts[0][problem]}"])

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Any = None) -> list[float]:
        """``verify`` of completions to prompts, as a judge."""
        problems = [int(str(prompt).rpartition("-")[2]) for prompt in prompts]
        return [self.verify(problem, str(text)) for problem, text in zip(problems, completions, strict=True)]

    def sampled_accuracy(self) -> float:
        """Probability that a response of the author is right, over all questions."""
        right, usual = self._facts
        total = 0.0
        for number, way in enumerate(self.ways):
            for problem in range(self.questions):
                total += way.probability * float(self._odds(way, int(usual[number, problem]))[right[problem]])
        return total / self.questions

    def _odds(self, way: Way, usual: int) -> Float[np.ndarray, " answer"]:
        odds = np.full(self.answers, (1 - way.certain) / (self.answers - 1))
        odds[usual] = way.certain
        return odds
