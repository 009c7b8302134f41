"""Log-probabilities of completions: one place for every method.

Only positions that predict a token of a completion pass through the output head, a few at a time; sides that answer the
same prompt can share it, and several rows be packed in a line. Padding is on the right, so that causal attention needs
no mask for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.encoding import Encoded, TokenBatch, collate
from headstart.core.errors import DataError, UsageError
from headstart.language.layout import (
    Layout,
    filled_lines,
    grouped,
    lay_out,
    saved_by_sharing,
    shares_prompts,
    takes_masks,
    takes_packed_lines,
)
from headstart.language.method import Scored
from headstart.language.output_head import chunks, picked, recomputed, take_apart, widened


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
    packing: bool = False,
) -> dict[str, Scored]:
    """Log-probabilities of all sides of some rows in one forward pass.

    Args:
        model: as in `score`.
        sides: completions by side, as many on each.
        padding: id that fills up.
        temperature: logits are divided by it.
        share_prompts: read a prompt once for all sides that answer it, each behind a mask; True wherever the model
            allows it, False never, None where it also saves tokens.
        packing: put several rows in a line wherever the model allows it, so that next to nothing is padding.
    """
    rows = list(sides.values())
    layout = _layout(model, rows, padding, share_prompts, packing)
    if layout is None:
        everything = [row for side in rows for row in side]
        layout = completions_of(collate(everything, padding))
    found = score_layout(model, layout.to(next(model.parameters()).device), temperature)
    counts = [len(side) for side in rows]
    policies, masks = found.policy.split(counts), found.mask.split(counts)
    return {name: Scored(policy, mask) for name, policy, mask in zip(sides, policies, masks, strict=True)}


def _layout(
    model: Any, sides: list[Sequence[Encoded]], padding: int, share_prompts: bool | None, packing: bool
) -> Layout | None:
    """Shared or packed lines; None where the rows are better, or can only be, read one a line."""
    if not all(row.prompt for side in sides for row in side):
        return None
    apart = grouped(sides, together=False)
    if packing and takes_packed_lines(model):
        return lay_out([apart], padding, model, masked=False)
    worth = share_prompts is True or (share_prompts is None and (packing or saved_by_sharing(sides) > 0.1))
    if worth and shares_prompts(sides):
        shared = grouped(sides, together=True)
        if takes_masks(model, shared):
            return lay_out(filled_lines(shared) if packing else [[group] for group in shared], padding, model)
    if packing and takes_masks(model, apart):
        return lay_out(filled_lines(apart), padding, model)
    return None


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
