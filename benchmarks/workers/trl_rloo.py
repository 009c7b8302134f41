"""Tokens a second of TRL's RLOOTrainer, by its own ``train`` without logging or gradient checkpointing."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from datasets import Dataset
from language_task import QUIET, language_model, questions, tokenizer, tokens_of_step, variety
from task import Stopwatch, read_task, write_report
from transformers import TrainerCallback
from trl import RLOOConfig, RLOOTrainer

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


model, folder = language_model(task["shape"]), tempfile.mkdtemp()
model.save_pretrained(folder)
model.config._name_or_path = folder  # whence the trainer loads its reference
timing = Timing()
trainer = RLOOTrainer(
    model=model,
    reward_funcs=judged,
    processing_class=tokenizer(task["shape"]),
    train_dataset=Dataset.from_list(questions(task)),
    args=RLOOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=task["prompts"] * task["completions"],
        num_generations=task["completions"],
        max_completion_length=task["longest"],
        beta=0.05,
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
