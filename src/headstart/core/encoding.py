"""Prompts and completions as token ids: tokenised apart and joined as ids, so that what is scored is what was written.

A completion ends in the end-of-sequence token exactly once, unless it was truncated; a prompt that is too long loses
its left side and a completion its right side, and both are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from headstart.core.errors import DataError, UsageError

Message = Mapping[str, str]
Text = str | Sequence[Message]
"""Plain text, or chat messages with ``role`` and ``content``."""


class Encoded(NamedTuple):
    """One prompt with one completion, as ids.

    Attributes:
        prompt: ids of the prompt, special tokens of the tokenizer or chat template included.
        completion: ids of the completion, the end-of-sequence token included unless it was truncated.
        truncated: whether the completion stops before its end.
    """

    prompt: list[int]
    completion: list[int]
    truncated: bool = False


class TokenBatch(NamedTuple):
    """Encoded rows padded on the right to one length.

    Attributes:
        ids: prompt then completion then padding.
        attention: whether a position holds a token.
        completion: whether a position holds a token of the completion.
    """

    ids: Int[Tensor, "row position"]
    attention: Bool[Tensor, "row position"]
    completion: Bool[Tensor, "row position"]

    def to(self, device: torch.device | str) -> TokenBatch:
        """The batch on a device."""
        return TokenBatch(*(part.to(device) for part in self))


@dataclass
class Truncations:
    """How much had to be cut off.

    Attributes:
        prompts: prompts that lost their left side.
        completions: completions that lost their right side.
        rows: prompts and completions seen.
    """

    prompts: int = 0
    completions: int = 0
    rows: int = 0

    def __str__(self) -> str:
        return (
            f"of {self.rows} rows, {self.prompts} prompts cut on the left, {self.completions} completions on the right"
        )


class Encoder:
    """Turns text into ids for one tokenizer, and keeps count of what it had to cut.

    Args:
        tokenizer: a Hugging Face tokenizer with an end-of-sequence token.
        max_prompt_tokens: longest prompt kept, in tokens; None keeps all.
        max_completion_tokens: longest completion kept, in tokens, its end-of-sequence token included; None keeps all.

    Raises:
        UsageError: the tokenizer has no end-of-sequence token.
    """

    def __init__(self, tokenizer: Any, max_prompt_tokens: int | None = None, max_completion_tokens: int | None = None):
        if tokenizer.eos_token_id is None:
            raise UsageError(
                "the tokenizer has no end-of-sequence token, so no completion could end; set tokenizer.eos_token to one"
                " of its tokens"
            )
        self.tokenizer = tokenizer
        self.max_prompt_tokens = max_prompt_tokens
        self.max_completion_tokens = max_completion_tokens
        self.truncations = Truncations()

    @property
    def end(self) -> int:
        """Id of the end-of-sequence token."""
        return int(self.tokenizer.eos_token_id)

    @property
    def padding(self) -> int:
        """Id that fills up a batch; it is masked everywhere, so a tokenizer without one pads with its end token."""
        pad = self.tokenizer.pad_token_id
        return self.end if pad is None else int(pad)

    def encode_prompt(self, prompt: Text) -> list[int]:
        """Ids of a prompt: plain text with the tokenizer's own special tokens at its start, or chat messages through
        the chat template with the assistant's turn opened; cut on the left if too long.

        Raises:
            DataError: messages, and a tokenizer without a chat template.
        """
        if isinstance(prompt, str):
            ids = list(self.tokenizer(prompt, add_special_tokens=True)["input_ids"])
            if ids and ids[-1] == self.end:  # some tokenizers close every text
                ids = ids[:-1]
        else:
            text = self._templated(prompt, add_generation_prompt=True)
            ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        limit = self.max_prompt_tokens
        if limit is not None and len(ids) > limit:
            self.truncations.prompts += 1
            ids = ids[-limit:]
        return ids

    def encode(
        self, prompt: Text, completion: Text, completion_ids: Sequence[int] | None = None, truncated: bool = False
    ) -> Encoded:
        """A row as ids.

        Args:
            prompt: what comes before.
            completion: what was answered, without the end-of-sequence token.
            completion_ids: the very ids that were generated, if they are known; then the text is not tokenised.
            truncated: whether the completion was cut before its end; then no end is appended.

        Raises:
            DataError: a chat template that rewrites the prompt when an answer follows, or an empty completion.
        """
        self.truncations.rows += 1
        start = self.encode_prompt(prompt)
        if completion_ids is not None:
            ids = list(completion_ids)
        else:
            text = completion if isinstance(completion, str) else self._answer(prompt, completion)
            ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            while ids and ids[-1] == self.end:
                ids.pop()
            if not truncated:
                ids.append(self.end)
        if not ids:
            raise DataError(f"an empty completion that is said to be truncated, for the prompt {_short(prompt)}")
        limit = self.max_completion_tokens
        if limit is not None and len(ids) > limit:
            self.truncations.completions += 1
            ids, truncated = ids[:limit], True
        return Encoded(start, ids, truncated)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a completion's ids, without special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def _answer(self, prompt: Text, completion: Sequence[Message]) -> str:
        if isinstance(prompt, str):
            raise DataError(f"the completion is chat messages and the prompt plain text: {_short(prompt)}")
        before = self._templated(prompt, add_generation_prompt=True)
        whole = self._templated([*prompt, *completion], add_generation_prompt=False)
        if not whole.startswith(before):
            raise DataError(
                "the chat template writes the prompt differently when an answer follows; give such rows as plain text"
            )
        text = whole[len(before) :].rstrip("\n")
        return text.removesuffix(self.tokenizer.eos_token)

    def _templated(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        if getattr(self.tokenizer, "chat_template", None) is None:
            raise DataError(
                "the rows are chat messages and the tokenizer has no chat template; set tokenizer.chat_template,"
                " or give plain text"
            )
        return self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )


def collate(rows: Sequence[Encoded], padding: int) -> TokenBatch:
    """Rows side by side, padded on the right with ``padding``."""
    longest = max(len(row.prompt) + len(row.completion) for row in rows)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    attention = torch.zeros((len(rows), longest), dtype=torch.bool)
    completion = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, row in enumerate(rows):
        start, end = len(row.prompt), len(row.prompt) + len(row.completion)
        ids[i, :end] = torch.tensor(row.prompt + row.completion)
        attention[i, :end] = True
        completion[i, start:end] = True
    return TokenBatch(ids, attention, completion)


def _short(text: Text) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
