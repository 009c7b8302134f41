"""Trained weights and their optimiser on disk, so that training goes on exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from headstart.core.errors import CheckpointError

WEIGHTS, MOMENTS = "weights.safetensors", "optimizer.safetensors"


def save_state(folder: Path, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Write weights, and the optimiser's state of each of them, as safetensors.

    Args:
        folder: where to; it exists.
        weights: what is trained, by name, in the order in which the optimiser has it.
        optimizer: of these weights.
    """
    safetensors.torch.save_file(_contiguous(weights), str(folder / WEIGHTS))
    state = optimizer.state_dict()["state"]
    moments = {f"{index}.{name}": value for index, held in state.items() for name, value in held.items()}
    safetensors.torch.save_file(_contiguous(moments), str(folder / MOMENTS))


def load_state(folder: Path, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, whose: str) -> None:
    """Put back what ``save_state`` wrote.

    Args:
        folder: where it is.
        weights: as given to ``save_state``.
        optimizer: likewise.
        whose: what the weights are of, for the message.

    Raises:
        CheckpointError: they are of a model with other weights.
    """
    saved = safetensors.torch.load_file(str(folder / WEIGHTS))
    if {name: value.shape for name, value in saved.items()} != {name: held.shape for name, held in weights.items()}:
        raise CheckpointError(f"{folder} holds other weights than this {whose} trains")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(saved[name])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in safetensors.torch.load_file(str(folder / MOMENTS)).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().contiguous() for name, value in tensors.items()}
