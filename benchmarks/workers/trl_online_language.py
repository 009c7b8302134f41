"""Tokens a second of TRL's online loops, by their own ``train`` without logging or gradient checkpointing."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}

from datasets import Dataset
from language_task import QUIET, language_model, questions, tokenizer, tokens_of_step, variety
from task import Stopwatch, read_task, write_report
from transformers import TrainerCallback
from trl import RLOOConfig, RLOOTrainer
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


def rloo(given: dict, common: dict) -> RLOOTrainer:
    """REINFORCE leave-one-out."""
    model, folder = language_model(task["shape"]), tempfile.mkdtemp()
    model.save_pretrained(folder)
    model.config._name_or_path = folder  # whence the trainer loads its reference
    settings = RLOOConfig(
        per_device_train_batch_size=task["prompts"] * task["completions"],
        num_generations=task["completions"],
        max_completion_length=task["longest"],
        beta=0.05,
        **common,
    )
    return RLOOTrainer(model=model, args=settings, **given)


def dpo(given: dict, common: dict) -> OnlineDPOTrainer:
    """DPO on two completions of each prompt."""
    settings = OnlineDPOConfig(
        per_device_train_batch_size=task["prompts"],
        max_new_tokens=task["longest"],
        temperature=1.0,
        beta=0.1,
        **common,
    )
    model, reference = language_model(task["shape"]), language_model(task["shape"])
    return OnlineDPOTrainer(model=model, ref_model=reference, args=settings, **given)


timing = Timing()
trainer = {"rloo": rloo, "dpo": dpo}[task["method"]](
    {
        "reward_funcs": judged,
        "processing_class": tokenizer(task["shape"]),
        "train_dataset": Dataset.from_list(questions(task)),
        "callbacks": [timing],
    },
    {"output_dir": tempfile.mkdtemp(), "max_steps": task["steps"], **QUIET},
)
trainer.train()
write_report(
    timing.stopwatch.report(task["warmup"] * tokens_of_step(task)),
    **{name: version(name) for name in ("trl", "torch", "transformers")},
)
