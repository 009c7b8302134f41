"""Several completions of one prompt in one row: the prompt is read once, and no completion sees another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from headstart.core.encoding import Encoded


@dataclass(frozen=True)
class Layout:
    """Rows of tokens as the model reads them, and where in them each token of each completion is predicted.

    Attributes:
        ids: tokens, padded on the right.
        source: for each token of the completions, in order, its predecessor's index in ``ids`` read row after row.
        targets: those tokens.
        lengths: tokens of each completion.
        positions: place of each token in its text; None counts from 0 in each row.
        attends: whether a token (first) sees another (second); None sees all before it.
        additive: whether the model's attention wants the mask as numbers to add.
    """

    ids: Int[Tensor, "row position"]
    source: Int[Tensor, " token"]
    targets: Int[Tensor, " token"]
    lengths: Int[Tensor, " completion"]
    positions: Int[Tensor, "row position"] | None = None
    attends: Bool[Tensor, "row 1 position position"] | None = None
    additive: torch.dtype | None = None

    def attention(self) -> dict[str, Tensor]:
        """Arguments to the model beside the tokens."""
        if self.attends is None or self.positions is None:
            return {}
        mask = self.attends
        if self.additive is not None:
            hidden = torch.finfo(self.additive).min
            mask = torch.zeros(mask.shape, dtype=self.additive, device=mask.device).masked_fill(~mask, hidden)
        return {"attention_mask": mask, "position_ids": self.positions}

    def to(self, device: torch.device | str) -> Layout:
        """The layout on a device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def saved_by_sharing(sides: Sequence[Sequence[Encoded]]) -> float:
    """Share of the tokens, padding included, that need not be read if sides share their prompts."""
    everything = [row for side in sides for row in side]
    apart = len(everything) * max(len(row.prompt) + len(row.completion) for row in everything)
    together = len(sides[0]) * max(
        len(rows[0].prompt) + sum(len(row.completion) for row in rows) for rows in zip(*sides)
    )
    return 1 - together / apart


def can_share(model: Any, sides: Sequence[Sequence[Encoded]]) -> bool:
    """Whether rows have one prompt on all sides, and the model's attention takes any mask over so many tokens."""
    if any(not rows[0].prompt or any(row.prompt != rows[0].prompt for row in rows) for rows in zip(*sides)):
        return False
    config = model.config.get_text_config()
    if getattr(config, "_attn_implementation", None) not in ("sdpa", "eager"):
        return False
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    longest = max(len(rows[0].prompt) + sum(len(row.completion) for row in rows) for rows in zip(*sides))
    if window is not None and ("sliding_attention" in kinds or not kinds) and longest > window:
        return False
    rotary = hasattr(config, "rope_parameters") or hasattr(config, "rope_theta")
    return rotary and kinds <= {"full_attention", "sliding_attention"}


def lay_out(sides: Sequence[Sequence[Encoded]], padding: int, model: Any) -> Layout:
    """Rows of a prompt and all sides' completions; completions are numbered side after side."""
    groups = list(zip(*sides))
    width = max(len(rows[0].prompt) + sum(len(row.completion) for row in rows) for rows in groups)
    ids = torch.full((len(groups), width), padding, dtype=torch.long)
    positions = torch.zeros((len(groups), width), dtype=torch.long)
    segments = torch.full((len(groups), width), len(sides) + 1, dtype=torch.long)
    sources: dict[tuple[int, int], Tensor] = {}
    for i, rows in enumerate(groups):
        start = begin = len(rows[0].prompt)
        ids[i, :start] = torch.tensor(rows[0].prompt)
        positions[i, :start] = torch.arange(start)
        segments[i, :start] = 0
        for side, row in enumerate(rows):
            end = begin + len(row.completion)
            ids[i, begin:end] = torch.tensor(row.completion)
            positions[i, begin:end] = torch.arange(start, start + end - begin)
            segments[i, begin:end] = side + 1
            before = torch.arange(begin - 1, end - 1)
            before[0] = start - 1
            sources[side, i] = before + i * width
            begin = end
    order = sorted(sources)
    source = torch.cat([sources[key] for key in order])
    completions = [torch.tensor(row.completion) for side in sides for row in side]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    seen = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
    eager = model.config.get_text_config()._attn_implementation == "eager"
    return Layout(
        ids=ids,
        source=source,
        targets=torch.cat(completions),
        lengths=torch.tensor([len(completion) for completion in completions]),
        positions=positions,
        attends=(seen & causal)[:, None],
        additive=next(model.parameters()).dtype if eager else None,
    )
