"""Trained weights and their optimiser on disk, so that training goes on exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from headstart.core.errors import CheckpointError

WEIGHTS, MOMENTS = "weights.safetensors", "optimizer.safetensors"


class State(NamedTuple):
    """Weights by name, and what the optimiser keeps of each of them, whole."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]


def state_of(weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> State:
    """The state of training; where weights are divided among processes, all of them have to ask for it.

    Args:
        weights: what is trained, by name, in the order in which the optimiser has it.
        optimizer: of these weights.
    """
    state = optimizer.state_dict()["state"]
    moments = {f"{index}.{name}": value for index, held in state.items() for name, value in held.items()}
    return State(*({name: whole(value) for name, value in part.items()} for part in (weights, moments)))


def save_state(folder: Path, state: State) -> None:
    """Write a state to a folder that exists, as safetensors."""
    for name, part in zip((WEIGHTS, MOMENTS), state, strict=True):
        safetensors.torch.save_file(part, str(folder / name))


def load_state(folder: Path, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, whose: str) -> None:
    """Put back what ``save_state`` wrote.

    Args:
        folder: where it is.
        weights: as given to ``state_of``.
        optimizer: likewise.
        whose: what the weights are of, for the message.

    Raises:
        CheckpointError: they are of a model with other weights.
    """
    saved = safetensors.torch.load_file(str(folder / WEIGHTS))
    if {name: value.shape for name, value in saved.items()} != {name: held.shape for name, held in weights.items()}:
        raise CheckpointError(f"{folder} holds other weights than this {whose} trains")
    put_back(saved, weights)
    order = list(weights.values())
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in safetensors.torch.load_file(str(folder / MOMENTS)).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = _divided_like(value, order[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@torch.no_grad()
def put_back(saved: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Give weights the values that were kept of them, whole, by name."""
    for name, weight in weights.items():
        weight.copy_(_divided_like(saved[name], weight))


def whole(value: Tensor) -> Tensor:
    """A weight, put together from all processes if it is divided among them."""
    value = value.full_tensor() if isinstance(value, DTensor) else value
    return value.detach().contiguous()


def _divided_like(value: Tensor, weight: Tensor) -> Tensor:
    if not isinstance(weight, DTensor) or value.shape != weight.shape:
        return value
    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
