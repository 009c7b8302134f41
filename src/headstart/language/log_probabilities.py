"""Log-probabilities of completions: one place for every method."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headstart.core.encoding import TokenBatch
from headstart.language.method import Scored


def token_log_probabilities(model: Any, batch: TokenBatch, temperature: float = 1.0) -> Float[Tensor, "row position"]:
    """Log-probability of each token given what stands before it; column t is of the token at position t + 1."""
    logits = model(input_ids=batch.ids, attention_mask=batch.attention.long(), use_cache=False).logits[:, :-1]
    picked = batch.ids[:, 1:]
    log_softmax = torch.log_softmax(logits.float() / temperature, dim=-1)
    return log_softmax.gather(-1, picked.unsqueeze(-1)).squeeze(-1)


def completions_alone(
    values: Float[Tensor, "row position"], mask: Bool[Tensor, "row position"]
) -> tuple[Float[Tensor, "row token"], Bool[Tensor, "row token"]]:
    """Shift each row left so that its first counted position is column 0; cut to the longest row."""
    start = mask.long().argmax(-1)
    longest = int(mask.sum(-1).max())
    columns = start[:, None] + torch.arange(longest, device=values.device)[None]
    inside = columns < mask.shape[1]
    columns = columns.clamp(max=mask.shape[1] - 1)
    kept = mask.gather(-1, columns) & inside
    return torch.where(kept, values.gather(-1, columns), 0.0), kept


def score(model: Any, batch: TokenBatch, temperature: float = 1.0) -> Scored:
    """Log-probabilities of a batch's completions under a causal language model."""
    values, mask = completions_alone(token_log_probabilities(model, batch, temperature), batch.completion[:, 1:])
    return Scored(values, mask)
