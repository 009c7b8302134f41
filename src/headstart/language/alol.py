"""Advantage-based offline policy gradients on logged text (A-LoL), and what they are measured against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import require_positive
from headstart.language.sft import likelihood_metrics


def capped_ratio(log_ratio: Float[Tensor, "..."], clip: float) -> Float[Tensor, "..."]:
    """exp(log_ratio) kept in [1 - clip, 1 + clip], without gradient; clamped before exp, so that nothing overflows."""
    lowest = math.log(1 - clip) if clip < 1 else -torch.inf
    return torch.exp(log_ratio.detach().clamp(lowest, math.log1p(clip)))


@dataclass(frozen=True, kw_only=True)
class ALoL(LanguageMethod):
    """Advantage-leftover-lunch: cross-entropy weighted by advantage and capped ratio (Baheti et al. 2024,
    arXiv:2305.14718, sec. 2.2-2.3).

    The field ``advantage`` is reward less the reference's expected reward of the prompt; below 0 it counts as 0
    (`headstart.language.logged_rewards` estimates it, drops such rows, and gives the priorities that rows are drawn
    with). The clip caps the weight and is not PPO's: there is no pessimistic branch, and the gradient never stops.

    Attributes:
        variant: ``alol``: the ratio of whole completions; ``seq``: of each token; ``ref_free``: 1; ``kl``: 1, and
            kl_coef·log-ratio on the logged rows, which is the same as taking kl_coef off the advantage.
        ratio_clip: ratios are kept in [1 - ratio_clip, 1 + ratio_clip] (theirs 0.9); None is 0.9 for the variants with
            a ratio and 0 for the others.
        kl_coef: of the variant ``kl`` (their beta).
    """

    name = "alol"
    rows = "completion"
    reference = "token"
    fields = ("advantage",)
    learning_rate = 2e-5

    variant: Literal["alol", "ref_free", "seq", "kl"] = "alol"
    ratio_clip: float | None = None
    kl_coef: float = 0.0

    def __post_init__(self) -> None:
        if self.variant not in ("alol", "ref_free", "seq", "kl"):
            raise UsageError(f"variant {self.variant!r} is not known; expected 'alol', 'ref_free', 'seq' or 'kl'")
        if self.ratio_clip is not None and self.ratio_clip < 0:
            raise UsageError(f"ratio_clip is {self.ratio_clip}; it must not be negative")
        if self.kl_coef < 0:
            raise UsageError(f"kl_coef is {self.kl_coef}; it must not be negative")
        if self.kl_coef and (self.ratio_clip or self.variant != "kl"):
            raise UsageError("kl_coef belongs to the variant 'kl' alone, which has no ratio: leave ratio_clip out")
        if self.variant == "kl" and not self.kl_coef:
            raise UsageError("the variant 'kl' needs kl_coef above 0")

    def weight(self, batch: LossBatch) -> Float[Tensor, " row"]:
        """What each row counts for, before the ratio: its advantage if that is positive."""
        return batch.fields["advantage"].clamp(min=0)

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over rows of sums over tokens."""
        scored, weight = batch.completion, self.weight(batch)
        clip = 0.9 if self.ratio_clip is None else self.ratio_clip
        metrics = likelihood_metrics(scored) | {"advantage": weight.mean()}
        if self.variant == "seq":
            if scored.reference is None:
                raise UsageError("the variant 'seq' needs the reference's log-probability of every token")
            ratio = capped_ratio(scored.policy - scored.reference, clip)
            likelihood = (ratio * scored.policy * scored.mask).sum(-1)
            metrics["ratio"] = (ratio * scored.mask).sum() / scored.mask.sum()
        elif self.variant == "alol":
            ratio = capped_ratio(scored.log_ratio(), clip)
            likelihood = ratio * scored.log_probability()
            metrics["ratio"] = ratio.mean()
        else:
            likelihood = scored.log_probability()
        loss = -weight * likelihood
        if self.variant == "kl":
            loss = loss + self.kl_coef * scored.log_ratio()
        return loss.mean(), metrics


@dataclass(frozen=True, kw_only=True)
class RLoL(ALoL):
    """A-LoL with the reward in place of the advantage, and nothing dropped (arXiv:2305.14718, sec. 3.1)."""

    name = "r-lol"
    fields = ("reward",)

    def weight(self, batch: LossBatch) -> Float[Tensor, " row"]:
        """The reward."""
        return batch.fields["reward"]


@dataclass(frozen=True, kw_only=True)
class RGOLD(LanguageMethod):
    """reward·sum of max(pi, floor)·cross-entropy of each token (Pang and He 2021; arXiv:2305.14718, sec. 3.1).

    Attributes:
        floor: least weight of a token, where the policy gives it a lower probability (u; theirs 0.1).
    """

    name = "r-gold"
    rows = "completion"
    reference = "none"
    fields = ("reward",)
    learning_rate = 2e-5

    floor: float = 0.1

    def __post_init__(self) -> None:
        require_positive(self, "floor")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over rows of sums over tokens."""
        scored = batch.completion
        weight = scored.policy.detach().exp().clamp(min=self.floor)
        likelihood = (weight * scored.policy * scored.mask).sum(-1)
        return -(batch.fields["reward"] * likelihood).mean(), likelihood_metrics(scored)
