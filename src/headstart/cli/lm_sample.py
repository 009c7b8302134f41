"""``headstart lm sample`` and ``headstart lm chat``."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import tyro

from headstart.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from headstart.core.encoding import Encoder
    from headstart.judges.judge import Judge
    from headstart.language.best_of import SelfReward
    from headstart.language.sampler import Sample, Sampler

_BLOCK = 64  # prompts sampled and written together; part of what a seed means


@dataclass(kw_only=True)
class SampleOptions:
    """Draw completions of prompts. A killed command goes on where it was, with the same completions."""

    model: str
    """Folder, .gguf file, packaged name (gemma-3-270m) or hub name of a causal language model or an adapter on one."""
    prompts: str
    """Rows with a prompt: .jsonl, .json, .parquet, .csv, a saved dataset, or a name. Their other columns are kept."""
    out: Path
    """File to write, .jsonl: a row a prompt with its completions, their ids and log-probabilities."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """Completions of each prompt."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely token."""
    top_k: int | None = None
    """Keep only so many of the most likely tokens."""
    top_p: float | None = None
    """Keep only the most likely tokens that hold this much probability."""
    max_tokens: int = 256
    """Longest completion, its end included."""
    max_prompt_tokens: int | None = None
    """Longest prompt; longer ones lose their left side. By default one that leaves no room is refused."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion."""
    best_by: str | None = None
    """Also say which completion is best: loglik, mean_loglik or majority by the model itself, or a judge as for
    `headstart lm judge`."""
    answer: str | None = None
    """Regular expression whose last match is a completion's answer, its first group if it has one, for --best-by
    majority; the whole completion by default."""
    seed: int = 0
    """Of the noise; each prompt and completion has its own."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What samples."""
    batch_size: int = 64
    """Completions decoded together."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights."""
    quiet: bool = False
    """Show no progress bar."""


@dataclass(kw_only=True)
class ChatOptions:
    """Talk to a model. Ends with an empty line or Ctrl-D; /new forgets what was said."""

    model: str
    """Folder, .gguf file, packaged name (gemma-3-270m) or hub name of a causal language model or an adapter on one."""
    system: str | None = None
    """What the model is told first; needs a chat template that knows the role."""
    temperature: float = 0.7
    """Divides the logits; 0 takes the most likely token."""
    top_p: float | None = 0.95
    """Keep only the most likely tokens that hold this much probability."""
    max_tokens: int = 256
    """Longest answer."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer; without a chat template a new line does by default."""
    seed: int = 0
    """Of the noise."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights."""


