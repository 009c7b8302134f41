"""Odds-ratio preference optimisation: fine-tuning and preference in one stage, without a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from headstart.language.encoded_rows import EncodedRow
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import require_positive
from headstart.language.sft import MEAN_LENGTH, Normalization, length_mean, negative_log_likelihood


def log_odds_ratio(chosen: Float[Tensor, " row"], rejected: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
    """log of odds(p) = p/(1-p) of the chosen over that of the rejected, from log-probabilities below 0."""
    return (chosen - rejected) - (_log_complement(chosen) - _log_complement(rejected))


def _log_complement(log_p: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
    """log(1 - p), exact for p near 0 and near 1."""
    likely = log_p > -math.log(2)
    near_one = torch.log(-torch.expm1(log_p.where(likely, -1.0)))
    return near_one.where(likely, torch.log1p(-torch.exp(log_p.where(~likely, -1.0))))


@dataclass(frozen=True, kw_only=True)
class ORPO(LanguageMethod):
    """Cross-entropy of the chosen less weight·log sigma(log odds ratio) (Hong et al. 2024, arXiv:2403.07691, eq. 6-7).

    Probabilities in the odds are geometric means over each completion's tokens.

    Attributes:
        weight: of the odds ratio's loss (their lambda; 0.1).
        normalization: of the cross-entropy; see `negative_log_likelihood`.
    """

    name = "orpo"
    reference = "none"
    learning_rate = 8e-6

    weight: float = 0.1
    normalization: Normalization = "token"

    def __post_init__(self) -> None:
        require_positive(self, "weight")

    def batch_means(self, rows: Sequence[EncodedRow]) -> dict[str, float]:
        """Tokens of a chosen completion."""
        return length_mean(rows, "chosen", self.normalization)

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        chosen = batch.chosen.log_probability() / batch.chosen.length()
        rejected = batch.rejected.log_probability() / batch.rejected.length()
        log_odds = log_odds_ratio(chosen, rejected)
        mean_length = batch.fields.get(MEAN_LENGTH)
        likelihood = negative_log_likelihood(batch.chosen, self.normalization, mean_length=mean_length)
        preference = -logsigmoid(log_odds).mean()
        metrics = {
            "loss/likelihood": likelihood.detach(),
            "loss/preference": preference.detach(),
            "log_odds_ratio": log_odds.detach().mean(),
            "reward/accuracy": (chosen > rejected).float().mean(),
        }
        return likelihood + self.weight * preference, metrics
