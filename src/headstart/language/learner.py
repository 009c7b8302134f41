"""A policy that learns: the model, its frozen reference, and the optimiser that takes steps on batches of rows."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headstart.core.causal_models import check_tokens_fit, context_length, save_model, use_suitable_threads
from headstart.core.encoding import Encoder
from headstart.core.errors import DivergenceError, UsageError
from headstart.language.accumulation import MicroBatch, micro_batches
from headstart.language.adapters import copies, holding, is_adapted, with_adapter
from headstart.language.encoded_rows import EncodedRow, loss_batch, with_reference
from headstart.language.method import LanguageMethod, LossBatch, Scored
from headstart.language.processes import processes
from headstart.language.sampler import Sample, Sampler, Sampling
from headstart.language.settings import Training
from headstart.language.training_state import load_state, save_state, state_of, whole
from headstart.language.transformers_sampler import TransformersSampler


class Learner:
    """Trains a causal language model by a method's loss.

    The reference is the policy as it was given: under a new adapter the same weights without it; of a model that came
    with an adapter the same weights under that adapter as it was; otherwise a frozen copy, made only when the method
    needs one. Dropout is off in both.

    Args:
        model: any Hugging Face causal language model, or a PEFT adapter on one; it is trained in place.
        tokenizer: its tokenizer.
        method: the method.
        training: the settings.
        total_steps: how many steps will be taken in all (the learning rate's schedule spans them).
        keep_reference: keep the reference even if the method's loss does without it.

    Raises:
        UsageError: the tokenizer does not belong to the model, or has no end-of-sequence token, or another adapter is
            asked for than the model comes with.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        method: LanguageMethod,
        training: Training,
        total_steps: int,
        keep_reference: bool = False,
    ):
        check_tokens_fit(model, tokenizer)
        use_suitable_threads(model)
        context = context_length(model)
        self.method, self.training, self.total_steps = method, training, total_steps
        self.processes = processes()
        self.encoder = Encoder(tokenizer, *_limits(training, context))
        self.model = self.processes.placed(with_adapter(model, training).eval())
        self.device = next(self.model.parameters()).device
        if training.gradient_checkpointing:
            self.model.gradient_checkpointing_enable()
            self.model.enable_input_require_grads()
        self._reference = None
        if (self.needs_reference or keep_reference) and not self._adapted:
            self._reference = copy.deepcopy(self.model).requires_grad_(False)
        peak = training.learning_rate or method.learning_rate * (10.0 if self._adapted else 1.0)
        optimizer = torch.optim.AdamW(
            list(self.trained_weights().values()), lr=peak, weight_decay=training.weight_decay, fused=True
        )
        self.model, self.optimizer = self.processes.divided(self.model, optimizer)
        self._adapter_at_first = copies(self.model) if is_adapted(model) else None
        self.peak_rate = peak
        self.steps = 0
        self.begun = 0  # steps before those that the learning rate's schedule spans

    @property
    def needs_reference(self) -> bool:
        """Whether the method compares the policy with a frozen reference."""
        return self.method.reference != "none"

    @property
    def _adapted(self) -> bool:
        return is_adapted(self.model)

    @property
    def keeps_reference(self) -> bool:
        """Whether ``reference`` can be had."""
        return self._reference is not None or self._adapted

    @contextmanager
    def reference(self) -> Iterator[Any]:
        """The frozen reference model.

        Raises:
            UsageError: the method was said to need none, so none was kept.
        """
        if self._reference is not None:
            yield self._reference
        elif self._adapter_at_first is not None:
            with holding(self.model, self._adapter_at_first):
                yield self.model
        elif self._adapted:
            with self.model.disable_adapter():
                yield self.model
        else:
            raise UsageError(f"{self.method.name} keeps no reference model")

    def forget_reference(self) -> None:
        """Free the memory of the frozen copy, once nothing will be compared with it any more."""
        self._reference = None

    def prepare(self, rows: Sequence[EncodedRow]) -> list[EncodedRow]:
        """The rows with the reference's log-probabilities, where the method needs them and they are not there yet."""
        if not self.needs_reference or all(row.reference for row in rows):
            return list(rows)
        return self.referred(rows)

    def referred(self, rows: Sequence[EncodedRow]) -> list[EncodedRow]:
        """The rows with the reference's log-probabilities."""
        with self.reference() as model:
            return self.scored(rows, model)

    def scored(self, rows: Sequence[EncodedRow], model: Any) -> list[EncodedRow]:
        """The rows with a model's log-probabilities in the reference's place, each process scoring its share."""
        with self.processes.whole(model):
            found = with_reference(self.processes.share(rows), model, self.encoder.padding, self.device)
        return self.processes.together(found)

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seed: int,
        forced: Sequence[Sequence[int]] | None = None,
        sampler: Sampler | None = None,
    ) -> list[list[Sample]]:
        """Completions of prompts, by the policy unless another sampler is given; see ``Sampler.sample``.

        Each process draws for its share of the prompts, as one alone would, where the sampler can draw a part of a
        whole; otherwise the first draws all.
        """
        sampler = sampler or TransformersSampler(self.model, self.encoder)
        if self.processes.count == 1 or not isinstance(sampler, TransformersSampler):
            return self.processes.told(lambda: sampler.sample(prompts, n, sampling, seed, forced))
        mine = self.processes.share(range(len(prompts)))
        beginnings = None if forced is None else [forced[i] for i in mine]
        with self.processes.whole(sampler.model):
            drawn = sampler.sample([prompts[i] for i in mine], n, sampling, seed, beginnings, mine) if mine else []
        return self.processes.together(drawn)

    def step(self, rows: Sequence[EncodedRow], own: Sequence[EncodedRow] = ()) -> dict[str, float]:
        """One optimiser step on a batch of prepared rows, accumulated over micro-batches and processes; returns its
        metrics.

        Args:
            rows: the batch.
            own: completions that the policy has just written to the batch's prompts, as many for each row, in the
                order of the rows, with the reference's log-probabilities; their side is ``online``.

        Raises:
            DivergenceError: the loss or the gradient is not finite; the weights are left as they were.
        """
        parts = micro_batches(self.method, rows, own, self.training.micro_batch_size, self.processes)
        metrics: dict[str, float] = {}
        with self._recomputing():
            further = self._further_sides(rows)
            for part in parts:
                self._accumulate(part, further, metrics)
        self.processes.add_up(self.trained_weights().values())
        return self.processes.summed(metrics) | self.take_step()

    def _accumulate(self, part: MicroBatch, further: dict[str, Scored], metrics: dict[str, float]) -> None:
        with self._precision():
            batch = self._loss_batch(part.rows)
            own = self._loss_batch(part.own).sides if part.own else {}
            batch = part.completed(replace(batch, sides={**batch.sides, **further, **own}))
        loss, told = self.method.loss(batch)
        (loss * (part.share * self.processes.loss_scale)).backward()
        for name, value in {"loss": loss, **told}.items():
            metrics[name] = metrics.get(name, 0.0) + part.share * float(value.detach())

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bfloat16")

    @contextmanager
    def _recomputing(self) -> Iterator[None]:
        """Layers recompute their activations only while they train; dropout, in other modules, stays off."""
        modules = (module for network in self._networks() for module in network.modules())
        layers = [layer for layer in modules if getattr(layer, "gradient_checkpointing", False)]
        for layer in layers:
            layer.training = True
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False

    def _networks(self) -> list[torch.nn.Module]:
        return [self.model]

    def _loss_batch(self, rows: Sequence[EncodedRow]) -> LossBatch:
        packing = self.training.packing
        return loss_batch(self.model, self.method, rows, self.encoder.padding, self.device, packing)

    @torch.no_grad()
    def _further_sides(self, rows: Sequence[EncodedRow]) -> dict[str, Scored]:
        """Of the whole batch, so that what is estimated from them is the same in all its parts."""
        first = next(iter(rows[0].sides))
        further = self.method.further_sides([row.sides[first] for row in rows])
        if not further:
            return {}
        made = [EncodedRow(dict(zip(further, held, strict=True))) for held in zip(*further.values(), strict=True)]
        with self._precision():
            return dict(self._loss_batch(self.prepare(made)).sides)

    def take_step(self) -> dict[str, float]:
        """Clip the gradient that has gathered, step the optimiser and forget the gradient.

        Raises:
            DivergenceError: the gradient is not finite; the weights are left as they were.
        """
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        limit = self.training.gradient_clip or float("inf")
        norm = float(whole(torch.nn.utils.clip_grad_norm_(weights, limit, foreach=True)))
        rate = self.peak_rate * self.training.rate(self.steps - self.begun, self.total_steps)
        if not torch.isfinite(torch.tensor(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise DivergenceError(
                f"the gradient of {self.method.name} is not finite at step {self.steps}; lower the learning rate"
                f" ({self.peak_rate:g}) or look for rows with extreme numbers"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return {"gradient_norm": norm, "learning_rate": rate}

    def save(self, folder: Path | None) -> None:
        """Write what training needs to go on exactly: trained weights, optimiser, counters.

        Args:
            folder: where to; None in all processes but the first, which take part where weights are divided.
        """
        state = state_of(self.trained_weights(), self.optimizer)
        if folder is not None:
            save_state(folder, state)
            (folder / "learner.json").write_text(json.dumps({"steps": self.steps, "total_steps": self.total_steps}))

    def export(self, folder: Path) -> None:
        """Write the trained model (or adapter) and tokenizer where ``load_model`` reads them."""
        weights = None
        if self.processes.sharded:
            weights = {name: whole(value).cpu() for name, value in self.model.state_dict().items()}
        if self.processes.first:
            save_model(self.model, self.encoder.tokenizer, folder, weights)

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote.

        Raises:
            CheckpointError: it is of a model with other weights.
        """
        load_state(folder, self.trained_weights(), self.optimizer, type(self.model).__name__)
        self.steps = json.loads((folder / "learner.json").read_text())["steps"]

    def trained_weights(self) -> dict[str, Tensor]:
        """What the optimiser changes, by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


def _limits(training: Training, context: int | None) -> tuple[int | None, int | None]:
    prompt, completion = training.max_prompt_tokens, training.max_completion_tokens
    if context is not None:
        completion = completion or min(context // 2, max(1, context - (prompt or 0)))
        prompt = prompt or context - completion
        if prompt + completion > context:
            raise UsageError(
                f"max_prompt_tokens {prompt} and max_completion_tokens {completion} together exceed the model's context"
                f" of {context} tokens"
            )
    return prompt, completion
