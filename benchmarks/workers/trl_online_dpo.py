"""Tokens a second of TRL's OnlineDPOTrainer, by its own ``train`` without logging or gradient checkpointing."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}

from datasets import Dataset
from language_task import QUIET, language_model, questions, tokenizer, tokens_of_step, variety
from task import Stopwatch, read_task, write_report
from transformers import TrainerCallback
from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

task = read_task()


class Timing(TrainerCallback):
    """Notes the time after every step."""

    def __init__(self) -> None:
        self.stopwatch, self.done = Stopwatch(1), 0

    def on_step_end(self, args, state, control, **_) -> None:
        self.done += tokens_of_step(task)
        self.stopwatch.at(self.done)


def judged(prompts, completions, **_) -> list[float]:
    """Different words of each completion."""
    return variety(completions)


timing = Timing()
trainer = OnlineDPOTrainer(
    model=language_model(task["shape"]),
    ref_model=language_model(task["shape"]),
    reward_funcs=judged,
    processing_class=tokenizer(task["shape"]),
    train_dataset=Dataset.from_list(questions(task)),
    args=OnlineDPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=task["prompts"],
        max_new_tokens=task["longest"],
        temperature=1.0,
        beta=0.1,
        max_steps=task["steps"],
        **QUIET,
    ),
    callbacks=[timing],
)
trainer.train()
write_report(
    timing.stopwatch.report(task["warmup"] * tokens_of_step(task)),
    **{name: version(name) for name in ("trl", "torch", "transformers")},
)
