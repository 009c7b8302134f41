"""A policy and its critic that learn together: PPO with values and generalised advantages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headstart.core.encoding import Encoder
from headstart.core.errors import UsageError
from headstart.language.advantages import generalized_advantages, token_rewards, whiten
from headstart.language.critic import make_critic
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.method import LanguageMethod, LossBatch
from headstart.language.policy_gradient import PPO
from headstart.language.processes import processes
from headstart.language.settings import Training

if TYPE_CHECKING:
    from headstart.language.online_plan import Online

TOKENS_AT_ONCE = 8192


class ActorCritic(Learner):
    """A learner whose batches also carry a critic's values; one optimiser trains both networks.

    Args:
        critic: what the critic begins as: ``policy``, or the folder of a reward model.
        model: as for ``Learner``, like everything else.

    Raises:
        UsageError: weights are to be divided among processes.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        method: LanguageMethod,
        training: Training,
        total_steps: int,
        keep_reference: bool = False,
        critic: str = "policy",
    ):
        if processes().sharded:
            raise UsageError("a critic's weights cannot be divided among processes: train without --shard, or by rloo")
        made = make_critic(model, tokenizer, Encoder(tokenizer).padding, critic, training.lora_rank)
        if training.gradient_checkpointing:
            made.body.gradient_checkpointing_enable()
            made.body.enable_input_require_grads()
        self.critic = processes().placed(made)
        super().__init__(model, tokenizer, method, training, total_steps, keep_reference)

    def values(self, rows: Sequence[EncodedRow]) -> list[list[float]]:
        """What the critic expects before each token of each row's completion."""
        mine = self.processes.share([row.sides["completion"] for row in rows])
        found: list[list[float]] = []
        with torch.no_grad():
            start = 0
            while start < len(mine):
                longest = max(len(row.prompt) + len(row.completion) for row in mine[start:])
                part = mine[start : start + max(1, TOKENS_AT_ONCE // longest)]
                found += [
                    held[: len(row.completion)] for held, row in zip(self.critic(part).tolist(), part, strict=True)
                ]
                start += len(part)
        return self.processes.together(found)

    def trained_weights(self) -> dict[str, Tensor]:
        """What the optimiser changes, by name, the critic's too."""
        own = {f"critic.{name}": weight for name, weight in self.critic.named_parameters() if weight.requires_grad}
        return super().trained_weights() | own

    def _networks(self) -> list[torch.nn.Module]:
        return [*super()._networks(), self.critic]

    def _loss_batch(self, rows: Sequence[EncodedRow]) -> LossBatch:
        batch = super()._loss_batch(rows)
        values = self.critic([row.sides["completion"] for row in rows])
        return replace(batch, fields={**batch.fields, "value": values})


def with_advantages(
    rows: Sequence[EncodedRow], scores: Sequence[float], learner: Learner, plan: Online
) -> list[EncodedRow]:
    """Rows with what PPO learns from: generalised advantages, whitened over all of them, values and returns.

    A token costs ``plan.reward_kl`` a nat of its log-ratio to the reference; the score comes with the last one. Where
    the method's ``mask_forced`` is set nothing of forced tokens counts, as if they belonged to the prompt.

    Args:
        rows: with the fields ``behavior`` and ``forced``, and the reference's log-probabilities if leaving it costs.
        scores: of each completion.
        learner: the policy and its critic.
        plan: discount, lambda and whitening.

    Raises:
        UsageError: the learner has no critic, or its method learns from none.
    """
    if not isinstance(learner, ActorCritic) or not isinstance(learner.method, PPO):
        raise UsageError(f"advantages by a critic are for ppo, trained by an ActorCritic; given {learner.method.name}")
    values, behavior = _padded(learner.values(rows)), _padded([_list(row.fields["behavior"]) for row in rows])
    reference = _padded([row.reference["completion"] for row in rows]) if plan.reward_kl else behavior
    lengths = torch.tensor([len(row.sides["completion"].completion) for row in rows])
    forced = torch.tensor([row.fields.get("forced", 0.0) for row in rows])
    columns = torch.arange(values.shape[1])
    counted: Bool[Tensor, "row token"] = columns < lengths[:, None]
    if learner.method.mask_forced:
        counted = counted & (columns >= forced[:, None])
    score = torch.tensor(scores, dtype=torch.float64)
    rewards = token_rewards(score, behavior, reference, counted, plan.reward_kl)
    if plan.whiten_rewards:
        rewards = whiten(rewards, counted, shift_mean=False)
    advantages, returns = generalized_advantages(rewards, values, counted, plan.discount, plan.gae_lambda)
    parts = {"advantage": whiten(advantages, counted), "old_value": values, "return": returns}
    found = []
    for i, (row, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        own = {name: part[i, :length].tolist() for name, part in parts.items()}
        found.append(replace(row, fields={**row.fields, **own}))
    return found


def _list(values: float | list[float]) -> list[float]:
    return values if isinstance(values, list) else [values]


def _padded(values: Sequence[Sequence[float]]) -> Float[Tensor, "row token"]:
    longest = max(map(len, values))
    return torch.tensor([[*row, *[0.0] * (longest - len(row))] for row in values], dtype=torch.float64)
