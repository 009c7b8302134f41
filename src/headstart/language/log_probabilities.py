"""Log-probabilities of completions: one place for every method.

Only positions that predict a token of a completion pass through the output head, a few at a time; sides that answer the
same prompt can share it in one row. Batches are padded on the right, so that causal attention needs no mask for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.encoding import Encoded, TokenBatch, collate
from headstart.core.errors import DataError, UsageError
from headstart.language.method import Scored
from headstart.language.output_head import chunks, picked, recomputed, take_apart, widened
from headstart.language.shared_prompts import Layout, can_share, lay_out, saved_by_sharing


def score(model: Any, batch: TokenBatch, temperature: float = 1.0) -> Scored:
    """Log-probabilities of a batch's completions under a causal language model.

    Args:
        model: a transformers causal language model, or a PEFT adapter on one.
        batch: rows padded on the right.
        temperature: logits are divided by it.

    Returns:
        float32 (or wider), with gradient where it is enabled.

    Raises:
        DataError: a row without prompt, whose first token nothing predicts.
        UsageError: rows padded on the left.
    """
    return score_layout(model, completions_of(batch), temperature)


def score_sides(
    model: Any,
    sides: Mapping[str, Sequence[Encoded]],
    padding: int,
    temperature: float = 1.0,
    share_prompts: bool | None = None,
) -> dict[str, Scored]:
    """Log-probabilities of all sides of some rows in one forward pass.

    Args:
        model: as in `score`.
        sides: completions by side, as many on each.
        padding: id that fills up.
        temperature: logits are divided by it.
        share_prompts: read a prompt once for all sides that answer it, each behind a mask; True wherever the model
            allows it, False never, None where it also saves tokens.
    """
    device = next(model.parameters()).device
    names = list(sides)
    worth = share_prompts is True or (share_prompts is None and saved_by_sharing(list(sides.values())) > 0.1)
    if worth and can_share(model, list(sides.values())):
        found = score_layout(model, lay_out(list(sides.values()), padding, model).to(device), temperature)
    else:
        everything = [row for side in sides.values() for row in side]
        found = score(model, collate(everything, padding).to(device), temperature)
    counts = [len(sides[name]) for name in names]
    policies, masks = found.policy.split(counts), found.mask.split(counts)
    return {name: Scored(policy, mask) for name, policy, mask in zip(names, policies, masks, strict=True)}


def score_pairs(
    model: Any, chosen: Sequence[Encoded], rejected: Sequence[Encoded], padding: int, temperature: float = 1.0
) -> tuple[Scored, Scored]:
    """Log-probabilities of both sides of pairs in one forward pass; see `score_sides`."""
    found = score_sides(model, {"chosen": chosen, "rejected": rejected}, padding, temperature)
    return found["chosen"], found["rejected"]


def completions_of(batch: TokenBatch) -> Layout:
    """Where the tokens of a batch's completions are predicted; raises what `score` does."""
    if not bool(batch.attention[:, 0].all()):
        raise UsageError(
            "the batch is padded on the left; pad it on the right, as headstart.core.encoding.collate does"
        )
    if bool(batch.completion[:, 0].any()):
        row = int(batch.completion[:, 0].long().argmax())
        raise DataError(f"row {row} has an empty prompt, so nothing predicts its first token; start it with one token")
    rows, positions = batch.completion.nonzero(as_tuple=True)
    return Layout(
        ids=batch.ids,
        source=rows * batch.ids.shape[1] + positions - 1,
        targets=batch.ids[rows, positions],
        lengths=batch.completion.sum(-1),
    )


def score_layout(model: Any, layout: Layout, temperature: float = 1.0) -> Scored:
    """Log-probabilities of completions laid out in rows of tokens."""
    hidden, head = predicting_states(model, layout)
    if head is None:
        values = torch.cat(
            [
                recomputed(_picked, hidden[part], layout.targets[part], temperature)
                for part in chunks(len(hidden), hidden.shape[-1])
            ]
        )
    else:
        values = head.log_probabilities(hidden, layout.targets, temperature)
    return spread(values, layout.lengths)


def predicting_states(model: Any, layout: Layout) -> tuple[Float[Tensor, "token width"], Any]:
    """Last hidden states that predict the completions' tokens, and the output head; or their logits and None."""
    parts = take_apart(model)
    inputs = {"input_ids": layout.ids, "use_cache": False} | layout.attention()
    if parts is None:
        logits = model(**inputs).logits[:, -layout.ids.shape[1] :]  # behind virtual tokens, if there are any
        return logits.flatten(0, 1).index_select(0, layout.source), None
    states = parts.backbone(**inputs).last_hidden_state
    return states.flatten(0, 1).index_select(0, layout.source), parts.head


def spread(values: Float[Tensor, " token"], lengths: Int[Tensor, " row"]) -> Scored:
    """Values of tokens in the order of rows, as a row each from column 0 on."""
    mask = torch.arange(int(lengths.max()), device=values.device)[None] < lengths[:, None]
    return Scored(values.new_zeros(mask.shape).masked_scatter(mask, values), mask)


def _picked(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    return picked(widened(logits) / temperature, targets)
