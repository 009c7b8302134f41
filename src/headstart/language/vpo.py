"""Value-incentivised preference optimisation: optimism online and pessimism offline, by the sign of one term."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import log_ratio_gap, pair_metrics, require_positive


@dataclass(frozen=True, kw_only=True)
class VPO(LanguageMethod):
    """DPO with a value term on calibration completions (Cen et al. 2025, arXiv:2405.19320, eq. 16 and 19).

    The term is alpha·beta·E[log pi(y) - log pi_ref(y)] over completions y of one fixed policy. Online it is added
    (they lose likelihood: exploration), offline subtracted (they gain likelihood: an anchor in the data).

    Attributes:
        mode: ``online`` or ``offline``; without default, as the wrong sign does harm.
        alpha: weight of the value term.
        alpha_schedule: ``constant``, or ``sqrt``: alpha over the root of the iteration's number, from 1.
        beta: strength of the tie to the reference.
        calibration: the side that holds the calibration completions: ``chosen``, ``rejected``, or ``calibration``,
            scored for the same prompts (online: drawn from the reference).
        normalization: ``mean``: alpha·beta weighs the mean of the term against the mean of DPO's loss; ``sum``: DPO's
            loss is the sum over the data as in the paper, so that against the mean the weight is alpha·beta/pairs.
        pairs: number of pairs in the data, needed by ``sum`` alone.
    """

    name = "vpo"

    mode: Literal["online", "offline"]
    alpha: float = 0.01
    alpha_schedule: Literal["constant", "sqrt"] = "constant"
    beta: float = 0.1
    calibration: Literal["chosen", "rejected", "calibration"] = "chosen"
    normalization: Literal["mean", "sum"] = "mean"
    pairs: int | None = None

    def __post_init__(self) -> None:
        require_positive(self, "beta")
        if self.mode not in ("online", "offline"):
            raise UsageError(f"mode is {self.mode!r}; expected 'online' (optimism) or 'offline' (pessimism)")
        if self.alpha < 0:
            raise UsageError(f"alpha is {self.alpha}; it must not be negative: mode gives the sign")
        if self.alpha_schedule not in ("constant", "sqrt"):
            raise UsageError(f"alpha_schedule {self.alpha_schedule!r} is not known; expected 'constant' or 'sqrt'")
        if self.normalization not in ("mean", "sum"):
            raise UsageError(f"normalization {self.normalization!r} is not known; expected 'mean' or 'sum'")
        if self.normalization == "sum" and not self.pairs:
            raise UsageError("normalization 'sum' needs pairs, the number of pairs in the data")

    def at(self, iteration: int) -> VPO:
        """The method of an iteration."""
        return replace(self, alpha=self.alpha / (iteration + 1) ** 0.5) if self.alpha_schedule == "sqrt" else self

    @property
    def coefficient(self) -> float:
        """What the mean log-ratio of the calibration completions is multiplied by in the loss, sign included."""
        size = self.alpha * self.beta / (self.pairs if self.normalization == "sum" and self.pairs else 1)
        return size if self.mode == "online" else -size

    def value_term(self, batch: LossBatch) -> Float[Tensor, ""]:
        """Mean log-ratio of the calibration completions.

        Raises:
            UsageError: the batch has no such side, or it is empty.
        """
        side = batch.sides.get(self.calibration)
        if side is None or not len(side.policy):
            raise UsageError(f"the batch holds no completions on the side {self.calibration!r} that VPO calibrates on")
        return side.log_ratio().mean()

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs, plus the value term."""
        preference = -logsigmoid(self.beta * log_ratio_gap(batch)).mean()
        term = self.value_term(batch)
        metrics = pair_metrics(batch, self.beta) | {
            "loss/preference": preference.detach(),
            "log_ratio/calibration": term.detach(),
        }
        return preference + self.coefficient * term, metrics
