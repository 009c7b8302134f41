"""Kahneman–Tversky optimisation: learning from thumbs up or down on single completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.encoding import Encoded
from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import require_positive


def mismatched(rows: Sequence[Encoded]) -> list[Encoded]:
    """Each prompt with the completion of the row before it; the first with the last's (Ethayarajh et al., sec. 3.2)."""
    return [Encoded(row.prompt, *other[1:]) for row, other in zip(rows, [*rows[-1:], *rows[:-1]])]


@dataclass(frozen=True, kw_only=True)
class KTO(LanguageMethod):
    """Prospect-theoretic alignment from labels (Ethayarajh et al. 2024, arXiv:2402.01306, eq. 7-8).

    A desirable completion costs 1 - sigma(beta·(log-ratio - z)), an undesirable one 1 - sigma(beta·(z - log-ratio)).
    The reference point z estimates KL(policy, reference): the mean log-ratio of the batch's prompts joined with
    completions of other rows of the batch, not below 0 and without gradient. The side ``mismatched`` holds those
    pairs, as `mismatched` forms them from the batch's rows.

    Attributes:
        beta: strength of the tie to the reference (theirs 0.1).
        desirable_weight: what a desirable row counts for (lambda_D).
        undesirable_weight: what an undesirable row counts for (lambda_U).
        estimate_kl: False puts z at 0, and no mismatched pairs are needed.
    """

    name = "kto"
    rows = "label"
    fields = ("label",)

    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    estimate_kl: bool = True

    def __post_init__(self) -> None:
        require_positive(self, "beta", "desirable_weight", "undesirable_weight")

    def further_sides(self, rows: Sequence[Encoded]) -> dict[str, list[Encoded]]:
        """Completions to be scored besides the batch's own, without gradient, by side.

        Raises:
            UsageError: a batch of one row, which has no other row's completion.
        """
        if not self.estimate_kl:
            return {}
        if len(rows) < 2:
            raise UsageError("KTO estimates its KL from mismatched rows, so a batch needs at least 2")
        return {"mismatched": mismatched(rows)}

    def divergence(self, batch: LossBatch) -> Float[Tensor, ""]:
        """The reference point z."""
        if not self.estimate_kl:
            return torch.zeros((), device=batch.completion.policy.device)
        if "mismatched" not in batch.sides:
            raise UsageError("KTO needs the side 'mismatched' (further_sides gives it), or estimate_kl=False")
        return batch.sides["mismatched"].log_ratio().detach().mean().clamp(min=0)

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over rows of both labels."""
        label = batch.fields["label"].bool()
        log_ratio, divergence = batch.completion.log_ratio(), self.divergence(batch)
        sign = torch.where(label, 1.0, -1.0)
        weight = torch.where(label, self.desirable_weight, self.undesirable_weight)
        loss = (weight * (1 - torch.sigmoid(self.beta * sign * (log_ratio - divergence)))).mean()
        reward = self.beta * log_ratio.detach()
        metrics = {
            "kl": divergence,
            "reward/desirable": (reward * label).sum() / label.sum().clamp(min=1),
            "reward/undesirable": (reward * ~label).sum() / (~label).sum().clamp(min=1),
        }
        return loss, metrics
