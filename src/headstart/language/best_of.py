"""The best of several completions at inference: by a judge, or by what the model itself finds likely or repeats.

Huang et al. 2025 (arXiv:2412.01951). Own likelihood is always that of the untempered model, whatever temperature the
candidates were drawn at; a truncated candidate's likelihood is of a part only, so it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from headstart.core.encoding import Text
from headstart.core.errors import UsageError
from headstart.judges.judge import Judge, checked_scores
from headstart.language.sampler import USUAL, Sample, Sampler, Sampling

SelfReward = Literal["loglik", "mean_loglik", "majority"]
SELF_REWARDS = ("loglik", "mean_loglik", "majority")


@dataclass(frozen=True)
class Best:
    """The candidates for one prompt and which of them was picked.

    Attributes:
        samples: all candidates, in the order drawn.
        scores: their scores; None for those that cannot be picked.
    """

    samples: list[Sample]
    scores: list[float | None]

    @property
    def index(self) -> int | None:
        """The candidate with the highest score, the first of equals; None if none can be picked."""
        scored = [(score, -i) for i, score in enumerate(self.scores) if score is not None]
        return -max(scored)[1] if scored else None

    @property
    def sample(self) -> Sample | None:
        """The picked candidate."""
        return None if self.index is None else self.samples[self.index]


def self_scores(
    samples: Sequence[Sample],
    reward: SelfReward,
    answer: Callable[[str], Hashable | None] | None = None,
    truncated: bool = False,
) -> list[float | None]:
    """The model's own judgement of its candidates for one prompt.

    Args:
        samples: the candidates.
        reward: ``loglik`` is the log-probability of the whole candidate, ``mean_loglik`` its mean over tokens, and
            ``majority`` how many candidates give the same answer.
        answer: reads the answer from a text for ``majority``; None for a text without one, which agrees with no other.
            By default the whole text is the answer.
        truncated: whether truncated candidates can be picked too.

    Raises:
        UsageError: no such reward.
    """
    allowed = [truncated or not sample.truncated for sample in samples]
    if reward == "majority":
        answers = [sample.text if answer is None else answer(sample.text) for sample in samples]
        voting = [a for a, may in zip(answers, allowed) if may and a is not None]
        values = [1.0 if a is None else float(voting.count(a)) for a in answers]
    elif reward in SELF_REWARDS:
        totals = [sum(sample.model_log_probabilities) for sample in samples]
        values = [t / len(s.ids) for t, s in zip(totals, samples)] if reward == "mean_loglik" else totals
    else:
        raise UsageError(f"self-reward {reward!r}: expected one of {', '.join(SELF_REWARDS)}, or a judge")
    return [value if may else None for value, may in zip(values, allowed)]


def judge_scores(
    groups: Sequence[Sequence[Sample]],
    judge: Judge,
    prompts: Sequence[Text],
    columns: Mapping[str, Sequence[Any]] | None = None,
    truncated: bool = False,
) -> list[list[float | None]]:
    """A judge's scores of the candidates for each prompt; None where it gave none, and for truncated candidates.

    Args:
        groups: the candidates for each prompt.
        judge: what scores.
        prompts: the prompts, as the judge reads them.
        columns: further columns, one value a prompt.
        truncated: whether truncated candidates are judged too.
    """
    places = [(i, j) for i, group in enumerate(groups) for j, s in enumerate(group) if truncated or not s.truncated]
    scores: list[list[float | None]] = [[None] * len(group) for group in groups]
    if places:
        repeated = {name: [values[i] for i, _ in places] for name, values in (columns or {}).items()}
        texts = [groups[i][j].text for i, j in places]
        for (i, j), score in zip(places, checked_scores(judge, [prompts[i] for i, _ in places], texts, repeated)):
            scores[i][j] = score
    return scores


def best_of(
    sampler: Sampler,
    prompts: Sequence[Sequence[int]],
    n: int,
    reward: SelfReward | Judge = "loglik",
    sampling: Sampling = USUAL,
    seed: int = 0,
    texts: Sequence[Text] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
    answer: Callable[[str], Hashable | None] | None = None,
    truncated: bool = False,
) -> list[Best]:
    """Draw ``n`` candidates for each prompt and pick one; costs n completions and n judgements an answer.

    Args:
        sampler: draws the candidates.
        prompts: token ids.
        n: candidates a prompt; with 1 the pick is the candidate.
        reward: the model's own judgement, or a judge.
        sampling: how candidates are drawn.
        seed: of the noise.
        texts: the prompts as a judge reads them; needed with a judge only.
        columns: the prompts' further columns, for a judge.
        answer: reads the answer from a text, for ``majority``.
        truncated: whether truncated candidates can be picked.

    Raises:
        UsageError: a judge without ``texts``.
    """
    groups = sampler.sample(prompts, n, sampling, seed)
    if isinstance(reward, str):
        return [Best(group, self_scores(group, reward, answer, truncated)) for group in groups]
    if texts is None or len(texts) != len(prompts):
        raise UsageError("a judge reads prompts as text: give texts, one for each prompt")
    scores = judge_scores(groups, reward, texts, columns, truncated)
    return [Best(group, values) for group, values in zip(groups, scores)]


def coverage(
    sampler: Sampler,
    prompts: Sequence[Sequence[int]],
    n: int,
    sampling: Sampling = USUAL,
    seed: int = 0,
) -> Float[np.ndarray, " prompt"]:
    """One over the highest probability that the model gives any of ``n`` drawn completions, for each prompt.

    It is never below one over the probability of the most likely completion, and equal to it once that was drawn; about
    its logarithm times as many candidates make best-of-n by ``loglik`` pick that completion. Infinite where every
    candidate was truncated.
    """
    found = [best.scores for best in best_of(sampler, prompts, n, "loglik", sampling, seed)]
    highest = [max((score for score in scores if score is not None), default=-np.inf) for scores in found]
    return np.exp(-np.asarray(highest))
