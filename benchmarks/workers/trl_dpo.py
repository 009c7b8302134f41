"""Tokens a second of TRL's DPOTrainer, by its own ``train`` without logging or gradient checkpointing."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version
from itertools import chain

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from datasets import Dataset
from language_task import QUIET, batches, language_model, tokenizer, tokens
from task import Stopwatch, read_task, write_report
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer

task = read_task()
given = batches(task)


class Timing(TrainerCallback):
    """Notes the time after every step."""

    def __init__(self) -> None:
        self.stopwatch, self.done = Stopwatch(1), 0

    def on_step_end(self, args, state, control, **_) -> None:
        self.done += tokens(given[state.global_step - 1])
        self.stopwatch.at(self.done)


class InOrder(DPOTrainer):
    """Takes rows as they come, and ids as they are, so that both libraries see the same batches."""

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def _get_train_sampler(self, *_, **__) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


timing = Timing()
trainer = InOrder(
    model=language_model(task["shape"]),
    ref_model=None if task["precompute"] else language_model(task["shape"]),
    processing_class=tokenizer(task["shape"]),
    train_dataset=Dataset.from_list(list(chain.from_iterable(given))),
    args=DPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=task["batch"],
        precompute_ref_log_probs=task["precompute"],
        max_steps=task["steps"],
        max_length=None,
        **QUIET,
    ),
    callbacks=[timing],
)
trainer.train()
warmup = sum(map(tokens, given[: task["warmup"]]))
write_report(timing.stopwatch.report(warmup), **{name: version(name) for name in ("trl", "torch", "transformers")})
