"""The model, tokenizer and pairs on which DPO is timed. Imports nothing but torch and transformers."""

from __future__ import annotations

import random
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SHAPES = {
    "tiny": {"width": 64, "words": 512, "layers": 2},
    "0.3B": {"width": 640, "words": 262_144, "layers": 18},
}


def language_model(shape: str) -> Any:
    """Random weights: a tiny Llama, or the shape of Gemma-3-270M (its 262 144 words tied, of 268 million weights)."""
    torch.manual_seed(0)
    given = SHAPES[shape]
    common = {"vocab_size": given["words"], "hidden_size": given["width"], "num_hidden_layers": given["layers"]}
    common |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "max_position_embeddings": 2048}
    if shape == "tiny":
        return LlamaForCausalLM(LlamaConfig(**common, intermediate_size=192, num_attention_heads=2))
    attention = {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "sliding_window": 512}
    return Gemma3ForCausalLM(Gemma3TextConfig(**common, **attention, intermediate_size=2048))


def tokenizer(shape: str) -> PreTrainedTokenizerFast:
    """One word an id."""
    words = {"<pad>": 0, "</s>": 1, "<s>": 2} | {f"w{i}": i for i in range(3, SHAPES[shape]["words"])}
    inner = Tokenizer(WordLevel(words, unk_token="<pad>"))
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
