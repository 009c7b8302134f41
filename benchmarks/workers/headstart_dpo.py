"""Tokens a second of headstart's DPO: the learner's steps on rows whose reference was scored before, in one go."""

from __future__ import annotations

from importlib.metadata import version
from itertools import chain

from language_task import batches, language_model, tokenizer, tokens
from task import Stopwatch, read_task, write_report

from headstart.core.encoding import Encoded
from headstart.language.dpo import DPO
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.settings import Training

task = read_task()
given = batches(task)
learner = Learner(
    language_model(task["shape"]),
    tokenizer(task["shape"]),
    DPO(),
    Training(batch_size=task["batch"], learning_rate=1e-6),
    task["steps"],
)
rows = [
    EncodedRow({side: Encoded(row["prompt_ids"], row[f"{side}_ids"]) for side in ("chosen", "rejected")})
    for row in chain.from_iterable(given)
]
prepared = learner.prepare(rows)
learner.forget_reference()  # as training on recorded rows does
stopwatch, done = Stopwatch(1), 0
for number, batch in enumerate(given):
    learner.step(prepared[number * task["batch"] : (number + 1) * task["batch"]])
    done += tokens(batch)
    stopwatch.at(done)
warmup = sum(map(tokens, given[: task["warmup"]]))
write_report(stopwatch.report(warmup), **{name: version(name) for name in ("headstart", "torch", "transformers")})
