"""Preference optimisation without a reference model: SimPO."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.core.errors import UsageError
from headstart.language.dpo import sigmoid_loss
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import require_positive


@dataclass(frozen=True, kw_only=True)
class SimPO(LanguageMethod):
    """-log sigma(beta·(mean log-probability of chosen - of rejected) - gamma) (Meng et al. 2024, arXiv:2405.14734).

    Attributes:
        beta: scale of the averages (theirs 2 to 10).
        gamma: margin that the chosen has to be ahead by, in units of beta times nats a token (theirs 0.3 to 1.6 with
            beta 2).
        label_smoothing: probability that a label is flipped, in [0, 0.5).
    """

    name = "simpo"
    reference = "none"

    beta: float = 2.0
    gamma: float = 1.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "beta")
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError(f"label_smoothing is {self.label_smoothing}; it must lie in [0, 0.5)")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        chosen = self.beta * batch.chosen.log_probability() / batch.chosen.length()
        rejected = self.beta * batch.rejected.log_probability() / batch.rejected.length()
        margin = (chosen - rejected).detach()
        metrics = {
            "reward/chosen": chosen.detach().mean(),
            "reward/rejected": rejected.detach().mean(),
            "reward/margin": margin.mean(),
            "reward/accuracy": (margin > 0).float().mean(),
        }
        return sigmoid_loss(chosen - rejected - self.gamma, self.label_smoothing).mean(), metrics
