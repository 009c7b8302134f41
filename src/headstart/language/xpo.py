"""Exploratory preference optimisation: online DPO with optimism, by one extra term."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch.nn.functional import logsigmoid

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import comparator_log_probability, log_ratio_gap, pair_metrics, require_positive


@dataclass(frozen=True, kw_only=True)
class XPO(LanguageMethod):
    """DPO plus alpha·log pi(the comparator's completion) (Xie et al. 2024, arXiv:2405.21046, Alg. 1).

    The term is minimised, so completions drawn from the comparator (the reference, as a rule) lose likelihood, won or
    lost: an optimism that leads away from what the reference says anyway. The field ``chosen_from_comparator`` (bool)
    says which side that is. The optional field ``identical`` (bool) marks pairs whose sides are the same text: they
    keep the bonus and teach no preference. With alpha = 0 it is online DPO.

    Attributes:
        beta: strength of the tie to the fixed reference.
        alpha: weight of the bonus; theory lets it fall with the square root of the number of rounds.
        alphas: weights of the iterations in turn, the last one held; ``alpha`` in all of them if there are none (theirs
            1e-5, 5e-6, 0).
        loss_type: ``sigmoid`` (DPO) or ``ipo`` (its target is 1/(2·beta)).
    """

    name = "xpo"
    fields = ("chosen_from_comparator",)
    optional_fields = ("identical",)

    beta: float = 0.1
    alpha: float = 1e-5
    alphas: tuple[float, ...] = ()
    loss_type: Literal["sigmoid", "ipo"] = "sigmoid"

    def __post_init__(self) -> None:
        require_positive(self, "beta")
        object.__setattr__(self, "alphas", tuple(self.alphas))
        least = min(self.alpha, *self.alphas) if self.alphas else self.alpha
        if least < 0:
            raise UsageError(f"alpha is {least}; below 0 the policy would imitate the comparator")
        if self.loss_type not in ("sigmoid", "ipo"):
            raise UsageError(f"loss_type {self.loss_type!r} is not known; expected 'sigmoid' or 'ipo'")

    def at(self, iteration: int) -> XPO:
        """The method of an iteration."""
        return replace(self, alpha=self.alphas[min(iteration, len(self.alphas) - 1)]) if self.alphas else self

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        gap = log_ratio_gap(batch)
        sigmoid = self.loss_type == "sigmoid"
        preference = -logsigmoid(self.beta * gap) if sigmoid else (gap - 1 / (2 * self.beta)) ** 2
        if "identical" in batch.fields:
            preference = preference.masked_fill(batch.fields["identical"].bool(), 0.0)
        comparator = comparator_log_probability(batch)
        metrics = pair_metrics(batch, self.beta) | {
            "loss/preference": preference.detach().mean(),
            "log_probability/comparator": comparator.detach().mean(),
        }
        return (preference + self.alpha * comparator).mean(), metrics
