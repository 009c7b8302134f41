"""Tokens drawn a second, with their log-probabilities, beside transformers' ``generate`` without.

``python -m benchmarks.language_sampling``
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.measure import record
from headstart.core.causal_models import load_model, use_suitable_threads
from headstart.core.encoding import Encoder
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.sampler import Sampling
from headstart.language.tiny_models import tiny_model
from headstart.language.transformers_sampler import TransformersSampler

UNIFORM, UNEQUAL, SHARED = "one length", "unequal prompts", "one prompt, all samples"


def sides(model: Any, tokenizer: Any, batch: int, prompt: int, new: int, way: str) -> dict[str, Callable[[], int]]:
    """What both sides run: ``batch`` completions of ``new`` tokens each; each call returns the tokens it drew."""
    rng = np.random.default_rng(0)
    words = len(tokenizer)
    lengths = rng.integers(prompt // 2, prompt + 1, size=batch) if way == UNEQUAL else np.full(batch, prompt)
    prompts = [rng.integers(2, words, size=length).tolist() for length in lengths]
    longest = int(lengths.max())
    n = batch if way == SHARED else 1
    prompts = prompts[: batch // n]
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    sampler = TransformersSampler(model, Encoder(tokenizer), batch)
    sampler.ends = [-1]  # both sides draw all tokens asked for
    model.generation_config.eos_token_id = None

    def ours() -> int:
        return sum(len(s.ids) for row in sampler.sample(prompts, n, Sampling(max_tokens=new)) for s in row)

    def theirs() -> int:
        options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
        with torch.no_grad():
            out = model.generate(
                ids, attention_mask=mask, max_new_tokens=new, num_return_sequences=n, use_cache=True, **options
            )
        return out[:, longest:].numel()

    return {"headstart": ours, "generate": theirs}


def compare(title: str, calls: dict[str, Callable[[], int]], repetitions: int) -> dict[str, list[float]]:
    """Tokens a second of both, in turn, and the ratios repetition by repetition; also by processor time."""
    rates: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(repetitions + 1):
        order = list(calls) if repetition % 2 else list(calls)[::-1]
        for name in order:
            start, work = time.perf_counter(), time.process_time()
            tokens = calls[name]()
            if repetition:  # the first is warm-up
                rates[name].append(tokens / (time.perf_counter() - start))
                processor[name].append(tokens / (time.process_time() - work))
    ratios = [a / b for a, b in zip(rates["headstart"], rates["generate"])]
    work = [a / b for a, b in zip(processor["headstart"], processor["generate"])]
    print(
        f"  {title:55} {statistics.median(rates['headstart']):8.1f} against"
        f" {statistics.median(rates['generate']):8.1f} tokens/s: {statistics.median(ratios):.2f}x"
        f" ({min(ratios):.2f}-{max(ratios):.2f}); by processor time {statistics.median(work):.2f}x",
        flush=True,
    )
    return {
        f"{title}: headstart, tokens/s": rates["headstart"],
        f"{title}: generate, tokens/s": rates["generate"],
        f"{title}: ratio": ratios,
        f"{title}: ratio by processor time": work,
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--dtype", default="float32", help="of Gemma-3-270M")
    parser.add_argument("--without", nargs="*", default=[], choices=["tiny", "gemma"])
    options = parser.parse_args()
    measures: dict[str, list[float]] = {}
    if "tiny" not in options.without:
        tokenizer = word_tokenizer([f"w{i}" for i in range(60)])
        model = tiny_model(tokenizer)
        use_suitable_threads(model)
        for way in (UNIFORM, UNEQUAL, SHARED):
            title = f"tiny model, batch 64, 48 tokens, {way}"
            measures |= compare(title, sides(model, tokenizer, 64, 16, 48, way), options.repetitions)
    if "gemma" not in options.without:
        model, tokenizer = load_model("gemma-3-270m", dtype=options.dtype)
        use_suitable_threads(model)
        for way in (UNIFORM, UNEQUAL, SHARED):
            title = f"Gemma-3-270M {options.dtype}, batch 8, 32 tokens, {way}"
            measures |= compare(title, sides(model, tokenizer, 8, 64, 32, way), options.repetitions)
    record("language_sampling", {"measures": measures})


if __name__ == "__main__":
    main()
