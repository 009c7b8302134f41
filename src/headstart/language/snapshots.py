"""Weights that a policy once had, kept in a run's folder: to begin again from, or to draw completions with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from headstart.core.files import write_atomically
from headstart.language.learner import Learner
from headstart.language.training_state import put_back, whole


def keep_weights(learner: Learner, path: Path) -> None:
    """Write the weights being trained, as they are now, unless they were written before."""
    if learner.processes.told(path.exists):
        return
    weights = {name: whole(weight) for name, weight in learner.trained_weights().items()}
    if learner.processes.first:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.torch.save(weights))
    learner.processes.told(bool)  # the others wait


def begin_again(learner: Learner, path: Path) -> None:
    """Put back weights that were kept, with a new optimiser."""
    put_back(safetensors.torch.load_file(str(path)), learner.trained_weights())
    learner.optimizer.state.clear()


@contextmanager
def as_it_was(learner: Learner, path: Path) -> Iterator[None]:
    """The policy has weights that were kept, to draw with; then its own again."""
    weights = learner.trained_weights()
    own: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in weights.items()}
    put_back(safetensors.torch.load_file(str(path)), weights)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(own[name])
