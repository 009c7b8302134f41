"""Tokens a second of headstart's fine-tuning on rows of very different lengths."""

from __future__ import annotations

from importlib.metadata import version
from itertools import chain

from language_task import language_model, skewed, tokenizer, tokens_of_rows
from task import Stopwatch, read_task, write_report

from headstart.core.encoding import Encoded
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.settings import Training
from headstart.language.sft import SFT

task = read_task()
given = skewed(task)
settings = Training(
    batch_size=task["batch"], learning_rate=1e-6, micro_batch_size=task["micro_batch"], packing=task["packing"]
)
learner = Learner(language_model(task["shape"]), tokenizer(task["shape"]), SFT(), settings, task["steps"])
stopwatch, done = Stopwatch(1), 0
for batch in given:
    rows = [EncodedRow({"completion": Encoded(row["prompt_ids"], row["completion_ids"])}) for row in batch]
    learner.step(rows)
    done += tokens_of_rows(batch)
    stopwatch.at(done)
warmup = sum(map(tokens_of_rows, given[: task["warmup"]]))
total = sum(map(tokens_of_rows, given))
longest = max(len(row["prompt_ids"] + row["completion_ids"]) for row in chain.from_iterable(given))
write_report(
    stopwatch.report(warmup) | {"measures": {"tokens a row": total / sum(map(len, given)), "longest row": longest}},
    **{name: version(name) for name in ("headstart", "torch", "transformers")},
)
