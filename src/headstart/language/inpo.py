"""Iterative Nash policy optimisation: regression towards the next step of mirror descent in a preference game."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import log_ratio_gap, pair_metrics, require_positive


@dataclass(frozen=True, kw_only=True)
class INPO(LanguageMethod):
    """(h - 1/(2·eta))² with a mixed anchor in place of the reference (Zhang et al. 2025, arXiv:2407.00617, Alg. 1).

    The reference of the batch must be `anchor` of the fixed reference and the policy that drew the pairs, of this
    iteration and not an earlier one. With tau = eta it is IPO; with tau = 0 self-play without any tie. The loss has
    the stated minimiser only if both completions of a pair were drawn from that policy.

    The optional field ``preference_prob``, P(chosen is preferred), makes labels soft: the loss is
    p·(h - 1/(2·eta))² + (1-p)·(h + 1/(2·eta))².

    Attributes:
        eta: inverse step of mirror descent (theirs 0.005, so that the target is 100 nats).
        tau: strength of the tie to the fixed reference, in [0, eta]; None is a third of eta, as theirs.
    """

    name = "inpo"
    optional_fields = ("preference_prob",)

    eta: float = 0.005
    tau: float | None = None

    def __post_init__(self) -> None:
        require_positive(self, "eta")
        if self.tau is not None and not 0 <= self.tau <= self.eta:
            raise UsageError(f"tau is {self.tau}; it must lie in [0, eta] = [0, {self.eta}]")

    @property
    def share(self) -> float:
        """Weight tau/eta of the fixed reference in the anchor."""
        return 1 / 3 if self.tau is None else self.tau / self.eta

    def anchor(self, reference: Float[Tensor, " row"], previous: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
        """Log-probabilities that h is taken against: tau/eta of the reference's, the rest of the drawing policy's."""
        return self.share * reference + (1 - self.share) * previous

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        gap, target = log_ratio_gap(batch), 1 / (2 * self.eta)
        loss = (gap - target) ** 2
        if "preference_prob" in batch.fields:
            p = batch.fields["preference_prob"]
            loss = p * loss + (1 - p) * (gap + target) ** 2
        loss = loss.mean()
        return loss, pair_metrics(batch, self.eta) | {"loss/scaled": loss.detach() * self.eta**2}
