"""Supervised fine-tuning: raise the likelihood of what was written, plainly, by weight, or of the preferred answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch, Scored

Normalization = Literal["token", "example", "sum"]


def negative_log_likelihood(
    scored: Scored, normalization: Normalization, weight: Float[Tensor, " row"] | None = None
) -> Float[Tensor, ""]:
    """Cross-entropy of completions.

    Args:
        scored: the completions.
        normalization: ``token``: mean over all tokens of the batch, so that long completions count for more;
            ``example``: mean over rows of each row's mean over its tokens; ``sum``: mean over rows of each row's sum
            over its tokens, which gives the same gradient however a batch is accumulated.
        weight: what each row counts for; 1 if not given.
    """
    loss = -scored.log_probability()
    if weight is not None:
        loss = loss * weight
    if normalization == "token":
        return loss.sum() / scored.length().sum()
    if normalization == "example":
        return (loss / scored.length()).mean()
    if normalization == "sum":
        return loss.mean()
    raise UsageError(f"normalization {normalization!r} is not known; expected 'token', 'example' or 'sum'")


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

    def loss(self, batch: LossBatch) -> Loss:
        """Cross-entropy of the completions."""
        loss = negative_log_likelihood(batch.completion, self.normalization)
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

    def loss(self, batch: LossBatch) -> Loss:
        """Weighted cross-entropy of the completions."""
        loss = negative_log_likelihood(batch.completion, self.normalization, batch.fields["weight"])
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

    def loss(self, batch: LossBatch) -> Loss:
        """Cross-entropy of the chosen completions."""
        loss = negative_log_likelihood(batch.chosen, self.normalization)
        return loss, likelihood_metrics(batch.chosen)
