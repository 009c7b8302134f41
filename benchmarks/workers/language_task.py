"""The models, tokenizers and rows on which training is timed. Imports nothing but torch and transformers."""

from __future__ import annotations

import random
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SHAPES = {
    "tiny": {"width": 64, "words": 512, "layers": 2},
    "mid": {"width": 384, "words": 8192, "layers": 6},
    "0.3B": {"width": 640, "words": 262_144, "layers": 18},
}


QUIET = {
    "learning_rate": 1e-6,
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "logging_strategy": "no",
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
"""Arguments of TRL's configurations: float32 on the processor, nothing logged or saved."""


def language_model(shape: str) -> Any:
    """Random weights: a tiny Llama, or the shape of Gemma-3-270M (its 262 144 words tied, of 268 million weights)."""
    torch.manual_seed(0)
    given = SHAPES[shape]
    common = {"vocab_size": given["words"], "hidden_size": given["width"], "num_hidden_layers": given["layers"]}
    common |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "max_position_embeddings": 2048}
    if shape != "0.3B":
        width, heads = given["width"], given["width"] // 32
        return LlamaForCausalLM(LlamaConfig(**common, intermediate_size=3 * width, num_attention_heads=heads))
    attention = {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "sliding_window": 512}
    return Gemma3ForCausalLM(Gemma3TextConfig(**common, **attention, intermediate_size=2048))


def tokenizer(shape: str) -> PreTrainedTokenizerFast:
    """One word an id."""
    words = {"<pad>": 0, "</s>": 1, "<s>": 2} | {f"w{i}": i for i in range(3, SHAPES[shape]["words"])}
    inner = Tokenizer(WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", bos_token="<s>")


def batches(task: dict) -> list[list[dict[str, list[int]]]]:
    """As many batches of pairs as there are steps, as ids; lengths drawn evenly from the task's ranges."""
    draw = random.Random(0)
    words = SHAPES[task["shape"]]["words"]

    def ids(bounds: list[int]) -> list[int]:
        return [draw.randrange(3, words) for _ in range(draw.randint(*bounds))]

    def pair() -> dict[str, list[int]]:
        chosen, rejected = ([*ids(task["completion"]), 1] for _ in range(2))
        return {"prompt_ids": ids(task["prompt"]), "chosen_ids": chosen, "rejected_ids": rejected}

    return [[pair() for _ in range(task["batch"])] for _ in range(task["steps"])]


def tokens(batch: list[dict[str, list[int]]]) -> int:
    """Tokens of both sides with their prompts, padding left out."""
    return sum(2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in batch)


def skewed(task: dict) -> list[list[dict[str, list[int]]]]:
    """Batches of rows, most of them short and a few as long as the task allows."""
    draw = random.Random(0)
    words = SHAPES[task["shape"]]["words"]

    def row() -> dict[str, list[int]]:
        length = min(task["longest"], 8 + int(draw.lognormvariate(3.0, 1.0)))
        ids = [draw.randrange(3, words) for _ in range(length)]
        return {"prompt_ids": ids[: length // 3 + 1], "completion_ids": [*ids[length // 3 + 1 :], 1]}

    return [[row() for _ in range(task["batch"])] for _ in range(task["steps"])]


def tokens_of_rows(batch: list[dict[str, list[int]]]) -> int:
    """Tokens of prompts and completions, padding left out."""
    return sum(len(row["prompt_ids"]) + len(row["completion_ids"]) for row in batch)


def questions(task: dict) -> list[dict[str, str]]:
    """Prompts of an online loop, as many as its steps take."""
    draw = random.Random(0)
    words = SHAPES[task["shape"]]["words"]
    return [
        {"prompt": " ".join(f"w{draw.randrange(3, words)}" for _ in range(task["prompt"]))}
        for _ in range(task["prompts"] * task["steps"])
    ]


def variety(completions: list[str]) -> list[float]:
    """What the online loop is judged by: different words of each completion."""
    return [float(len(set(text.split()))) for text in completions]


def tokens_of_step(task: dict) -> int:
    """Tokens of a step of the online loop: random weights hardly ever end a completion before its longest."""
    return task["prompts"] * task["completions"] * (task["prompt"] + task["longest"])
