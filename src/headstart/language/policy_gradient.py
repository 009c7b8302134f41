"""Policy gradients on generated tokens: PPO's clipped objective, and REINFORCE with advantages of whole completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.encoded_rows import EncodedRow
from headstart.language.method import LanguageMethod, Loss, LossBatch
from headstart.language.pairs import require_positive
from headstart.language.sft import MEAN_LENGTH

DRAWN = "mean_drawn"
"""Field that tells a part of a batch how many tokens of a row were drawn, on average over the whole batch."""


def masked_mean(
    values: Float[Tensor, "row token"], mask: Bool[Tensor, "row token"], count: Float[Tensor, " row"] | None = None
) -> Float[Tensor, ""]:
    """Mean over counted positions; 0, with gradient 0, if there are none.

    Args:
        values: a number of each token.
        mask: whether it counts.
        count: how many do a row, on average over the batch of which these rows are a part; if not given, the rows are
            the batch.
    """
    total = torch.where(mask, values, 0.0).sum()
    return total / (mask.sum().clamp(min=1) if count is None else count.sum())


def clipped_policy_loss(
    log_policy: Float[Tensor, "*part"],
    log_behavior: Float[Tensor, "*part"],
    advantages: Float[Tensor, "*part"],
    clip: float,
) -> Float[Tensor, "*part"]:
    """max(-A·r, -A·clamp(r, 1-clip, 1+clip)) of each token or row, r = pi/behaviour (Schulman et al. 2017, eq. 7)."""
    ratio = torch.exp(log_policy - log_behavior)
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def clipped_value_loss(
    values: Float[Tensor, "row token"],
    old_values: Float[Tensor, "row token"],
    returns: Float[Tensor, "row token"],
    clip: float,
) -> Float[Tensor, "row token"]:
    """Half the larger squared error of each token's value, as it is and kept within ``clip`` of the old one."""
    near = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2)


def generated(batch: LossBatch) -> Bool[Tensor, "row token"]:
    """Tokens of the completions that the policy drew itself: all but the first ``forced`` ones (a field; 0 without)."""
    mask = batch.completion.mask
    if "forced" not in batch.fields:
        return mask
    columns = torch.arange(mask.shape[1], device=mask.device)
    return mask & (columns >= batch.fields["forced"].long()[:, None])


def per_token(values: Tensor, like: Float[Tensor, "row token"]) -> Float[Tensor, "row token"]:
    """A number of each row or of each token, as one of each token."""
    return (values[:, None] if values.dim() == 1 else values).expand_as(like)


@dataclass(frozen=True, kw_only=True)
class PPO(LanguageMethod):
    """Proximal policy optimisation of the tokens that the policy drew (Schulman et al. 2017, arXiv:1707.06347).

    Fields: ``advantage`` (of each row or token) and ``behavior``, the log-probability of each token when it was drawn
    ``[row, token]``; with a critic also ``value`` (with gradient), ``old_value`` and ``return`` ``[row, token]``; with
    roll-ins ``forced``, how many leading tokens of each row were given: they get no gradient of the policy.

    Attributes:
        clip: how far the ratio counts from 1 (0.2).
        value_coef: weight of the critic's loss (0.1, as in Chang et al. 2024, arXiv:2404.08495).
        value_clip: how far a value counts from the old one.
        mask_forced: leave forced tokens out of the critic's loss too.
    """

    name = "ppo"
    rows = "completion"
    reference = "none"
    fields = ("advantage", "behavior")
    optional_fields = ("forced", "value", "old_value", "return")
    learning_rate = 3e-6

    clip: float = 0.2
    value_coef: float = 0.1
    value_clip: float = 0.2
    mask_forced: bool = True

    def __post_init__(self) -> None:
        require_positive(self, "clip", "value_clip")

    def batch_means(self, rows: Sequence[EncodedRow]) -> dict[str, float]:
        """Tokens of a completion, and those of them that were drawn."""
        lengths = [len(row.sides["completion"].completion) for row in rows]
        forced = [np.sum(row.fields.get("forced", 0.0)) for row in rows]
        drawn = max(1.0, float(np.sum(lengths) - np.sum(forced)))
        return {MEAN_LENGTH: float(np.mean(lengths)), DRAWN: drawn / len(rows)}

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over the tokens drawn; 0 if there are none."""
        scored, mask = batch.completion, generated(batch)
        behavior = batch.fields["behavior"].detach()
        if behavior.shape != scored.policy.shape:
            raise UsageError(f"behavior is of shape {list(behavior.shape)}; expected {list(scored.policy.shape)}")
        advantage = per_token(batch.fields["advantage"].detach(), scored.policy)
        drawn = batch.fields.get(DRAWN)
        loss = masked_mean(clipped_policy_loss(scored.policy, behavior, advantage, self.clip), mask, drawn)
        change = (scored.policy - behavior).detach()
        metrics = {
            "loss/policy": loss.detach(),
            "kl/behavior": masked_mean(torch.expm1(change) - change, mask),
            "clipped": masked_mean(((change.exp() - 1).abs() > self.clip).float(), mask),
        }
        if "value" in batch.fields:
            value, old, returns = (batch.fields[name] for name in ("value", "old_value", "return"))
            counted, count = (mask, drawn) if self.mask_forced else (scored.mask, batch.fields.get(MEAN_LENGTH))
            error = clipped_value_loss(value, old.detach(), returns.detach(), self.value_clip)
            critic = masked_mean(error, counted, count)
            metrics["loss/value"] = critic.detach()
            loss = loss + self.value_coef * critic
        return loss, metrics


@dataclass(frozen=True, kw_only=True)
class REINFORCE(LanguageMethod):
    """-advantage·log pi(drawn tokens), the sum over a completion (Ahmadian et al. 2024, arXiv:2402.14740).

    Fields: ``advantage`` of each row (`headstart.language.advantages.leave_one_out` of the rewards, the KL penalty
    among them, makes it RLOO) and, with roll-ins, ``forced``. With ``behavior`` ``[row, token]``, log-probabilities at
    the time of drawing, the ratio of whole completions takes the place of log pi and is clipped as in PPO: the same
    gradient where nothing has changed since, and right for a few steps on the same completions.

    Attributes:
        clip: how far the ratio counts from 1, when there is ``behavior``.
    """

    name = "rloo"
    rows = "completion"
    reference = "none"
    fields = ("advantage",)
    optional_fields = ("forced", "behavior")
    learning_rate = 1e-6

    clip: float = 0.2

    def __post_init__(self) -> None:
        require_positive(self, "clip")

    def loss(self, batch: LossBatch) -> Loss:
        """Mean over rows."""
        scored, mask = batch.completion, generated(batch)
        advantage = batch.fields["advantage"].detach()
        drawn = torch.where(mask, scored.policy, 0.0).sum(-1)
        metrics = {"advantage": advantage.mean(), "tokens/drawn": mask.sum(-1).float().mean()}
        if "behavior" not in batch.fields:
            return -(advantage * drawn).mean(), metrics
        behavior = torch.where(mask, batch.fields["behavior"].detach(), 0.0).sum(-1)
        return clipped_policy_loss(drawn, behavior, advantage, self.clip).mean(), metrics