def sample(arguments: Sequence[str]) -> int:
    """Run ``headstart lm sample``."""
    options = tyro.cli(SampleOptions, args=list(arguments), prog="headstart lm sample")
    from headstart.core.files import write_json
    from headstart.core.progress import progress
    from headstart.data.rows import check_rows, load_rows
    from headstart.language.sampler import Sampling, check_prompts

    if options.out.suffix != ".jsonl":
        raise UsageError(f"--out {options.out}: completions are written as .jsonl")
    for name, value in (("-n", options.n), ("--max-prompt-tokens", options.max_prompt_tokens)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; expected 1 or more")
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.max_tokens, options.stop)
    rows: list[dict[str, Any]] = check_rows(load_rows(options.prompts), "prompt", bad_rows="refuse").dataset.to_list()
    picker = _picker(options.best_by)
    answer = _answer(options)
    settings = _settings(options, rows)
    finished = _finished(options.out, settings)
    if len(finished) == len(rows):
        print(f"{options.out} holds the completions of all {len(rows)} prompts already")
        return 0
    sampler, encoder, context = _engine(options)
    ids = [encoder.encode_prompt(row["prompt"]) for row in rows]
    check_prompts(ids, options.n, None, context)
    write_json(_beside(options.out), settings)
    truncated = 0
    with options.out.open("a") as file, progress("sampling", len(rows), not options.quiet) as bar:
        for start in range(0, len(rows), _BLOCK):
            block = range(start, min(len(rows), start + _BLOCK))
            missing = [i for i in block if i not in finished]
            if missing:
                groups = sampler.sample([ids[i] for i in block], options.n, sampling, _block_seed(options.seed, start))
                kept = {i: group for i, group in zip(block, groups) if i in set(missing)}
                bests = _bests(picker, [rows[i] for i in kept], list(kept.values()), answer)
                lines = [_line(rows[i], i, group) | best for (i, group), best in zip(kept.items(), bests)]
                truncated += sum(one.truncated for group in kept.values() for one in group)
                file.write("".join(json.dumps(line) + "\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            bar.update(block.stop)
    drawn = (len(rows) - len(finished)) * options.n
    print(f"{drawn} completions of {len(rows) - len(finished)} prompts in {options.out}; {truncated} truncated")
    if encoder.truncations.prompts:
        print(f"{encoder.truncations.prompts} prompts were cut on the left to {options.max_prompt_tokens} tokens")
    if options.best_by == "loglik":
        _tell_coverage(options.out)
    return 0


def chat(arguments: Sequence[str]) -> int:
    """Run ``headstart lm chat``."""
    options = tyro.cli(ChatOptions, args=list(arguments), prog="headstart lm chat")
    from headstart.core.causal_models import context_length, load_model, use_suitable_threads
    from headstart.core.encoding import Encoder
    from headstart.language.sampler import Sampling
    from headstart.language.transformers_sampler import TransformersSampler

    model, tokenizer = load_model(options.model, dtype=options.dtype)
    use_suitable_threads(model)
    templated = getattr(tokenizer, "chat_template", None) is not None
    if not templated:
        print("this tokenizer has no chat template: the model goes on with the text as it stands", file=sys.stderr)
        if options.system is not None:
            raise UsageError("--system needs a chat template, and this tokenizer has none")
    context = context_length(model)
    longest = options.max_tokens if context is None else max(1, min(options.max_tokens, context // 2))
    if longest < options.max_tokens:
        print(f"the model's context is {context} tokens: answers are at most {longest}", file=sys.stderr)
    room = None if context is None else max(1, context - longest)
    encoder = Encoder(tokenizer, max_prompt_tokens=room)
    sampler = TransformersSampler(model, encoder)
    stop = options.stop or (() if templated else ("\n",))
    sampling = Sampling(options.temperature, None, options.top_p, longest, stop)
    start = [] if options.system is None else [{"role": "system", "content": options.system}]
    said, turn, cut = list(start), 0, 0
    while True:
        try:
            line = input("> ")
        except EOFError:
            return 0
        if not line.strip():
            return 0
        if line.strip() == "/new":
            said = list(start)
            continue
        said.append({"role": "user", "content": line})
        prompt = said if templated else "".join(f"{message['content']}\n" for message in said)
        ids = encoder.encode_prompt(prompt)
        if encoder.truncations.prompts > cut:
            cut = encoder.truncations.prompts
            print(f"(only the last {room} tokens fit into the model's context)", file=sys.stderr)
        answer = ""
        for piece in sampler.stream(ids, sampling, seed=_block_seed(options.seed, turn)):
            print(piece, end="", flush=True)
            answer += piece
        print()
        said.append({"role": "assistant", "content": answer})
        turn += 1


def _settings(options: SampleOptions, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All that completions depend on."""
    ignored = {"out", "quiet", "batch_size", "engine"}
    if options.max_prompt_tokens is None:
        ignored |= {"max_prompt_tokens"}  # files from before there was such an option go on
    settings = {name: value for name, value in asdict(options).items() if name not in ignored}
    asked = json.dumps([row["prompt"] for row in rows])
    return settings | {"stop": list(options.stop), "prompts": hashlib.sha256(asked.encode()).hexdigest()}


def _beside(out: Path) -> Path:
    return out.with_suffix(".settings.json")


def _finished(out: Path, settings: dict[str, Any]) -> set[int]:
    """Rows that an interrupted command has written; a last line that it left unfinished is cut off.

    Raises:
        UsageError: the file was made otherwise.
        DataError: the file holds something else.
    """
    if not out.exists() or out.stat().st_size == 0:
        return set()
    beside = _beside(out)
    before = json.loads(beside.read_text()) if beside.exists() else None
    if before != settings:
        differ = sorted(k for k in settings if before is None or before.get(k) != settings[k])
        reason = f"was made with another {', '.join(differ)}" if before is not None else "was not made by this command"
        raise UsageError(f"{out} exists and {reason}; give another --out, or remove it")
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with out.open("r+b") as file:
            file.truncate(len(whole))
    try:
        return {int(json.loads(line)["row"]) for line in whole.splitlines()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out} holds a line that this command did not write; give another --out") from error


def _engine(options: SampleOptions) -> tuple[Sampler, Encoder, int | None]:
    from headstart.core.encoding import Encoder

    if options.engine == "vllm":
        from transformers import AutoTokenizer

        from headstart.language.vllm_sampler import VLLMSampler

        encoder = Encoder(AutoTokenizer.from_pretrained(options.model), options.max_prompt_tokens)
        sampler = VLLMSampler(options.model, encoder, dtype=options.dtype)
        return sampler, encoder, sampler.engine.llm_engine.model_config.max_model_len
    from headstart.core.causal_models import check_tokens_fit, context_length, load_model, use_suitable_threads
    from headstart.language.transformers_sampler import TransformersSampler

    model, tokenizer = load_model(options.model, dtype=options.dtype)
    check_tokens_fit(model, tokenizer)
    use_suitable_threads(model)
    encoder = Encoder(tokenizer, options.max_prompt_tokens)
    return TransformersSampler(model, encoder, options.batch_size), encoder, context_length(model)


def _block_seed(seed: int, start: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{start}".encode()).digest()[:7])


def _picker(best_by: str | None) -> str | Judge | None:
    """What picks the best completion.

    Raises:
        UsageError: there is no such judge, or it compares pairs.
    """
    from headstart.judges.judge import Judge
    from headstart.judges.registry import make_judge
    from headstart.language.best_of import SELF_REWARDS

    if best_by is None or best_by in SELF_REWARDS:
        return best_by
    judge = make_judge(best_by)
    if not isinstance(judge, Judge):
        raise UsageError(f"--best-by {best_by} compares pairs; a judge that scores is needed to pick one of many")
    return judge


def _tell_coverage(path: Path) -> None:
    """Print how likely the likeliest candidates are, on which it depends how many are worth drawing."""
    import numpy as np

    with path.open() as file:
        scores = [[score for score in json.loads(line)["scores"] if score is not None] for line in file]
    nats = [-max(found) for found in scores if found]
    if nats:
        low, middle, high = np.quantile(nats, [0.25, 0.5, 0.75])
        print(
            f"the likeliest candidate of a prompt has probability exp(-{middle:.1f}) in the middle, exp(-{low:.1f}) and"
            f" exp(-{high:.1f}) a quarter from either end; one over it, times log 2, is how many make it the usual pick"
        )


def _answer(options: SampleOptions) -> Callable[[str], str | None] | None:
    """What reads the answer off a completion."""
    if options.answer is None:
        return None
    from headstart.judges.group_judges import Majority

    if options.best_by != "majority":
        raise UsageError("--answer goes with --best-by majority")
    return Majority(options.answer).answer


def _bests(
    picker: Any,
    rows: Sequence[dict[str, Any]],
    groups: Sequence[Sequence[Sample]],
    answer: Callable[[str], str | None] | None = None,
) -> list[dict[str, Any]]:
    """What is added to each line: the best completion's position and all their scores."""
    from headstart.language.best_of import Best, judge_scores, self_scores

    if picker is None:
        return [{} for _ in groups]
    if isinstance(picker, str):
        scores = [self_scores(group, cast("SelfReward", picker), answer) for group in groups]
    else:
        columns = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"}
        scores = judge_scores(groups, picker, [row["prompt"] for row in rows], columns)
    bests = [Best(list(group), values) for group, values in zip(groups, scores)]
    return [{"best": best.index, "scores": best.scores} for best in bests]


def _line(row: dict[str, Any], number: int, group: Sequence[Sample]) -> dict[str, Any]:
    return row | {
        "row": number,
        "completions": [one.text for one in group],
        "completion_ids": [one.ids for one in group],
        "log_probabilities": [one.log_probabilities for one in group],
        "model_log_probabilities": [one.model_log_probabilities for one in group],
        "truncated": [one.truncated for one in group],
    }
