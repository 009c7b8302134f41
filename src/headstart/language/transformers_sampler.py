"""Sampling with transformers' models: own decoding loop, one prefill a prompt, and rows leave as they end."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headstart.core.causal_models import context_length
from headstart.core.encoding import Encoder
from headstart.core.errors import DivergenceError
from headstart.language.drawing import draw
from headstart.language.key_value_cache import new_cache
from headstart.language.llama_step import LlamaStep, fits
from headstart.language.sampler import (
    USUAL,
    Sample,
    Sampling,
    check_prompts,
    completion_text,
    counted_noise,
    stop_position,
)

_FORCED_LOGITS = 2**28
_LEAVE = 0.25  # share of ended rows at which the others move together


class TransformersSampler:
    """Draws completions from a causal language model of transformers, or an adapter on one.

    Prompts of like length are decoded together; a prompt is read once for all its completions. Noise belongs to
    (seed, prompt, completion, position), so the batch size changes completions only where rounding in the model's own
    arithmetic moves a probability across the noise.

    Args:
        model: the model; sampled in evaluation mode, and left in the mode it was in.
        encoder: whose tokenizer and end token. The end tokens of the model's generation configuration end too.
        batch_size: completions decoded together.
    """

    def __init__(self, model: Any, encoder: Encoder, batch_size: int = 64):
        self.model, self.encoder, self.batch_size = model, encoder, batch_size
        own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        self.ends: list[int] = sorted({encoder.end, *([own] if isinstance(own, int) else own or [])})
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._keeps_logits = "logits_to_keep" in inspect.signature(inner.forward).parameters

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int = 1,
        sampling: Sampling = USUAL,
        seed: int = 0,
        forced: Sequence[Sequence[int]] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> list[list[Sample]]:
        """``n`` completions of each prompt; see ``Sampler.sample``.

        Args:
            prompts: as there.
            n: as there.
            sampling: as there.
            seed: as there.
            forced: as there.
            numbers: which prompts these are of a whole that is drawn in parts; their order by default.

        Raises:
            UsageError: a prompt that cannot be sampled.
            DivergenceError: the model's outputs are not numbers.
        """
        beginnings = [[] for _ in prompts] if forced is None else [list(ids) for ids in forced]
        words = self.model.get_input_embeddings().weight.shape[0]
        context = context_length(self.model)
        check_prompts(prompts, n, forced, context, words)
        samples: list[list[Sample]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]) + len(beginnings[i]), i))
        logits_a_prompt = words * (1 + max(map(len, beginnings), default=0))
        together = max(1, min(self.batch_size // n, _FORCED_LOGITS // logits_a_prompt))
        with _evaluating(self.model), torch.no_grad():
            for start in range(0, len(order), together):
                chosen = order[start : start + together]
                for first in range(0, n, self.batch_size):
                    copies = range(first, min(n, first + self.batch_size))
                    decoding = Decoding(self, prompts, beginnings, chosen, copies, sampling, seed, context, numbers)
                    while decoding.step():
                        pass
                    for i, completions in zip(chosen, decoding.samples()):
                        samples[i].extend(completions)
        return samples

    def stream(self, prompt: Sequence[int], sampling: Sampling = USUAL, seed: int = 0) -> Iterator[str]:
        """The text of one completion, piece by piece as it is drawn; together the pieces are the ``Sample``'s text."""
        context = context_length(self.model)
        check_prompts([prompt], 1, None, context)
        shown = ""
        with _evaluating(self.model), torch.no_grad():
            decoding = Decoding(self, [prompt], [[]], [0], range(1), sampling, seed, context)
            going = True
            while going:
                going = decoding.step()
                text = decoding.samples()[0][0].text
                if going:
                    text = _settled(text, sampling.stop)
                if len(text) > len(shown):
                    yield text[len(shown) :]
                    shown = text

    def logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor, cache: Any, keep: int) -> Tensor:
        """Logits of the last ``keep`` tokens, "row token word"; the cache takes in the new tokens."""
        options = {"logits_to_keep": keep} if self._keeps_logits else {}
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **options,
        )
        return out.logits[:, -keep:]


