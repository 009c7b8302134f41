"""Identity preference optimisation: regress the gap on a fixed target, so that certain labels cannot drive it away."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import log_ratio_gap, pair_metrics, require_positive


@dataclass(frozen=True, kw_only=True)
class IPO(LanguageMethod):
    """(h - 1/(2·tau))² (Azar et al. 2024, arXiv:2310.12036, eq. 17).

    Other forms in print: (beta·h - 1/2)² is this times beta² with tau = beta; (h - b)² is this with tau = 1/(2b).
    TRL's ``ipo`` divides each side's log-ratio by its number of tokens: that is ``length_normalized=True``.

    Attributes:
        tau: strength of the tie to the reference.
        length_normalized: average log-ratios over tokens before they are compared.
    """

    name = "ipo"

    tau: float = 0.1
    length_normalized: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "tau")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        gap = log_ratio_gap(batch, self.length_normalized)
        return ((gap - 1 / (2 * self.tau)) ** 2).mean(), pair_metrics(batch, self.tau)
