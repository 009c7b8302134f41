"""Tiny language models for worlds of words: made at once, or taught by a world's demonstrations and then kept.

They are ordinary Llama-architecture models of transformers, so every method runs on them as it runs on a user's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from headstart.core.encoding import Encoded, Encoder, TokenBatch, collate
from headstart.core.files import cache_folder
from headstart.core.progress import progress
from headstart.envs.text.tokenizer import word_tokenizer

_VERSION = 1  # counted up when a model made from the same settings would differ


def tiny_model(
    tokenizer: Any, width: int = 64, layers: int = 2, heads: int = 2, positions: int = 64, seed: int = 0
) -> LlamaForCausalLM:
    """A Llama-architecture model with random weights, in float32.

    Args:
        tokenizer: says how many words there are, and which pads and which ends.
        width: of the residual stream.
        layers: how many.
        heads: of attention in each layer.
        positions: longest prompt with completion, in tokens.
        seed: of the weights; torch's own generator is left as it was.
    """
    configuration = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
        initializer_range=0.05,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(configuration).eval()


@dataclass(frozen=True)
class Pretraining:
    """How a tiny model learns a world: its size, and supervised steps on demonstrations.

    Attributes:
        width: of the model.
        layers: of the model.
        heads: of attention.
        positions: longest prompt with completion.
        demonstrations: how many are drawn, each of a problem of its own.
        style: handed to the world's ``demo``; None is the world's usual one.
        steps: of AdamW.
        batch: demonstrations a step.
        learning_rate: its peak; warmed up over a tenth of the steps, then brought down to zero along a cosine.
    """

    width: int = 64
    layers: int = 2
    heads: int = 2
    positions: int = 64
    demonstrations: int = 6000
    style: Any = None
    steps: int = 500
    batch: int = 128
    learning_rate: float = 3e-3


def pretrained(
    world: Any, seed: int = 0, settings: Pretraining | None = None, visible: bool = False, **changes: Any
) -> tuple[LlamaForCausalLM, Any]:
    """A tiny model taught by a world's demonstrations, and its tokenizer; made once, then read from the user's cache.

    Args:
        world: a frozen dataclass with ``vocabulary``, ``sample_problem``, ``prompt`` and ``demo``; its
            ``pretraining``, if it has that, says which settings differ from the usual.
        seed: of the demonstrations, the weights and the order of training.
        settings: size and training; by default the world's own.
        visible: show a progress bar.
        **changes: fields of the settings to change.
    """
    settings = replace(settings or Pretraining(**getattr(world, "pretraining", {})), **changes)
    tokenizer = word_tokenizer(world.vocabulary)
    facts = [_VERSION, type(world).__name__, asdict(world), asdict(settings), seed]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:20]
    folder = cache_folder() / "tiny-models" / digest
    if not (folder / "config.json").exists():
        model = teach(tiny_model(tokenizer, **_size(settings), seed=seed), tokenizer, world, seed, settings, visible)
        _keep(model, tokenizer, folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


def teach(
    model: LlamaForCausalLM, tokenizer: Any, world: Any, seed: int, settings: Pretraining, visible: bool = False
) -> LlamaForCausalLM:
    """Train a model on a world's demonstrations in place; the loss is the mean over the completions' tokens."""
    rows = demonstrations(world, tokenizer, settings.demonstrations, seed, settings.style)
    everything = collate(rows, tokenizer.pad_token_id)
    rng = np.random.default_rng([seed, 1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.1
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a matrix this small is slower on two
    model.train()
    try:
        with progress(f"teaching {type(world).__name__}", settings.steps, visible) as bar:
            for step in range(settings.steps):
                batch = _picked(everything, rng.integers(len(rows), size=settings.batch))
                logits = model(input_ids=batch.ids, attention_mask=batch.attention.long(), use_cache=False).logits
                counted = batch.completion[:, 1:]
                loss = torch.nn.functional.cross_entropy(logits[:, :-1][counted], batch.ids[:, 1:][counted])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                bar.update(step + 1, f"loss {loss.item():.3f}")
    finally:
        torch.set_num_threads(threads)
    return model.eval()


def demonstrations(world: Any, tokenizer: Any, count: int, seed: int, style: Any = None) -> list[Encoded]:
    """Problems of a world with demonstrations, as ids. A response at the world's ``longest`` words needs no end."""
    rng = np.random.default_rng(seed)
    encoder, longest = Encoder(tokenizer), getattr(world, "longest", None)
    rows = []
    for _ in range(count):
        problem = world.sample_problem(rng)
        response = world.demo(problem, rng, style)
        cut = longest is not None and len(response.split()) >= longest
        rows.append(encoder.encode(world.prompt(problem), response, truncated=cut))
    return rows


def _picked(batch: TokenBatch, rows: np.ndarray) -> TokenBatch:
    longest = int(batch.attention[rows].sum(-1).max())
    return TokenBatch(*(part[rows, :longest] for part in batch))


def _size(settings: Pretraining) -> dict[str, int]:
    return {name: getattr(settings, name) for name in ("width", "layers", "heads", "positions")}


def _keep(model: LlamaForCausalLM, tokenizer: Any, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        os.rename(unfinished, folder)
    except OSError:
        if not (folder / "config.json").exists():  # another process may have made the same model meanwhile
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
