"""Hybrid preference optimisation: offline pairs, and a KL penalty on the policy's own fresh completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from headstart.core.errors import UsageError
from headstart.language.advantages import leave_one_out
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import log_ratio_gap, pair_metrics, require_positive


def kl_surrogate(
    log_policy: Float[Tensor, " row"], log_reference: Float[Tensor, " row"], generations: int
) -> Float[Tensor, ""]:
    """A scalar whose gradient estimates that of KL(policy, reference) without bias.

    Each completion's log-ratio, less the mean of its prompt's other completions, multiplies the gradient of its
    log-probability; no gradient passes through the log-ratio itself. Its value means nothing: report the mean
    log-ratio as the KL.

    Args:
        log_policy: log-probabilities of whole completions drawn from the policy at temperature 1.
        log_reference: the same completions under the reference.
        generations: completions of each prompt, which stand next to each other; with 1 there is no baseline.
    """
    log_ratio = (log_policy - log_reference).detach()
    centered = leave_one_out(log_ratio, generations) if generations > 1 else log_ratio
    return (centered * log_policy).mean()


@dataclass(frozen=True, kw_only=True)
class HyPO(LanguageMethod):
    """DPO plus kl_coef·KL(policy, reference) on own completions (Song et al. 2024, arXiv:2406.01462, Alg. 1).

    Batches carry, beside chosen and rejected, a side ``online``: ``generations`` completions of each prompt drawn
    from the current policy at temperature 1, one prompt's next to each other, with the reference's log-probabilities.
    A batch without that side is plain DPO (for steps between drawings); with kl_coef 0 the whole method is.

    Attributes:
        beta: strength of the tie to the reference in the pairs' loss (theirs 0.05 for summaries).
        kl_coef: weight of the KL (theirs 1e-4 for summaries).
        generations: completions of each prompt, whose mean log-ratio without a completion itself is its baseline.
        online_every: steps from one drawing to the next; between them the loss is that of the pairs alone.
        loss_type: the pairs' loss: ``sigmoid`` (DPO), ``ipo`` (target 1/(2·beta)) or ``hinge``.
    """

    name = "hypo"
    learning_rate = 3e-6

    beta: float = 0.05
    kl_coef: float = 1e-4
    generations: int = 2
    online_every: int = 1
    loss_type: Literal["sigmoid", "ipo", "hinge"] = "sigmoid"

    def __post_init__(self) -> None:
        require_positive(self, "beta", "generations", "online_every")
        if self.kl_coef < 0:
            raise UsageError(f"kl_coef is {self.kl_coef}; below 0 the policy would be driven from the reference")
        if self.loss_type not in ("sigmoid", "ipo", "hinge"):
            raise UsageError(f"loss_type {self.loss_type!r} is not known; expected 'sigmoid', 'ipo' or 'hinge'")

    def preference(self, batch: LossBatch) -> Float[Tensor, " row"]:
        """The loss of each pair."""
        gap = log_ratio_gap(batch)
        if self.loss_type == "sigmoid":
            return -logsigmoid(self.beta * gap)
        return (gap - 1 / (2 * self.beta)) ** 2 if self.loss_type == "ipo" else (1 - self.beta * gap).relu()

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs, plus the surrogate of the KL over own completions."""
        loss, metrics = self.preference(batch).mean(), pair_metrics(batch, self.beta)
        online = batch.sides.get("online")
        if online is None:
            return loss, metrics
        if online.reference is None and online.reference_sum is None:
            raise UsageError("HyPO's own completions come without the reference's log-probabilities")
        penalty = kl_surrogate(online.log_probability(), online.reference_log_probability(), self.generations)
        metrics |= {"loss/preference": loss.detach(), "kl": online.log_ratio().detach().mean()}
        return loss + self.kl_coef * penalty, metrics
