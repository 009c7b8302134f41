"""How rows are put before a model: one a line behind padding, sides that share a prompt, or several packed in a line.

Behind a mask, or by places that begin anew, no completion sees another and no row its neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from headstart.core.encoding import Encoded

Group = list[tuple[int, Encoded]]
"""Completions of one prompt, which is read once for them, each with its number among all completions."""


@dataclass(frozen=True)
class Layout:
    """Lines of tokens as the model reads them, and where in them each token of each completion is predicted.

    Attributes:
        ids: tokens, padded on the right.
        source: for each token of the completions, in order, its predecessor's index in ``ids`` read line after line.
        targets: those tokens.
        lengths: tokens of each completion.
        positions: place of each token in its text; None counts from 0 in each line.
        attends: whether a token (first) sees another (second); None sees all before it, from where its places begin.
        additive: whether the model's attention wants the mask as numbers to add.
    """

    ids: Int[Tensor, "line position"]
    source: Int[Tensor, " token"]
    targets: Int[Tensor, " token"]
    lengths: Int[Tensor, " completion"]
    positions: Int[Tensor, "line position"] | None = None
    attends: Bool[Tensor, "line 1 position position"] | None = None
    additive: torch.dtype | None = None

    def attention(self) -> dict[str, Tensor]:
        """Arguments to the model beside the tokens."""
        if self.positions is None:
            return {}
        if self.attends is None:
            return {"position_ids": self.positions}
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


def shares_prompts(sides: Sequence[Sequence[Encoded]]) -> bool:
    """Whether every row has one prompt, not empty, on all sides."""
    return all(rows[0].prompt and all(row.prompt == rows[0].prompt for row in rows) for rows in zip(*sides))


def takes_masks(model: Any, groups: Sequence[Group]) -> bool:
    """Whether the model's attention takes any mask over such groups."""
    config = model.config.get_text_config()
    if getattr(config, "_attn_implementation", None) not in ("sdpa", "eager") or _has_virtual_tokens(model):
        return False
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    if window is not None and ("sliding_attention" in kinds or not kinds) and max(map(_length, groups)) > window:
        return False
    rotary = hasattr(config, "rope_parameters") or hasattr(config, "rope_theta")
    return rotary and kinds <= {"full_attention", "sliding_attention"}


def takes_packed_lines(model: Any) -> bool:
    """Whether the model's attention tells the rows of one line apart by their places (the flash kernels do)."""
    kind = getattr(model.config.get_text_config(), "_attn_implementation", None) or ""
    return kind.startswith("flash_attention") and not _has_virtual_tokens(model)


def grouped(sides: Sequence[Sequence[Encoded]], together: bool) -> list[Group]:
    """Completions, numbered side after side, with those of one prompt together or each alone."""
    numbers = [[(side * len(rows) + i, row) for i, row in enumerate(rows)] for side, rows in enumerate(sides)]
    return [list(group) for group in zip(*numbers)] if together else [[one] for side in numbers for one in side]


def filled_lines(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups in as few lines of the longest group's length as the first that has room gives, the longest first."""
    longest_first = sorted(groups, key=_length, reverse=True)
    lines: list[list[Group]] = []
    room: list[int] = []
    for group in longest_first:
        place = next((line for line, left in enumerate(room) if left >= _length(group)), None)
        if place is None:
            lines.append([])
            room.append(_length(longest_first[0]))
            place = -1
        lines[place].append(group)
        room[place] -= _length(group)
    return lines


def lay_out(lines: Sequence[Sequence[Group]], padding: int, model: Any, masked: bool = True) -> Layout:
    """Lines of groups: of each group the prompt, then its completions.

    Args:
        lines: the groups of each line.
        padding: id that fills up.
        model: whose attention the mask is made for.
        masked: False leaves rows to be told apart by their places; then no group has two completions.
    """
    width = max(sum(map(_length, line)) for line in lines)
    ids = torch.full((len(lines), width), padding, dtype=torch.long)
    positions = torch.zeros((len(lines), width), dtype=torch.long)
    owner = torch.full((len(lines), width), -1, dtype=torch.long)  # whose prompt and completions a token is among
    segments = torch.zeros((len(lines), width), dtype=torch.long)  # 0 in prompts
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for i, line in enumerate(lines):
        begin = 0
        for number, group in enumerate(line):
            prompt = group[0][1].prompt
            first, start = begin, begin + len(prompt)
            ids[i, begin:start] = torch.tensor(prompt)
            positions[i, begin:start] = torch.arange(len(prompt))
            begin = start
            for name, row in group:
                end = begin + len(row.completion)
                targets = torch.tensor(row.completion)
                ids[i, begin:end] = targets
                positions[i, begin:end] = torch.arange(len(prompt), len(prompt) + end - begin)
                segments[i, begin:end] = name + 1
                before = torch.arange(begin - 1, end - 1)
                before[0] = start - 1
                found[name] = before + i * width, targets
                begin = end
            owner[i, first:begin] = number
    order = [found[name] for name in sorted(found)]
    attends = None
    if masked:
        causal = torch.ones(width, width, dtype=torch.bool).tril()
        seen = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
        attends = (seen & (owner[:, None, :] == owner[:, :, None]) & causal)[:, None]
    eager = model.config.get_text_config()._attn_implementation == "eager"
    return Layout(
        ids=ids,
        source=torch.cat([source for source, _ in order]),
        targets=torch.cat([targets for _, targets in order]),
        lengths=torch.tensor([len(targets) for _, targets in order]),
        positions=positions,
        attends=attends,
        additive=next(model.parameters()).dtype if eager else None,
    )


def _length(group: Group) -> int:
    return len(group[0][1].prompt) + sum(len(row.completion) for _, row in group)


def _has_virtual_tokens(model: Any) -> bool:
    return any(getattr(adapter, "is_prompt_learning", False) for adapter in getattr(model, "peft_config", {}).values())
