"""The world of key words: use the prompt's three words, in their order, and be brief.

The true reward is known, writers of any carelessness give data, an annotator's preferences have known
probabilities, and a reward model on seven features is simpler than any writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError

Problems = Int[np.ndarray, "row 3"]
Responses = Int[np.ndarray, "row position"]
SEPARATOR = "=>"


@dataclass(frozen=True)
class Writer:
    """Writes responses: each key word with some probability, mixed with random fillers, shuffled.

    Attributes:
        keep: probability of each key word.
        noise: there are 1 to ``noise`` fillers, uniformly, each a uniform word.
    """

    keep: float = 0.5
    noise: int = 3


@dataclass(frozen=True)
class KeyWords:
    """Prompts of three distinct words; responses of at most ``longest`` words.

    A problem is three word numbers; a batch of responses is word numbers padded with -1, and a word that is not one
    of the world's own is ``words``.

    Attributes:
        words: content words.
        longest: words at which a response is cut; a response of that length needs no end.
        writer: who writes the demonstrations.
    """

    words: int = 8
    longest: int = 7
    writer: Writer = Writer()
    pretraining: ClassVar = {"steps": 150}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word, the separator first."""
        return (SEPARATOR, *(f"w{i}" for i in range(self.words)))

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary[1:])}

    def sample_problems(self, count: int, rng: np.random.Generator) -> Problems:
        """``count`` problems: three distinct words each, in random order."""
        return rng.random((count, self.words)).argsort(-1)[:, :3]

    def sample_problem(self, rng: np.random.Generator) -> tuple[int, ...]:
        """One problem."""
        return tuple(int(word) for word in self.sample_problems(1, rng)[0])

    def prompt(self, problem: Sequence[int]) -> str:
        """The three words, then the separator."""
        return " ".join([*(f"w{word}" for word in problem), SEPARATOR])

    def read_prompts(self, prompts: Sequence[str]) -> Problems:
        """Problems of prompts.

        Raises:
            DataError: a text that is not a prompt of this world.
        """
        problems = np.empty((len(prompts), 3), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            *keys, separator = prompt.split()
            if len(keys) != 3 or separator != SEPARATOR or any(key not in self._number for key in keys):
                raise DataError(f"not a prompt of three words and {SEPARATOR!r}: {prompt!r}")
            problems[row] = [self._number[key] for key in keys]
        return problems

    def write(self, problems: Problems, rng: np.random.Generator, writer: Writer | None = None) -> Responses:
        """A response to each problem by a writer."""
        writer = writer or self.writer
        rows = len(problems)
        kept = rng.random((rows, 3)) < writer.keep
        fillers = rng.integers(1, writer.noise + 1, size=rows)
        words = np.concatenate([problems, rng.integers(0, self.words, (rows, writer.noise))], axis=1)
        used = np.concatenate([kept, np.arange(writer.noise)[None] < fillers[:, None]], axis=1)
        order = np.where(used, rng.random(words.shape), 2.0).argsort(-1)
        shuffled = np.take_along_axis(np.where(used, words, -1), order, axis=1)
        return shuffled[:, : self.longest]

    def text(self, response: Sequence[int]) -> str:
        """The text of one response."""
        return " ".join(f"w{word}" for word in response if word >= 0)

    def read(self, completions: Sequence[str]) -> Responses:
        """Responses of completions' texts."""
        split = [completion.split() for completion in completions]
        responses = np.full((len(split), max(map(len, split), default=0)), -1)
        for row, words in enumerate(split):
            responses[row, : len(words)] = [self._number.get(word, self.words) for word in words]
        return responses

    def demo(self, problem: Sequence[int], rng: np.random.Generator, style: Writer | None = None) -> str:
        """A writer's response to one problem."""
        return self.text(self.write(np.asarray([problem]), rng, style)[0])

    def gold(self, problems: Problems, responses: Responses) -> Float[np.ndarray, " row"]:
        """The true reward: key words present, plus 1 if all are and first occur in the prompt's order, less 0.15 a
        word and 0.5 for each word that repeats the one before it."""
        present, length, repeats, first = self._described(problems, responses)
        ordered = present.all(1) & (first[:, 0] < first[:, 1]) & (first[:, 1] < first[:, 2])
        return present.sum(1) + ordered - 0.15 * length - 0.5 * repeats

    def prefer(self, problems: Problems, first: Responses, second: Responses) -> Float[np.ndarray, " row"]:
        """Probability that the annotator prefers the first: logistic in twice the difference of true rewards."""
        return _sigmoid(2 * (self.gold(problems, first) - self.gold(problems, second)))

    def features(self, problems: Problems, responses: Responses) -> Float[np.ndarray, "row 7"]:
        """What the proxy reward sees: each key word present, words, repeats, first before second, second before third
        (both present)."""
        present, length, repeats, first = self._described(problems, responses)
        in_order = present[:, :2] & present[:, 1:] & (first[:, :2] < first[:, 1:])
        return np.column_stack([present, length, repeats, in_order]).astype(np.float64)

    def verify(self, problem: Sequence[int], response: str) -> float:
        """The true reward of one response."""
        return float(self.gold(np.asarray([problem]), self.read([response]))[0])

    def score(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[float]:
        """The true reward of texts: the world as a judge."""
        return self.gold(self.read_prompts(prompts), self.read(completions)).tolist()

    def segment(self, response: str) -> list[tuple[int, int]]:
        """Each word is a step."""
        return [(i, i + 1) for i in range(len(response.split()))]

    def oracle_step(self, problem: Sequence[int], prefix: str) -> str:
        """The first key word not written yet; empty when all are."""
        written = prefix.split()
        return next((f"w{word}" for word in problem if f"w{word}" not in written), "")

    def _described(self, problems: Problems, responses: Responses):
        if responses.shape[1] == 0:
            responses = np.full((len(responses), 1), -1)
        matches = responses[:, None, :] == problems[:, :, None]
        present, first = matches.any(-1), matches.argmax(-1)
        length = (responses >= 0).sum(-1)
        repeats = ((responses[:, 1:] == responses[:, :-1]) & (responses[:, 1:] >= 0)).sum(-1)
        return present, length, repeats, first


@dataclass(frozen=True)
class ProxyReward:
    """A Bradley–Terry reward, linear in a response's seven features; a judge of texts.

    Attributes:
        world: whose features.
        weights: of the features, in their order.
    """

    world: KeyWords
    weights: tuple[float, ...]

    def reward(self, problems: Problems, responses: Responses) -> Float[np.ndarray, " row"]:
        """Reward of responses as word numbers."""
        return self.world.features(problems, responses) @ np.asarray(self.weights)

    def score(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[float]:
        """Reward of texts."""
        return self.reward(self.world.read_prompts(prompts), self.world.read(completions)).tolist()


def fit_proxy(
    world: KeyWords,
    problems: Problems,
    first: Responses,
    second: Responses,
    preferred: Float[np.ndarray, " row"],
    l2: float = 1e-3,
) -> ProxyReward:
    """The proxy reward of greatest likelihood, by Newton's method.

    Args:
        world: whose features.
        problems: a problem a pair.
        first: one response of each pair.
        second: the other.
        preferred: 1 where the first was preferred, 0 where the second; probabilities do as well.
        l2: half its product with the weights' squared norm is added to the mean loss.
    """
    difference = world.features(problems, first) - world.features(problems, second)
    weights = np.zeros(difference.shape[1])
    for _ in range(50):
        probability = _sigmoid(difference @ weights)
        gradient = difference.T @ (probability - preferred) / len(preferred) + l2 * weights
        curvature = (difference.T * (probability * (1 - probability))) @ difference / len(preferred)
        step = np.linalg.solve(curvature + l2 * np.eye(len(weights)), gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return ProxyReward(world, tuple(weights.tolist()))


def _sigmoid(x: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    return 0.5 * (1 + np.tanh(0.5 * x))
