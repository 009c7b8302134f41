"""A pairwise preference model: a language model that reads two answers and says A or B (Dong et al. 2024, Section 2.2).

The chance of A among A and B is the chance that the first is preferred. Each pair is read in both orders.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.causal_models import check_tokens_fit, context_length, load_model, save_model
from headstart.core.encoding import Encoded, Encoder, Text, TokenBatch, collate
from headstart.core.errors import CheckpointError, UsageError
from headstart.core.files import read_json, write_json
from headstart.evaluate.tournament import Knockout, both_orders, knockout, play
from headstart.judges.judge import Columns
from headstart.judges.position_bias import warn_of_position_bias

FORMAT_FILE = "preference_format.json"


@dataclass(frozen=True)
class PairFormat:
    """How a pair is written down.

    Attributes:
        context: before the prompt.
        first: before the first answer.
        second: before the second answer.
        verdict: after it, before the label.
        labels: single tokens that say which one is preferred.
    """

    context: str = "[CONTEXT]\n"
    first: str = "\n[RESPONSE A]\n"
    second: str = "\n[RESPONSE B]\n"
    verdict: str = "\n[PREFERRED]\n"
    labels: tuple[str, str] = ("A", "B")

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))


class PreferenceModel:
    """Says which of two completions is preferred.

    Args:
        model: a causal language model that was trained to answer with a label.
        tokenizer: its tokenizer.
        pair_format: how a pair is written down.
        batch_size: texts read at a time.

    Raises:
        UsageError: the tokenizer cannot write a part of the format, or a label is not one token.
    """

    averages_orders = True

    def __init__(self, model: Any, tokenizer: Any, pair_format: PairFormat | None = None, batch_size: int = 8):
        check_tokens_fit(model, tokenizer)
        self.model, self.format, self.batch_size = model, pair_format or PairFormat(), batch_size
        self.encoder = Encoder(tokenizer)
        missing = _missing(tokenizer, self.format)
        if missing:
            raise UsageError(
                f"the tokenizer has no words for {', '.join(map(repr, missing))}, or not one token for a label; use"
                " PreferenceModel.from_causal_lm, which adds them, or another PairFormat"
            )
        parts = (self.format.context, self.format.first, self.format.second, self.format.verdict)
        self._marks = [self._ids(part) for part in parts]
        self.labels = torch.tensor([self._ids(label)[0] for label in self.format.labels])
        self.truncated = 0

    @classmethod
    def from_causal_lm(
        cls, model: Any, tokenizer: Any, pair_format: PairFormat | None = None, seed: int = 0
    ) -> PreferenceModel:
        """A preference model still to be trained. Parts of the format that the tokenizer cannot write are added to a
        copy of it as new tokens, and the model's embeddings grow.

        Args:
            model: any causal language model; it is changed in place.
            tokenizer: its tokenizer.
            pair_format: how a pair is written down.
            seed: of the new embeddings.
        """
        if hasattr(model, "get_base_model"):
            raise UsageError("the model is an adapter; merge it first: model = model.merge_and_unload()")
        pair_format = pair_format or PairFormat()
        missing = _missing(tokenizer, pair_format)
        if missing:
            tokenizer = copy.deepcopy(tokenizer)
            tokenizer.add_tokens(missing)
            if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        return cls(model, tokenizer, pair_format)

    def encode(self, prompt: Text, first: Text, second: Text) -> list[int]:
        """Ids of a pair, up to where the label follows. Where they do not fit the context, the prompt loses its left
        side and then both answers their right side, which ``truncated`` counts.
        """
        context = self.encoder.encode_prompt(prompt)
        answers = [self.encoder.encode(prompt, text).completion[:-1] for text in (first, second)]
        limit = context_length(self.model)
        if limit is not None:
            room = limit - 1 - sum(map(len, self._marks))
            over = len(context) + sum(map(len, answers)) - room
            if over > 0:
                self.truncated += 1
                context = context[over:] if over < len(context) else []
                answers = [ids[: max(room // 2, room - len(other))] for ids, other in zip(answers, answers[::-1])]
        parts = (self._marks[0], context, self._marks[1], answers[0], self._marks[2], answers[1], self._marks[3])
        return [token for part in parts for token in part]

    def logits(self, texts: Sequence[Sequence[int]]) -> Float[Tensor, "text word"]:
        """Logits of what follows each text, in float32; they carry the gradient."""
        batch: TokenBatch = collate([Encoded(list(ids), []) for ids in texts], self.encoder.padding)
        batch = batch.to(next(self.model.parameters()).device)
        last = batch.attention.sum(-1) - 1
        rows = torch.arange(len(last), device=last.device)
        if "logits_to_keep" in inspect.signature(self.model.forward).parameters:
            kept, column = torch.unique(last, return_inverse=True)
            options = {"logits_to_keep": kept}
        else:
            column, options = last, {}
        output = self.model(input_ids=batch.ids, attention_mask=batch.attention.long(), use_cache=False, **options)
        return output.logits[rows, column].float()

    @torch.no_grad()
    def prefer_as_shown(
        self, prompts: Sequence[Text], first: Sequence[Text], second: Sequence[Text], columns: Columns | None = None
    ) -> list[float]:
        """Probabilities that the first are preferred, in the order given only."""
        texts = [self.encode(*row) for row in zip(prompts, first, second)]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found = [0.0] * len(texts)
        training = self.model.training
        self.model.eval()
        for start in range(0, len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            logits = self.logits([texts[i] for i in part])
            both = logits[:, self.labels.to(logits.device)]
            for i, probability in zip(part, torch.softmax(both, -1)[:, 0].tolist()):
                found[i] = probability
        self.model.train(training)
        return found

    def prefer(
        self, prompts: Sequence[Text], first: Sequence[Text], second: Sequence[Text], columns: Columns | None = None
    ) -> list[float]:
        """Probabilities that the first are preferred, averaged over both orders; a mean position bias above 0.1 is
        warned of.
        """
        probability, bias = both_orders(self.prefer_as_shown, prompts, first, second)
        warn_of_position_bias(bias)
        return probability.tolist()

    def tournament(self, prompt: Text, completions: Sequence[Text]) -> Knockout:
        """Best and worst of several completions by a knockout.

        Raises:
            UsageError: fewer than two completions.
        """
        if len(completions) < 2:
            raise UsageError(f"a tournament needs two completions or more, given {len(completions)}")

        def compare(asked: list[tuple[int, int, int]]) -> list[float]:
            first, second = ([completions[match[side]] for match in asked] for side in (1, 2))
            return self.prefer([prompt] * len(asked), first, second)

        return play([knockout(len(completions))], compare)[0]

    def save(self, folder: Path | str) -> None:
        """Write model, tokenizer and format to a folder, as safetensors and JSON."""
        save_model(self.model, self.encoder.tokenizer, folder)
        write_json(Path(folder) / FORMAT_FILE, asdict(self.format))

    @classmethod
    def load(cls, folder: Path | str, device: str | None = None) -> PreferenceModel:
        """Read what ``save`` wrote.

        Raises:
            UsageError: there is no model.
            CheckpointError: it is a language model that was not trained to compare.
        """
        if not (Path(folder) / FORMAT_FILE).is_file():
            raise CheckpointError(
                f"{folder} holds no preference model: there is no {FORMAT_FILE}; train one with `headstart lm reward`"
            )
        model, tokenizer = load_model(folder, device=device)
        return cls(model, tokenizer, PairFormat(**read_json(Path(folder) / FORMAT_FILE)))

    def _ids(self, text: str) -> list[int]:
        return _encoded(self.encoder.tokenizer, text) or []


def _missing(tokenizer: Any, pair_format: PairFormat) -> list[str]:
    """Parts of the format that the tokenizer cannot write."""
    marks = (pair_format.context, pair_format.first, pair_format.second, pair_format.verdict)
    lost = [mark.strip() for mark in marks if not _encoded(tokenizer, mark)]
    return lost + [label for label in pair_format.labels if len(_encoded(tokenizer, label) or ()) != 1]


def _encoded(tokenizer: Any, text: str) -> list[int] | None:
    """Ids of a text; None if it holds words that the tokenizer does not know."""
    try:
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    except Exception:  # the tokenizers library raises its own when there is no token for unknown words
        return None
    unknown = tokenizer.unk_token_id
    return None if unknown is not None and unknown in ids else ids
