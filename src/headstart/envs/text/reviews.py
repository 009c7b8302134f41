"""Toy reviews from a probabilistic grammar: naturalness is known exactly, sentiment is a learned, hackable reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float

FLOOR = 1e-6
"""Probability given to a word that the grammar does not allow where it stands."""

DETERMINERS = ("the", "a", "this", "that")
NOUNS = (
    *("film", "story", "plot", "actor", "scene", "ending", "music", "script", "camera"),
    *("director", "hero", "villain", "dialogue", "set", "cast", "sequel", "theme"),
)
ADJECTIVES = {
    1: ("great", "lovely", "brilliant", "warm", "clever"),
    0: ("long", "short", "quiet", "loud", "modern"),
    -1: ("bad", "dull", "weak", "messy", "ugly"),
}
VERBS = {
    1: ("delights", "lifts", "charms", "rewards"),
    0: ("follows", "shows", "opens", "meets"),
    -1: ("ruins", "bores", "spoils", "insults"),
}
ADVERBS = ("really", "quite", "often", "always", "rather", "never")
CONJUNCTIONS = ("and", "but", "while", "because")
SUBJECTS = ("D N", "D A N", "D A A N")
PREDICATES = ("V D N", "V D A N", "I A", "I R A")
TEMPLATES = tuple(f"{subject} {predicate}".split() for subject in SUBJECTS for predicate in PREDICATES)
"""Clauses as classes of words: determiner, noun, adjective, verb, "is", adverb."""


class ReviewProblem(NamedTuple):
    """The beginning of a review, and words that reward B wants to see.

    Attributes:
        beginning: its first words.
        positive: whether it is a positive review that began so.
        concepts: three content words.
    """

    beginning: tuple[str, ...]
    positive: bool
    concepts: tuple[str, ...]


@dataclass(frozen=True)
class Reviews:
    """Clauses of twelve templates, joined by conjunctions, up to a full stop; words have a hidden valence.

    Attributes:
        shortest: words of the shortest review, the full stop included.
        longest_review: of the longest.
        go_on: probability of one more clause after each.
        agree: probability that an adjective or verb has the review's own valence; the rest is neutral or opposite, in
            equal parts.
        beginning: words of a prompt.
    """

    shortest: int = 8
    longest_review: int = 24
    go_on: float = 0.6
    agree: float = 0.7
    beginning: int = 4
    pretraining: ClassVar = {"layers": 3, "heads": 4, "demonstrations": 20_000, "steps": 1000, "batch": 64}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All sixty words."""
        valued = [word for words in (*ADJECTIVES.values(), *VERBS.values()) for word in words]
        return (*DETERMINERS, *NOUNS, *valued, "is", *ADVERBS, *CONJUNCTIONS, ".")

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        return ("D", "N", "A", "V", "I", "R", "C", ".")

    @cached_property
    def emissions(self) -> Float[np.ndarray, "sentiment class word"]:
        """Probability of each word in each class, for negative and for positive reviews."""
        number = {word: i for i, word in enumerate(self.vocabulary)}
        table = np.zeros((2, len(self._classes), len(number)))
        plain = {"D": DETERMINERS, "N": NOUNS, "I": ("is",), "R": ADVERBS, "C": CONJUNCTIONS, ".": (".",)}
        for name, words in plain.items():
            table[:, self._classes.index(name), [number[word] for word in words]] = 1 / len(words)
        for name, valued in (("A", ADJECTIVES), ("V", VERBS)):
            for sentiment, own in enumerate((-1, 1)):
                for valence, words in valued.items():
                    share = self.agree if valence == own else (1 - self.agree) / 2
                    table[sentiment, self._classes.index(name), [number[word] for word in words]] = share / len(words)
        return table

    @cached_property
    def _automaton(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start probabilities, transitions and classes of the states: a state is a place in a template, a conjunction
        or the full stop."""
        places = [(t, i) for t, template in enumerate(TEMPLATES) for i in range(len(template))]
        classes = [self._classes.index(TEMPLATES[t][i]) for t, i in places]
        count = len(places)
        classes += [self._classes.index("C"), self._classes.index(".")]
        start = np.zeros(count + 2)
        start[[places.index((t, 0)) for t in range(len(TEMPLATES))]] = 1 / len(TEMPLATES)
        moves = np.zeros((count + 2, count + 2))
        for state, (t, i) in enumerate(places):
            if i + 1 < len(TEMPLATES[t]):
                moves[state, state + 1] = 1.0
            else:
                moves[state, count], moves[state, count + 1] = self.go_on, 1 - self.go_on
        moves[count] = start
        return start, moves, np.asarray(classes)

    @cached_property
    def _left(self) -> Float[np.ndarray, "words state"]:
        """Probability that a state's own future ends with the full stop after exactly so many more words."""
        _, moves, _ = self._automaton
        left = np.zeros((self.longest_review + 1, len(moves)))
        left[0, -1] = 1.0
        for words in range(1, self.longest_review + 1):
            left[words] = moves @ left[words - 1]
            left[words, -1] = 0.0
        return left

    def _future(self, written: int) -> Float[np.ndarray, " state"]:
        """Probability that a review with so many words, the last in a state, gets an allowed length."""
        low, high = max(0, self.shortest - written), self.longest_review - written
        return self._left[low : high + 1].sum(0) if high >= 0 else np.zeros(self._left.shape[1])

    def word_probabilities(self, words: Sequence[str]) -> Float[np.ndarray, " word"]:
        """Probability of each word given those before it, exactly, by the forward algorithm over states and sentiments;
        ``FLOOR`` for a word that cannot stand there, after which any state that writes it is possible."""
        start, moves, classes = self._automaton
        number = {word: i for i, word in enumerate(self.vocabulary)}
        believed = np.broadcast_to(start / 2, (2, len(start)))  # before the first word: of its own state
        weight = float((believed * self._future(1)).sum())
        found = []
        for place, word in enumerate(words, start=1):
            seen = self.emissions[:, classes, number[word]] if word in number else np.zeros(believed.shape)
            joint = believed * seen
            total = float((joint * self._future(place)).sum())
            if total <= 0:
                found.append(FLOOR)
                joint, total = seen / max(seen.sum(), 1e-300), 1.0
                scale = float((joint * self._future(place)).sum())
                joint = joint / scale if scale > 0 else joint
            else:
                found.append(total / weight)
                joint = joint / total
            believed = joint @ moves
            weight = 1.0
        return np.asarray(found)

    def naturalness(self, review: str) -> float:
        """Log-probability per word under the grammar."""
        return float(np.log(self.word_probabilities(review.split())).mean())

    def grammatical(self, review: str) -> bool:
        """Whether the grammar can write it, up to its full stop."""
        words = review.split()
        return bool(words) and words[-1] == "." and float(self.word_probabilities(words).min()) > FLOOR

    def complete(self, beginning: Sequence[str], rng: np.random.Generator, positive: bool | None = None) -> list[str]:
        """A review that begins so, from the grammar's own distribution given its beginning (and its sentiment)."""
        start, moves, classes = self._automaton
        number = {word: i for i, word in enumerate(self.vocabulary)}
        prior = np.full(2, 0.5) if positive is None else np.eye(2)[int(positive)]
        believed = prior[:, None] * start
        words = list(beginning)
        for word in beginning:
            believed = (believed * self.emissions[:, classes, number[word]]) @ moves
        while not words or words[-1] != ".":
            weights = believed * self._future(len(words) + 1)
            place = rng.choice(weights.size, p=weights.ravel() / weights.sum())
            sentiment, state = divmod(int(place), believed.shape[1])
            words.append(self.vocabulary[rng.choice(len(number), p=self.emissions[sentiment, classes[state]])])
            believed = np.zeros_like(believed)
            believed[sentiment] = moves[state]
        return words

    def sample_problem(self, rng: np.random.Generator) -> ReviewProblem:
        """The beginning of a review, half of them positive, and three content words."""
        positive = bool(rng.random() < 0.5)
        words = self.complete([], rng, positive)
        content = [*NOUNS, *(word for words in (*ADJECTIVES.values(), *VERBS.values()) for word in words)]
        concepts = tuple(content[i] for i in rng.permutation(len(content))[:3])
        return ReviewProblem(tuple(words[: self.beginning]), positive, concepts)

    def prompt(self, problem: ReviewProblem) -> str:
        """The beginning."""
        return " ".join(problem.beginning)

    def demo(self, problem: ReviewProblem, rng: np.random.Generator, style: Any = None) -> str:
        """The rest of a review that begins so."""
        return " ".join(self.complete(problem.beginning, rng, problem.positive)[len(problem.beginning) :])

    def verify(self, problem: ReviewProblem, response: str) -> float:
        """1 if beginning and response are a grammatical review."""
        return float(self.grammatical(f"{self.prompt(problem)} {response}"))

    def concept_reward(self, problem: ReviewProblem, response: str) -> float:
        """Reward B: the share of the concepts used, in any order, less 0.1 for each word that the grammar does not
        allow where it stands."""
        words = [*problem.beginning, *response.split()]
        outside = int((self.word_probabilities(words)[len(problem.beginning) :] <= FLOOR).sum())
        used = sum(concept in words[len(problem.beginning) :] for concept in problem.concepts)
        return used / len(problem.concepts) - 0.1 * outside

    def segment(self, response: str) -> list[tuple[int, int]]:
        """Clauses, each with the conjunction or full stop after it."""
        words = response.split()
        ends = [i + 1 for i, word in enumerate(words) if word in CONJUNCTIONS or word == "."]
        bounds = [0, *ends, *([len(words)] if not ends or ends[-1] < len(words) else [])]
        return [(a, b) for a, b in pairwise(bounds) if a < b]

    def oracle_step(self, problem: ReviewProblem, prefix: str) -> str:
        """The most probable next word; empty after the full stop."""
        words = [*problem.beginning, *prefix.split()]
        if words[-1] == ".":
            return ""
        likely = [self.word_probabilities([*words, word])[-1] for word in self.vocabulary]
        return self.vocabulary[int(np.argmax(likely))]


@dataclass(frozen=True)
class Sentiment:
    """Reward A: the log-odds that a review is positive by a logistic regression on its bag of words; a judge of texts.

    It is learned, so it can be hacked: repeating a word that it likes raises it.

    Attributes:
        weights: of each word of the vocabulary.
        bias: without any.
        vocabulary: the words.
    """

    weights: tuple[float, ...]
    bias: float
    vocabulary: tuple[str, ...]

    def log_odds(self, reviews: Sequence[str]) -> Float[np.ndarray, " review"]:
        """One number a review."""
        return _bags(self.vocabulary, reviews) @ np.asarray(self.weights) + self.bias

    def score(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[float]:
        """Log-odds of prompt and completion together."""
        return self.log_odds([f"{prompt} {completion}" for prompt, completion in zip(prompts, completions)]).tolist()


def fit_sentiment(world: Reviews, count: int = 2000, seed: int = 0, l2: float = 1e-3) -> Sentiment:
    """The classifier of greatest likelihood on ``count`` labelled reviews, by Newton's method; half of ``l2`` times the
    squared norm of its weights is added to the mean loss."""
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.5
    reviews = [" ".join(world.complete([], rng, bool(positive))) for positive in labels]
    inputs = np.column_stack([_bags(world.vocabulary, reviews), np.ones(count)])
    penalty = l2 * np.eye(inputs.shape[1])
    weights = np.zeros(inputs.shape[1])
    for _ in range(30):
        probability = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (probability - labels) / count + penalty @ weights
        curvature = (inputs.T * (probability * (1 - probability))) @ inputs / count + penalty
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return Sentiment(tuple(weights[:-1].tolist()), float(weights[-1]), world.vocabulary)


def distinct(reviews: Sequence[str], size: int) -> float:
    """Share of different runs of ``size`` words among all such runs."""
    runs = [tuple(words[i : i + size]) for words in map(str.split, reviews) for i in range(len(words) - size + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0


def _bags(vocabulary: Sequence[str], reviews: Sequence[str]) -> Float[np.ndarray, "review word"]:
    number = {word: i for i, word in enumerate(vocabulary)}
    bags = np.zeros((len(reviews), len(number)))
    for row, review in enumerate(reviews):
        for word in review.split():
            if word in number:
                bags[row, number[word]] += 1
    return bags
