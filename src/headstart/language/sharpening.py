"""Self-improvement by sharpening: regress log-ratios on the base model's own judgement of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch, Scored
from headstart.language.pairs import comparator_log_probability, log_ratio_gap, pair_metrics, require_positive

SelfReward = Literal["loglik", "mean_loglik", "column"]


def self_reward(scored: Scored, kind: Literal["loglik", "mean_loglik"]) -> Float[Tensor, " row"]:
    """The base model's log-probability of each completion (``loglik``), or its mean over tokens (``mean_loglik``)."""
    total = scored.reference_log_probability()
    return total if kind == "loglik" else total / scored.length()


@dataclass(frozen=True, kw_only=True)
class Sharpening(LanguageMethod):
    """(beta·h - reward gap)², RLHF-sharpening (Huang et al. 2025, arXiv:2412.01951, eq. 4 and 8).

    Pairs are two completions of the base model, which is the reference. The optimum is proportional to
    base·exp(reward/beta): with ``loglik`` the base model at power 1 + 1/beta. With rewards of a column it is
    regression on any reward, and which side is called chosen makes no difference.

    With alpha above 0 it is the exploratory form (their Algorithm 1 of appendix J): one side is from the current
    policy, the other from the base model, whose likelihood is lowered; ``chosen_from_comparator`` says which.

    Attributes:
        beta: strength of the tie to the base model.
        reward: ``loglik``, ``mean_loglik``, or ``column``: the columns chosen_reward and rejected_reward.
        alpha: weight of the exploration bonus.
    """

    name = "sharpening"
    optional_fields = ("chosen_reward", "rejected_reward", "chosen_from_comparator")
    learning_rate = 3e-5

    beta: float = 0.1
    reward: SelfReward = "loglik"
    alpha: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "beta")
        if self.alpha < 0:
            raise UsageError(f"alpha is {self.alpha}; below 0 the policy would imitate the base model's completions")
        if self.reward not in ("loglik", "mean_loglik", "column"):
            raise UsageError(f"reward {self.reward!r} is not known; expected 'loglik', 'mean_loglik' or 'column'")

    def reward_gap(self, batch: LossBatch) -> Float[Tensor, " row"]:
        """Reward of the chosen less that of the rejected."""
        if self.reward == "column":
            if not {"chosen_reward", "rejected_reward"} <= batch.fields.keys():
                raise UsageError("reward 'column' needs the columns chosen_reward and rejected_reward")
            return batch.fields["chosen_reward"] - batch.fields["rejected_reward"]
        return self_reward(batch.chosen, self.reward) - self_reward(batch.rejected, self.reward)

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over pairs."""
        loss = ((self.beta * log_ratio_gap(batch) - self.reward_gap(batch)) ** 2).mean()
        metrics = pair_metrics(batch, self.beta) | {"loss/regression": loss.detach()}
        if self.alpha:
            loss = loss + self.alpha * comparator_log_probability(batch).mean()
        return loss, metrics
