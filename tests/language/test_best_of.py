from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.language.best_of import Best, best_of, coverage, self_scores
from headstart.language.sampler import USUAL, Sample, Sampling


class Recorded:
    """Gives the same candidates for every prompt."""

    def __init__(self, samples: Sequence[Sample]):
        self.samples = list(samples)

    def sample(self, prompts, n=1, sampling: Sampling = USUAL, seed=0, forced=None):
        return [self.samples[:n] for _ in prompts]


class Length:
    def score(self, prompts, completions, columns=None):
        return [len(completion) + bonus for completion, bonus in zip(completions, columns["bonus"])]


def candidate(text: str, values: list[float], truncated: bool = False) -> Sample:
    return Sample(list(range(len(values))), text, [0.0] * len(values), values, truncated)


CANDIDATES = [
    candidate("7", [-2.0, -0.1]),
    candidate("it is 5", [-0.9, -0.9, -0.9, -0.9]),
    candidate("so 7", [-1.5, -1.5]),
    candidate("never ends", [-0.01], truncated=True),
]


def number(text: str) -> int | None:
    digits = [character for character in text if character.isdigit()]
    return int(digits[-1]) if digits else None


def test_picks_by_each_self_reward():
    assert self_scores(CANDIDATES, "loglik") == pytest.approx([-2.1, -3.6, -3.0, None])
    assert Best(CANDIDATES, self_scores(CANDIDATES, "loglik")).index == 0
    assert Best(CANDIDATES, self_scores(CANDIDATES, "mean_loglik")).index == 1
    assert self_scores(CANDIDATES, "majority", number) == [2.0, 1.0, 2.0, None]
    assert Best(CANDIDATES, self_scores(CANDIDATES, "loglik", truncated=True)).index == 3
    none_parsed = [candidate("a", [-1.0]), candidate("b", [-1.0])]
    assert self_scores(none_parsed, "majority", number) == [1.0, 1.0]
    with pytest.raises(UsageError, match="expected one of"):
        self_scores(CANDIDATES, "likelihood")


def test_best_of_asks_a_judge_with_the_prompts_columns():
    (best,) = best_of(Recorded(CANDIDATES), [[1]], 4, Length(), texts=["how much?"], columns={"bonus": [10]})
    assert best.scores == [11.0, 17.0, 14.0, None]
    assert best.sample is CANDIDATES[1]
    assert best_of(Recorded(CANDIDATES), [[1]], 1)[0].index == 0
    assert best_of(Recorded(CANDIDATES[3:]), [[1]], 1)[0].sample is None
    with pytest.raises(UsageError, match="texts"):
        best_of(Recorded(CANDIDATES), [[1]], 4, Length())


def test_coverage_is_one_over_the_most_likely_found():
    found = coverage(Recorded(CANDIDATES), [[1], [2]], 4)
    np.testing.assert_allclose(found, math.exp(2.1))
    assert coverage(Recorded(CANDIDATES[3:]), [[1]], 1)[0] == math.inf
