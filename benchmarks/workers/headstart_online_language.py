"""Tokens a second of headstart's online loop: draw, judge, learn and record, by REINFORCE leave-one-out or DPO."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from language_task import language_model, questions, tokenizer, tokens_of_step, variety
from task import Stopwatch, read_task, write_report

from headstart.language.dpo import DPO
from headstart.language.learner import Learner
from headstart.language.online import Collected, Online
from headstart.language.policy_gradient import REINFORCE
from headstart.language.settings import Training
from headstart.language.trainer import Trainer
from headstart.runs.folder import SeedFolder

task = read_task()


class Variety:
    """Different words of each completion."""

    def score(self, prompts, completions, columns=None):
        return variety(completions)


class Timing:
    """Notes the time after every iteration, as an evaluation that looks at nothing."""

    def __init__(self) -> None:
        self.stopwatch, self.done = Stopwatch(1), 0

    def __call__(self, learner: Learner) -> dict[str, float]:
        if learner.steps:
            self.done += tokens_of_step(task)
            self.stopwatch.at(self.done)
        return {}


plan = Online(
    iterations=task["steps"],
    prompts_per_iteration=task["prompts"],
    completions=task["completions"],
    max_tokens=task["longest"],
    history="current",
    steps_per_iteration=1,
)
if task["method"] == "rloo":
    method, batch = REINFORCE(), task["prompts"] * task["completions"]
    plan = replace(plan, pairing="each", reward_kl=0.05)
else:  # every pair is learned from, ties too, as TRL does
    method, batch = DPO(beta=0.1), task["prompts"]
    plan = replace(plan, pairing="first_two", ties="coin")
settings = Training(batch_size=batch, learning_rate=1e-6)
learner = Learner(
    language_model(task["shape"]), tokenizer(task["shape"]), method, settings, task["steps"], keep_reference=True
)
timing = Timing()
with tempfile.TemporaryDirectory() as folder:
    place = SeedFolder(Path(folder), 0)
    with place.record() as recorder:
        source = Collected(questions(task), Variety(), plan, 0)
        Trainer(learner, source, 0, recorder, Path(folder), timing).run()
write_report(
    timing.stopwatch.report(task["warmup"] * tokens_of_step(task)),
    **{name: version(name) for name in ("headstart", "torch", "transformers")},
)
