"""Small models with fixed weights, and rows for them."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from headstart.core.encoding import Encoded

WORDS = 40
PROMPTS = [[3, 9, 4, 1, 7], [5, 6], [8, 2, 2]]
CHOSEN = [[10, 11, 12, 1], [13], [14, 15, 1]]
REJECTED = [[20, 1], [21, 22, 23, 24, 1], [25, 1]]


def llama(words: int = WORDS, **settings: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    settings = {"initializer_range": 0.3, "tie_word_embeddings": False} | settings
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=words,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            bos_token_id=0,
            eos_token_id=1,
            **settings,
        )
    ).eval()


def gemma() -> Gemma3ForCausalLM:
    """Tied embeddings, sliding windows and capped logits."""
    torch.manual_seed(0)
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=WORDS,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention"],
            final_logit_softcapping=2.0,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
        )
    ).eval()


def gpt2() -> GPT2LMHeadModel:
    """Learned positions."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=1, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=1)
    ).eval()


def pairs() -> tuple[list[Encoded], list[Encoded]]:
    chosen = [Encoded(prompt, completion) for prompt, completion in zip(PROMPTS, CHOSEN, strict=True)]
    rejected = [Encoded(prompt, completion) for prompt, completion in zip(PROMPTS, REJECTED, strict=True)]
    return chosen, rejected
