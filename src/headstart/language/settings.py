"""How a language model is trained, whatever the method: steps, batches, optimiser, adapter, limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from headstart.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Training:
    """Settings that every language method shares."""

    steps: int | None = None
    """Optimiser steps; by default as many as ``epochs`` takes."""
    epochs: float = 1.0
    """Passes over the rows, when ``steps`` is not given."""
    batch_size: int = 32
    """Rows a step."""
    micro_batch_size: int | None = None
    """Rows a forward pass, accumulated up to ``batch_size``; all of them by default. Lower it when memory runs out:
    the parts, of rows of like length, add up to the whole batch's loss and gradient."""
    packing: bool = False
    """Put several rows in a line, so that next to nothing is padding: the same loss, sooner where lengths differ much.
    A model whose attention cannot keep rows of a line apart reads one row a line, as without."""
    learning_rate: float | None = None
    """Peak learning rate; the method's own by default, times ten for an adapter."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls after the warm-up: not, straight to zero, or along half a cosine to zero."""
    warmup_fraction: float = 0.03
    """Part of the steps over which the learning rate rises from zero."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 for none."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of forward and backward passes; weights and losses stay float32. bfloat16 pays on accelerators."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    lora_rank: int = 0
    """Rank of low-rank adapters; 0 trains every weight, or the adapter that the model comes with."""
    lora_alpha: int | None = None
    """Scale of the adapters; twice the rank by default."""
    max_prompt_tokens: int | None = None
    """Longest prompt, cut on the left; by default what the model's context leaves. What is cut is counted."""
    max_completion_tokens: int | None = None
    """Longest completion, cut on the right; by default what the model's context leaves. What is cut is counted."""
    log_every: int = 10
    """Steps between recorded metrics."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints."""

    def __post_init__(self) -> None:
        positive = {"batch_size": self.batch_size, "log_every": self.log_every, "epochs": self.epochs}
        for name, value in (positive | {"steps": self.steps, "micro_batch_size": self.micro_batch_size}).items():
            if value is not None and value <= 0:
                raise UsageError(f"{name} is {value}; expected a number above 0")
        for name in ("lora_rank", "gradient_clip", "weight_decay", "checkpoint_minutes"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if not 0 <= self.warmup_fraction < 1:
            raise UsageError(
                f"warmup_fraction is {self.warmup_fraction}; expected a part of the steps, from 0 to below 1"
            )
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise UsageError(f"learning_rate is {self.learning_rate}; expected a number above 0")

    def total_steps(self, rows: int) -> int:
        """Optimiser steps for so many rows."""
        return self.steps if self.steps is not None else max(1, math.ceil(self.epochs * rows / self.batch_size))

    def rate(self, step: int, total: int) -> float:
        """Share of the peak learning rate at a step counted from 0, of ``total``."""
        warmup = math.ceil(self.warmup_fraction * total)
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, total - warmup)
        if self.schedule == "linear":
            return 1.0 - done
        return 0.5 * (1.0 + math.cos(math.pi * done)) if self.schedule == "cosine" else 1.0
