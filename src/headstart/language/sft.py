"""Supervised fine-tuning: raise the likelihood of what was written, plainly, by weight, or of the preferred answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.encoded_rows import EncodedRow
from headstart.language.method import LanguageMethod, Loss, LossBatch, Scored

Normalization = Literal["token", "example", "sum"]

MEAN_LENGTH = "mean_length"
"""Field that tells a part of a batch how long the whole batch's completions are on average."""


def negative_log_likelihood(
    scored: Scored,
    normalization: Normalization,
    weight: Float[Tensor, " row"] | None = None,
    mean_length: Float[Tensor, " row"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of completions.

    Args:
        scored: the completions.
        normalization: ``token``: mean over all tokens of the batch, so that long completions count for more;
            ``example``: mean over rows of each row's mean over its tokens; ``sum``: mean over rows of each row's sum
            over its tokens.
        weight: what each row counts for; 1 if not given.
        mean_length: tokens of a completion, on average over the batch of which these rows are a part (the same number
            for each); if not given, the rows are the batch.
    """
    loss = -scored.log_probability()
    if weight is not None:
        loss = loss * weight
    if normalization == "token":
        return loss.sum() / scored.length().sum() if mean_length is None else (loss / mean_length).mean()
    if normalization == "example":
        return (loss / scored.length()).mean()
    if normalization == "sum":
        return loss.mean()
    raise UsageError(f"normalization {normalization!r} is not known; expected 'token', 'example' or 'sum'")


def length_mean(rows: Sequence[EncodedRow], side: str, normalization: Normalization) -> dict[str, float]:
    """What parts of a batch divide by in the normalisation ``token``; see ``headstart.language.accumulation``."""
    if normalization != "token":
        return {}
    return {MEAN_LENGTH: sum(len(row.sides[side].completion) for row in rows) / len(rows)}


def likelihood_metrics(scored: Scored) -> dict[str, Float[Tensor, ""]]:
    """Mean log-probability of a token and of a completion."""
    total = scored.log_probability().detach()
    return {
        "log_probability/token": total.sum() / scored.length().sum(),
        "log_probability/completion": total.mean(),
    }


@dataclass(frozen=True, kw_only=True)
class SFT(LanguageMethod):
    """Supervised fine-tuning on completions, the prompt masked out.

    Attributes:
        normalization: ``token``, ``example`` or ``sum``; see `negative_log_likelihood`.
    """

    name = "sft"
    rows = "completion"
    reference = "none"
    learning_rate = 2e-5

    normalization: Normalization = "token"

    def batch_means(self, rows: Sequence[EncodedRow]) -> dict[str, float]:
        """Tokens of a completion."""
        return length_mean(rows, "completion", self.normalization)

    def loss(self, batch: LossBatch) -> Loss:
        """Cross-entropy of the completions."""
        loss = negative_log_likelihood(batch.completion, self.normalization, mean_length=batch.fields.get(MEAN_LENGTH))
        return loss, likelihood_metrics(batch.completion)


@dataclass(frozen=True, kw_only=True)
class WeightedBC(LanguageMethod):
    """Behavioural cloning with a weight for each row, such as its reward or a filter of its advantage (0 or 1).

    With rewards as weights it is the baseline wBC of Baheti et al. 2024 (arXiv:2305.14718).

    Attributes:
        normalization: ``token``, ``example`` or ``sum``; see `negative_log_likelihood`.
    """

    name = "weighted-bc"
    rows = "completion"
    reference = "none"
    fields = ("weight",)
    learning_rate = 2e-5

    normalization: Normalization = "sum"

    def batch_means(self, rows: Sequence[EncodedRow]) -> dict[str, float]:
        """Tokens of a completion."""
        return length_mean(rows, "completion", self.normalization)

    def loss(self, batch: LossBatch) -> Loss:
        """Weighted cross-entropy of the completions."""
        loss = negative_log_likelihood(
            batch.completion, self.normalization, batch.fields["weight"], batch.fields.get(MEAN_LENGTH)
        )
        return loss, likelihood_metrics(batch.completion)


@dataclass(frozen=True, kw_only=True)
class BestOfTwo(LanguageMethod):
    """Fine-tuning on the preferred answer of each pair (best-of-2, preferred fine-tuning): -log pi(chosen).

    Attributes:
        normalization: ``token``, ``example`` or ``sum``; see `negative_log_likelihood`.
    """

    name = "bo2"
    rows = "pair"
    reference = "none"
    learning_rate = 2e-5

    normalization: Normalization = "sum"

    def batch_means(self, rows: Sequence[EncodedRow]) -> dict[str, float]:
        """Tokens of a completion."""
        return length_mean(rows, "chosen", self.normalization)

    def loss(self, batch: LossBatch) -> Loss:
        """Cross-entropy of the chosen completions."""
        loss = negative_log_likelihood(batch.chosen, self.normalization, mean_length=batch.fields.get(MEAN_LENGTH))
        return loss, likelihood_metrics(batch.chosen)
