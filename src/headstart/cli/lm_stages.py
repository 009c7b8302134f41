"""What some commands of ``headstart lm`` do before they train: rows made of others, kept in a file beside the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.core.causal_models import check_tokens_fit, context_length, load_model, use_suitable_threads
from headstart.core.encoding import Encoder
from headstart.core.errors import UsageError
from headstart.data.rows import check_rows, load_rows
from headstart.judges.judge import Judge
from headstart.judges.registry import make_judge
from headstart.language.adaptive_sampling import Adaptive, likeliest
from headstart.language.advantage_rows import Valuing, answered, by_reward, valued
from headstart.language.sampler import Sampling
from headstart.language.staged_rows import Row, staged_rows
from headstart.language.transformers_sampler import TransformersSampler


@dataclass(frozen=True)
class Stage:
    """Rows made before a training.

    Attributes:
        make: given all of a command's options and where its run goes, the file of rows to learn from; None if the rows
            that were given will do as they are.
        options: class of the flags that the command has for it.
    """

    make: Callable[[Any, Path], Path | None]
    options: type | None = None


@dataclass(frozen=True, kw_only=True)
class LoggedRewards(Valuing):
    """How the advantages of logged rows are estimated, when they have rewards alone."""

    validation: str | None = None
    """Rows with a prompt, best none of those learned from: the reference answers them, and --judge scores that."""


@dataclass(frozen=True, kw_only=True)
class ByReward:
    """Which rows are drawn how often."""

    by_reward: bool = True
    """Draw rows in proportion to their reward, where they have no priority of their own."""


def value_rows(given: Any, out: Path) -> Path | None:
    """Logged rows with advantages, from their rewards (``alol``)."""

    options, valuing = given.options, given.stage
    if options.data is None:
        raise UsageError("alol learns from logged rows with rewards: give --data")
    rows = _rows(options.data, "completion")
    if all(row.get("advantage") is not None for row in rows):
        return None
    if valuing.validation is None or options.judge is None:
        raise UsageError(
            f"{options.data} has no column advantage: give --validation, prompts that the model answers, and --judge,"
            " which scores the answers as the rewards of the rows were scored"
        )
    judge = _scorer(options.judge)
    prompts = _rows(valuing.validation, "prompt")
    sampler, encoder, model = _engine(given)
    sampling = Sampling(temperature=valuing.value_temperature, max_tokens=given.plan.max_tokens, stop=given.plan.stop)

    def answer(part: Sequence[Mapping[str, Any]], first: int) -> list[Row]:
        return answered(sampler, encoder, part, judge, sampling, options.first_seed + first)

    settings = {"model": options.model, "validation": valuing.validation, "judge": options.judge} | _plain(sampling)
    validation = staged_rows(beside(out, "validation"), prompts, answer, settings)

    def advantages(part: Sequence[Mapping[str, Any]], first: int) -> list[Row]:
        found = valued(model, encoder, part, validation, valuing, options.first_seed)
        print(*found.told(), sep="\n")
        return found.rows

    path = beside(out, "rows")
    staged_rows(path, rows, advantages, settings | {"data": options.data} | asdict(valuing), at_once=len(rows))
    return path


def reward_rows(given: Any, out: Path) -> Path | None:
    """Logged rows that are drawn by their rewards (``r-lol``, ``r-gold``, ``weighted-bc``)."""
    options = given.options
    if options.data is None or not given.stage.by_reward:
        return None
    rows = _rows(options.data, "completion")
    if any(row.get("priority") is not None for row in rows) or not all("reward" in row for row in rows):
        return None
    path = beside(out, "rows")
    staged_rows(path, rows, lambda part, first: by_reward(part), {"data": options.data}, at_once=len(rows))
    return path


def calibration_rows(given: Any, out: Path) -> Path | None:
    """Recorded pairs with a completion of the reference to each prompt (``vpo`` with ``--calibration calibration``)."""
    options = given.options
    if options.data is None or given.method.calibration != "calibration":
        return None
    rows = _rows(options.data, "pair")
    if all(row.get("calibration_ids") is not None for row in rows):
        return None
    sampler, encoder, _ = _engine(given)
    sampling = Sampling(max_tokens=given.plan.max_tokens, stop=given.plan.stop)

    def calibrate(part: Sequence[Mapping[str, Any]], first: int) -> list[Row]:
        prompts = [encoder.encode_prompt(row["prompt"]) for row in part]
        drawn = [group[0] for group in sampler.sample(prompts, 1, sampling, options.first_seed + first)]
        return [
            {**row, "calibration_ids": sample.ids, "calibration_truncated": sample.truncated}
            for row, sample in zip(part, drawn, strict=True)
        ]

    path = beside(out, "rows")
    settings = {"model": options.model, "data": options.data, "seed": options.first_seed} | _plain(sampling)
    staged_rows(path, rows, calibrate, settings)
    return path


def likeliest_rows(given: Any, out: Path) -> Path | None:
    """The likeliest completion of each prompt, of as many candidates as it takes (``adaptive-sharpening``)."""
    options = given.options
    if options.prompts is None:
        raise UsageError("adaptive-sharpening learns from the model's own completions: give --prompts")
    sampler, encoder, _ = _engine(given)
    sampling = Sampling(max_tokens=given.plan.max_tokens, stop=given.plan.stop)

    def choose(part: Sequence[Mapping[str, Any]], first: int) -> list[Row]:
        prompts = [encoder.encode_prompt(row["prompt"]) for row in part]
        found = likeliest(sampler, prompts, given.stage, sampling, options.first_seed + first)
        return [
            {
                **row,
                "completion": one.sample.text,
                "completion_ids": one.sample.ids,
                "log_probability": one.log_probability,
                "candidates": one.candidates,
                "settled": one.settled,
            }
            for row, one in zip(part, found, strict=True)
            if one.sample is not None
        ]

    path = beside(out, "rows")
    settings = {"model": options.model, "prompts": options.prompts, "seed": options.first_seed}
    sources = _rows(options.prompts, "prompt")
    made = staged_rows(path, sources, choose, settings | asdict(given.stage) | _plain(sampling))
    if not made:
        raise UsageError(f"every candidate was cut at {sampling.max_tokens} tokens: give --max-tokens or --stop")
    settled = sum(row["settled"] for row in made)
    drawn = sum(row["candidates"] for row in made)
    print(f"{drawn} candidates of {len(made)} prompts; for {settled} of them they were enough by the rule")
    return path


STAGES = {
    "alol": Stage(value_rows, LoggedRewards),
    "r-lol": Stage(reward_rows, ByReward),
    "r-gold": Stage(reward_rows, ByReward),
    "weighted-bc": Stage(reward_rows, ByReward),
    "vpo": Stage(calibration_rows),
    "adaptive-sharpening": Stage(likeliest_rows, Adaptive),
}
"""By method or recipe."""


def beside(out: Path, what: str) -> Path:
    """Where a run's rows are kept."""
    return out.with_name(f"{out.name}.{what}.jsonl")


def _rows(name: str, kind: Any) -> list[Row]:
    checked = check_rows(load_rows(name), kind)
    if checked.dropped:
        print(f"{name}: {checked}", file=sys.stderr)
    return [dict(row) for row in checked.dataset]


def _engine(given: Any) -> tuple[TransformersSampler, Encoder, Any]:
    model, tokenizer = load_model(given.options.model)
    check_tokens_fit(model, tokenizer)
    use_suitable_threads(model)
    context = context_length(model)
    room = None if context is None else context - min(given.plan.max_tokens, context // 2)
    encoder = Encoder(tokenizer, given.training.max_prompt_tokens or room)
    return TransformersSampler(model, encoder), encoder, model


def _scorer(text: str) -> Judge:
    judge = make_judge(text)
    if not isinstance(judge, Judge):
        raise UsageError(f"--judge {text} compares; a judge that scores is needed here")
    return judge


def _plain(sampling: Any) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(sampling)))