class Decoding:
    """One batch on its way: some prompts, the same number of completions of each.

    Attributes:
        rows: (prompt, completion) of each row, all completions of a prompt side by side.
        present: rows that the cache still holds.
        done: which of these have ended.
    """

    def __init__(
        self,
        sampler: TransformersSampler,
        prompts: Sequence[Sequence[int]],
        forced: Sequence[Sequence[int]],
        chosen: Sequence[int],
        copies: range,
        sampling: Sampling,
        seed: int,
        context: int | None,
        numbers: Sequence[int] | None = None,
    ):
        self.sampler, self.sampling, self.copies = sampler, sampling, len(copies)
        self.device = sampler.model.device
        self.forced = [list(forced[i]) for i in chosen for _ in copies]
        rows = [(i if numbers is None else numbers[i], j) for i in chosen for j in copies]
        room = [
            sampling.max_tokens if context is None else min(sampling.max_tokens, context - len(prompts[i]))
            for i in chosen
        ]
        ended = [bool(forced[i]) and forced[i][-1] in sampler.ends for i in chosen]
        limits = [0 if end else max(0, r - len(forced[i])) for i, r, end in zip(chosen, room, ended)]
        self.ended = torch.tensor(ended, device=self.device).repeat_interleave(self.copies)
        self.limit = torch.tensor(limits, device=self.device).repeat_interleave(self.copies)
        steps = max(limits)
        noise = counted_noise(seed, [i for i, _ in rows], [j for _, j in rows], max(map(len, self.forced)) + steps)
        offset = torch.tensor([len(ids) for ids in self.forced])[:, None] + torch.arange(steps)
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        self.noise = torch.from_numpy(noise).gather(1, offset).to(self.device, kind)
        self.tokens = torch.zeros(len(rows), steps, dtype=torch.long, device=self.device)
        self.drawn = torch.zeros(2, len(rows), steps, device=self.device)
        self.count = torch.zeros(len(rows), dtype=torch.long, device=self.device)
        self.ends = torch.tensor(sampler.ends, device=self.device)
        self.texts: list[list[int]] = [list(ids) for ids in self.forced]
        self.reach = max(len(prompts[i]) + length for i, length in zip(chosen, room))
        self.short = LlamaStep(sampler.model, self.reach) if fits(sampler.model) else None
        self._read([[*prompts[i], *forced[i]] for i in chosen], [len(forced[i]) for i in chosen])

    def step(self) -> bool:
        """Draw one more token in every row that goes on; False once all have ended."""
        if not len(self.present):
            return False
        step, rows, self.taken = self.taken, self.present, self.taken + 1
        tokens, *values = draw(self.next, self.noise[rows, step], self.sampling)
        self.tokens[rows, step] = tokens
        self.drawn[:, rows, step] = torch.stack(values)
        ended = torch.isin(tokens, self.ends)
        if self.sampling.stop:
            ended = ended | self._stopped(tokens)
        ended = ended & ~self.done
        over = (ended | (self.taken >= self.limit[rows])) & ~self.done
        self.ended[rows[ended]] = True
        self.count[rows[over]] = self.taken
        self.done = self.done | over
        left = len(rows) - int(self.done.sum())
        if left == 0:
            self.present = rows[:0]
            return False
        if left <= (1 - _LEAVE) * len(rows):
            tokens = self._leave(tokens)
        self._feed(tokens)
        return True

    def samples(self) -> list[list[Sample]]:
        """The completions of each prompt, as far as they have come."""
        going = torch.full_like(self.count, self.taken)
        counts = torch.where(self._ongoing(), going, self.count).tolist()
        tokens, ended = self.tokens.tolist(), self.ended.tolist()
        drawn, own = self.drawn.tolist()
        if any(value != value for row, count in zip(own, counts) for value in row[:count]):
            raise DivergenceError("the model's logits are not numbers: its weights have diverged or are damaged")
        rows = []
        for row, (count, forced) in enumerate(zip(counts, self.forced)):
            ids = forced + tokens[row][:count]
            text = completion_text(
                self.sampler.encoder.tokenizer, ids, self.sampler.ends, self.sampling.stop, len(forced)
            )
            given = self.given[row // self.copies]
            rows.append(
                Sample(
                    ids,
                    text,
                    [0.0] * len(forced) + drawn[row][:count],
                    given + own[row][:count],
                    not ended[row],
                    len(forced),
                )
            )
        return [rows[i : i + self.copies] for i in range(0, len(rows), self.copies)]

    def _read(self, sequences: list[list[int]], forced: list[int]) -> None:
        """Take in the prompts, once each, and copy what was computed for all their completions."""
        longest = max(map(len, sequences))
        ids = torch.full((len(sequences), longest), self.sampler.encoder.padding)
        mask = torch.zeros(len(sequences), longest, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, longest - len(sequence) :] = torch.tensor(sequence)
            mask[row, longest - len(sequence) :] = 1
        ids, padded = ids.to(self.device), bool((mask == 0).any())
        self.cache = new_cache(self.sampler.model.config.get_text_config())
        positions = (mask.cumsum(-1) - 1).clamp(min=0).to(self.device)
        mask = mask.to(self.device)
        keep = 1 + max(forced)
        logits = self.sampler.logits(ids, mask if padded else None, positions, self.cache, keep).float()
        self.given = _log_probabilities(logits, ids, forced)
        self.next = logits[:, -1].repeat_interleave(self.copies, dim=0)
        self.taken = 0
        self.present = torch.arange(len(self.forced), device=self.device)
        self.done = self.limit == 0
        self.position = positions[:, -1].repeat_interleave(self.copies)
        self.mask = mask.repeat_interleave(self.copies, dim=0) if padded else None
        if self.copies > 1:
            self.cache.batch_repeat_interleave(self.copies)
        if bool(self.done.all()):
            self.present = self.present[:0]

    def _feed(self, tokens: Int[Tensor, " row"]) -> None:
        # Rows that have ended may go on beside others that reach further; what they are fed is thrown away.
        self.position = (self.position + 1).clamp(max=self.reach - 1)
        if self.mask is not None:
            self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        if self.short is not None:
            self.next = self.short(tokens, self.position, None if self.mask is None else self.mask.bool(), self.cache)
            return
        self.next = self.sampler.logits(tokens[:, None], self.mask, self.position[:, None], self.cache, 1)[:, -1]

    def _leave(self, tokens: Int[Tensor, " row"]) -> Int[Tensor, " row"]:
        """Keep only the rows that go on."""
        kept = (~self.done).nonzero()[:, 0]
        self.cache.batch_select_indices(kept)
        self.present, self.done, self.position = self.present[kept], self.done[kept], self.position[kept]
        self.mask = None if self.mask is None else self.mask[kept]
        return tokens[kept]

    def _stopped(self, tokens: Int[Tensor, " row"]) -> Bool[Tensor, " row"]:
        """Whether a stop string has just been completed; only so many last tokens are looked at as it could span."""
        stop, tokenizer = self.sampling.stop, self.sampler.encoder.tokenizer
        reach = max(map(len, stop)) + 4
        found = []
        for row, token, done in zip(self.present.tolist(), tokens.tolist(), self.done.tolist()):
            ids = self.texts[row]
            if not done:
                ids.append(token)
            recent = ids[max(len(self.forced[row]), len(ids) - reach) :]
            found.append(
                not done and stop_position(tokenizer.decode(recent, skip_special_tokens=True), stop) is not None
            )
        return torch.tensor(found, device=self.device)

    def _ongoing(self) -> Bool[Tensor, " row"]:
        ongoing = torch.zeros_like(self.ended)
        if len(self.present):
            ongoing[self.present] = ~self.done
        return ongoing


def _log_probabilities(
    logits: Float[Tensor, "row token word"], ids: Int[Tensor, "row position"], forced: list[int]
) -> list[list[float]]:
    """Log-probability of each row's last ``forced`` tokens."""
    values = []
    for row, count in enumerate(forced):
        own = logits[row, -1 - count : -1].log_softmax(-1)
        values.append(own.gather(-1, ids[row, ids.shape[1] - count :, None])[:, 0].tolist())
    return values


def _settled(text: str, stop: Sequence[str]) -> str:
    """Text without a tail that further tokens may change: half a character, or the beginning of a stop string."""
    text = text.rstrip("�")
    for string in stop:
        for length in range(len(string) - 1, 0, -1):
            if text.endswith(string[:length]):
                text = text[:-length]
                break
    return text


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
