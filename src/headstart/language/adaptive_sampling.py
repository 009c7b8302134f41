"""As many candidates of each prompt as it takes to have seen its likeliest completion, and no more.

The adaptive form of SFT-sharpening (Huang et al. 2024, arXiv:2412.01951, appendix D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.errors import UsageError
from headstart.language.sampler import USUAL, Sample, Sampler, Sampling


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """When drawing stops: at the first k candidates with 1 / (highest probability among them) <= k / ln(2 / delta)."""

    delta: float = 0.1
    """How improbable it should be that the likeliest completion has not been drawn when drawing stops."""
    most: int = 256
    """Candidates of a prompt at most: long completions have probabilities that would take more than there is time."""
    at_once: int = 8
    """Candidates drawn before the rule is looked at again; those drawn beyond it are thrown away."""

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise UsageError(f"delta is {self.delta}; expected a probability between 0 and 1")
        if self.most < 1 or self.at_once < 1:
            raise UsageError(f"most and at_once are {self.most} and {self.at_once}; expected 1 or more")

    def stops(self, log_probabilities: Sequence[float]) -> int | None:
        """How many candidates are enough, or None if these are not.

        Args:
            log_probabilities: of each candidate under the model, in the order drawn; -infinity for those that do not
                count because they were truncated.
        """
        highest = -math.inf
        for count, value in enumerate(log_probabilities, 1):
            highest = max(highest, value)
            if -highest <= math.log(count / math.log(2 / self.delta)):
                return count
        return None


@dataclass(frozen=True)
class Likeliest:
    """The likeliest candidate of a prompt.

    Attributes:
        sample: the candidate; None if all were truncated.
        log_probability: its own under the model, untempered; -infinity without one.
        candidates: how many count as drawn.
        settled: whether the rule was met before the most allowed were drawn.
    """

    sample: Sample | None
    log_probability: float
    candidates: int
    settled: bool


def likeliest(
    sampler: Sampler,
    prompts: Sequence[Sequence[int]],
    adaptive: Adaptive | None = None,
    sampling: Sampling = USUAL,
    seed: int = 0,
) -> list[Likeliest]:
    """Draw candidates of each prompt until the rule is met, and pick the likeliest.

    Args:
        sampler: draws them; its untempered log-probabilities are what counts.
        prompts: token ids.
        adaptive: the rule.
        sampling: how candidates are drawn; the rule is proven for temperature 1.
        seed: of the noise.
    """
    adaptive = adaptive or Adaptive()
    drawn: list[list[Sample]] = [[] for _ in prompts]
    enough: list[int | None] = [None] * len(prompts)
    while open_ := [i for i, found in enumerate(enough) if found is None and len(drawn[i]) < adaptive.most]:
        before = len(drawn[open_[0]])
        part = int(np.random.SeedSequence((seed, before)).generate_state(1, np.uint32)[0])
        count = min(adaptive.at_once, adaptive.most - before)
        groups = sampler.sample([prompts[i] for i in open_], count, sampling, part)
        for i, group in zip(open_, groups, strict=True):
            drawn[i] += group
            enough[i] = adaptive.stops([_log_probability(sample) for sample in drawn[i]])
    return [_pick(samples, count) for samples, count in zip(drawn, enough, strict=True)]


def _log_probability(sample: Sample) -> float:
    return -math.inf if sample.truncated else float(sum(sample.model_log_probabilities))


def _pick(samples: Sequence[Sample], enough: int | None) -> Likeliest:
    counted = samples if enough is None else samples[:enough]
    values = [_log_probability(sample) for sample in counted]
    best = int(np.argmax(values))
    settled = enough is not None
    if values[best] == -math.inf:
        return Likeliest(None, -math.inf, len(counted), settled)
    return Likeliest(counted[best], values[best], len(counted), settled)
