"""Low-rank adapters that a policy learns in, and their weights as they were when training began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.settings import Training


def is_adapted(model: Any) -> bool:
    """Whether a model is a PEFT adapter on another."""
    return hasattr(model, "disable_adapter")


def check_adapter(model: Any, training: Training) -> None:
    """Refuse settings of a new adapter for a model that comes with one of other settings.

    Raises:
        UsageError: ``lora_rank`` or ``lora_alpha`` is asked for and is not what the model's adapter has.
    """
    if not is_adapted(model) or not training.lora_rank:
        return
    own = model.peft_config[model.active_adapter]
    for name, asked in (("rank", training.lora_rank), ("alpha", training.lora_alpha)):
        held = getattr(own, "r" if name == "rank" else "lora_alpha", None)
        if asked is not None and asked != held:
            raise UsageError(
                f"the model comes with an adapter of {name} {held}, which is trained on; given lora_{name} {asked}:"
                f" leave lora_rank (--lora-rank) out to train that adapter on, or for a new one begin from the merged"
                " model (model.merge_and_unload(), saved to a folder)"
            )


def with_adapter(model: Any, training: Training) -> Any:
    """The model under a new adapter, where one is asked for and it has none.

    Raises:
        UsageError: see ``check_adapter``.
    """
    check_adapter(model, training)
    if not training.lora_rank or is_adapted(model):
        return model
    import peft

    alpha = training.lora_alpha or 2 * training.lora_rank
    adapter = peft.LoraConfig(
        r=training.lora_rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.0
    )
    return peft.get_peft_model(model, adapter)


def copies(model: Any) -> dict[str, Tensor]:
    """Copies of the weights that are trained, by name, each divided among processes as its weight is."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


@contextmanager
def holding(model: Any, values: Mapping[str, Tensor]) -> Iterator[None]:
    """The model has other values of some of its weights, by name; then its own again.

    Written into the weights themselves, which an optimiser and divided processes know: not while a gradient is due.
    """
    weights = {name: weight for name, weight in model.named_parameters() if name in values}
    own = {name: weight.detach().clone() for name, weight in weights.items()}
    _write(weights, values)
    try:
        yield
    finally:
        _write(weights, own)


@torch.no_grad()
def _write(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])
