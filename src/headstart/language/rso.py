"""The losses of statistical rejection sampling: hinge and sigmoid, with the reference and without."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import log_ratio_gap, pair_metrics, require_positive


@dataclass(frozen=True, kw_only=True)
class HingeNorm(LanguageMethod):
    """max(0, 1 - gamma·h), a margin on normalised log-ratios (Liu et al. 2024, arXiv:2309.06657, eq. 9).

    Attributes:
        gamma: scale of the gap; the margin in nats is 1/gamma (theirs 0.05).
    """

    name = "hinge-norm"
    learning_rate = 1e-5

    gamma: float = 0.05

    def __post_init__(self) -> None:
        require_positive(self, "gamma")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        loss = (1 - self.gamma * log_ratio_gap(batch)).relu().mean()
        return loss, pair_metrics(batch, self.gamma)


@dataclass(frozen=True, kw_only=True)
class SigmoidNorm(LanguageMethod):
    """-log sigma(gamma·h): DPO's loss with RSO's constant (arXiv:2309.06657, eq. 8). Not TRL's ``sigmoid_norm``.

    Attributes:
        gamma: scale of the gap, apart from the temperature that the pairs were sampled with (theirs 0.05).
    """

    name = "sigmoid-norm"
    learning_rate = 1e-5

    gamma: float = 0.05

    def __post_init__(self) -> None:
        require_positive(self, "gamma")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        loss = -logsigmoid(self.gamma * log_ratio_gap(batch)).mean()
        return loss, pair_metrics(batch, self.gamma)


@dataclass(frozen=True, kw_only=True)
class SLiC(LanguageMethod):
    """max(0, 1 - gamma·(log pi(chosen) - log pi(rejected))) without any reference, as in arXiv:2309.06657, eq. 7.

    The regulariser of sequence-likelihood calibration (Zhao et al. 2023, arXiv:2305.10425) is left out, as there;
    without it and without a reference the loss is known to exploit the reward model.

    Attributes:
        gamma: scale of the gap; the margin in nats is 1/gamma.
    """

    name = "slic"
    learning_rate = 1e-5
    reference = "none"

    gamma: float = 0.05

    def __post_init__(self) -> None:
        require_positive(self, "gamma")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        gap = batch.chosen.log_probability() - batch.rejected.log_probability()
        return (1 - self.gamma * gap).relu().mean(), pair_metrics(batch, self.gamma)
