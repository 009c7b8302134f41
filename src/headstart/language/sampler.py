"""What a sampler is: prompts as ids in, completions with their log-probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """The distribution completions are drawn from, and when they stop.

    Attributes:
        temperature: divides the logits; 0 takes the most likely token (greedy decoding).
        top_k: keep only so many of the most likely tokens; None keeps all.
        top_p: then keep the fewest most likely tokens that hold this much probability; None keeps all.
        max_tokens: longest completion in tokens, its forced tokens and its end included.
        stop: strings at whose first appearance in what was drawn the completion ends.

    Raises:
        UsageError: a number outside its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    max_tokens: int = 256
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = {
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_k": (self.top_k is None or self.top_k >= 1, "at least 1, or None"),
            "top_p": (self.top_p is None or 0 < self.top_p <= 1, "above 0 and at most 1, or None"),
            "max_tokens": (self.max_tokens >= 1, "at least 1"),
            "stop": (not isinstance(self.stop, str) and all(self.stop), "a tuple of strings, none empty"),
        }
        for name, (right, expected) in wanted.items():
            if not right:
                raise UsageError(f"sampling with {name}={getattr(self, name)!r}: expected {expected}")


USUAL = Sampling()
"""Plain sampling from the model, up to 256 tokens."""


@dataclass(frozen=True)
class Sample:
    """One completion.

    Attributes:
        ids: the completion: forced tokens first, the end token included if it ended by one.
        text: the same as text, without the end token, cut before a stop string.
        log_probabilities: of each token under the distribution it was drawn from; 0 at forced tokens and in greedy
            decoding, which draws with certainty.
        model_log_probabilities: of each token, forced ones too, under the model itself, untempered.
        truncated: ``max_tokens`` or the model's context was reached before an end or a stop string.
        forced: how many leading ids were given, not drawn.
    """

    ids: list[int]
    text: str
    log_probabilities: list[float]
    model_log_probabilities: list[float]
    truncated: bool
    forced: int = 0


class Sampler(Protocol):
    """Draws completions."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int = 1,
        sampling: Sampling = USUAL,
        seed: int = 0,
        forced: Sequence[Sequence[int]] | None = None,
    ) -> list[list[Sample]]:
        """``n`` completions of each prompt.

        Args:
            prompts: token ids.
            n: completions a prompt.
            sampling: how they are drawn.
            seed: the same seed and inputs give the same completions.
            forced: ids that the completions of each prompt begin with, one sequence a prompt; it may be empty.

        Raises:
            UsageError: a prompt that is empty, holds ids the model has not, or does not fit into its context.
        """
        ...


def check_prompts(
    prompts: Sequence[Sequence[int]],
    n: int,
    forced: Sequence[Sequence[int]] | None,
    context: int | None,
    words: int | None = None,
) -> None:
    """Refuse what cannot be sampled, naming the prompt.

    Args:
        prompts: token ids.
        n: completions a prompt.
        forced: beginnings of the completions, or None.
        context: longest prompt with completion that the model can hold, in tokens; None for any.
        words: size of the model's vocabulary, if known.

    Raises:
        UsageError: with the position of the first bad prompt.
    """
    if n < 1:
        raise UsageError(f"n={n}: at least one completion a prompt has to be drawn")
    if forced is not None and len(forced) != len(prompts):
        raise UsageError(f"{len(forced)} forced beginnings for {len(prompts)} prompts: one each is needed")
    for i, prompt in enumerate(prompts):
        beginning = [] if forced is None else forced[i]
        length = len(prompt) + len(beginning)
        if len(prompt) == 0:
            raise UsageError(f"prompt {i} has no tokens; a model needs at least one, such as a beginning-of-text token")
        if context is not None and length >= context:
            raise UsageError(
                f"prompt {i} has {length} tokens, and the model's context of {context} leaves no room for a completion;"
                " shorten it (Encoder's max_prompt_tokens keeps the right side), or use a model with a longer context"
            )
        if words is not None and not 0 <= min(*prompt, *beginning, 0) <= max(*prompt, *beginning, 0) < words:
            raise UsageError(f"prompt {i} holds ids outside the model's {words} words: tokenizer and model differ")


def counted_noise(
    seed: int, prompts: Sequence[int], samples: Sequence[int], positions: int
) -> Float[np.ndarray, "row position"]:
    """Uniform numbers in [0, 1), each a hash of (seed, prompt, sample, position), so that a completion's noise does not
    depend on what is sampled beside it. The hash chains the finaliser of SplitMix64 (Steele et al. 2014)."""
    state = _mixed(np.full(len(prompts), np.uint64(seed % 2**64)))
    for counter in (prompts, samples):
        state = _mixed(state ^ _mixed(np.asarray(counter, dtype=np.uint64)))
    bits = _mixed(state[:, None] ^ _mixed(np.arange(positions, dtype=np.uint64))[None])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def stop_position(text: str, stop: Sequence[str], start: int = 0) -> int | None:
    """Where the first stop string that lies at or after ``start`` begins, or None."""
    found = [place for place in (text.find(string, start) for string in stop) if place >= 0]
    return min(found, default=None)


def completion_text(tokenizer: Any, ids: Sequence[int], ends: Sequence[int], stop: Sequence[str], forced: int) -> str:
    """A completion's text: without its end token, cut before a stop string that was drawn."""
    ids = list(ids[:-1] if len(ids) and ids[-1] in ends else ids)
    text = tokenizer.decode(ids, skip_special_tokens=True)
    if stop:
        given = len(tokenizer.decode(ids[:forced], skip_special_tokens=True)) if forced else 0
        place = stop_position(text, stop, given)
        text = text if place is None else text[:place]
    return text


def _mixed(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
