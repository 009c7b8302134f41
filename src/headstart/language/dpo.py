"""Direct preference optimisation: plain, conservative, robust, and averaged over tokens."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import log_ratio_gap, pair_metrics, require_positive


def sigmoid_loss(
    logits: Float[Tensor, " row"], label_smoothing: float = 0.0, robust: bool = False
) -> Float[Tensor, " row"]:
    """-log sigma(logits) of each row, under labels that are wrong with probability ``label_smoothing``.

    Args:
        logits: beta·h, how strongly the policy prefers the chosen.
        label_smoothing: share e of flipped labels that is allowed for.
        robust: False gives the expected loss under flips, (1-e)·l(z) + e·l(-z) (conservative DPO, Mitchell 2023);
            True the unbiased estimate of the loss on clean labels, ((1-e)·l(z) - e·l(-z)) / (1-2e) (Chowdhury et al.
            2024, arXiv:2403.00409, eq. 12).
    """
    if label_smoothing == 0:
        return -logsigmoid(logits)
    kept, flipped = -(1 - label_smoothing) * logsigmoid(logits), -label_smoothing * logsigmoid(-logits)
    return (kept - flipped) / (1 - 2 * label_smoothing) if robust else kept + flipped


@dataclass(frozen=True, kw_only=True)
class DPO(LanguageMethod):
    """Direct preference optimisation: -log sigma(beta·h) (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

    Attributes:
        beta: strength of the tie to the reference (their default 0.1).
        label_smoothing: probability that a label is flipped, in [0, 0.5).
        robust: correct for the flips without bias, rather than expect them; see `sigmoid_loss`.
    """

    name = "dpo"

    beta: float = 0.1
    label_smoothing: float = 0.0
    robust: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "beta")
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError(f"label_smoothing is {self.label_smoothing}; it must lie in [0, 0.5)")
        if self.robust and not self.label_smoothing:
            raise UsageError("robust DPO needs label_smoothing above 0: the share of labels taken to be flipped")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        loss = sigmoid_loss(self.beta * log_ratio_gap(batch), self.label_smoothing, self.robust).mean()
        return loss, pair_metrics(batch, self.beta)


@dataclass(frozen=True, kw_only=True)
class LengthNormalizedDPO(DPO):
    """DPO on log-ratios averaged over each completion's tokens (Lambert et al. 2024, arXiv:2411.15124, eq. 6).

    Attributes:
        beta: theirs is 5, as an average is smaller than a sum.
    """

    name = "ln-dpo"

    beta: float = 5.0

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        logits = self.beta * log_ratio_gap(batch, length_normalized=True)
        return sigmoid_loss(logits, self.label_smoothing, self.robust).mean(), pair_metrics(batch)
