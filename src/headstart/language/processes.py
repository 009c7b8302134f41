"""Several processes that train one model together (``accelerate launch``, ``torchrun``); one alone is the usual case.

Each process does its share of what is divided (forward and backward passes, drawing, scoring), and all know all of what
comes of it; the first one judges and writes. They see one disk. Where accelerate is set to FSDP, the weights being
trained, their gradients and the optimiser are divided too; the weights come together while completions are drawn or
scored. A frozen reference is whole in every process.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


class Processes:
    """The processes of this training; use `processes`.

    Attributes:
        count: how many there are.
        index: which of them this is, from 0.
        accelerator: accelerate's; None in a process alone.
        plugin: accelerate's settings of FSDP, where weights, gradients and optimiser are divided too.
    """

    def __init__(self, accelerator: Any = None, plugin: Any = None):
        self.accelerator, self.plugin = accelerator, plugin
        self.count = 1 if accelerator is None else int(accelerator.num_processes)
        self.index = 0 if accelerator is None else int(accelerator.process_index)

    @property
    def first(self) -> bool:
        """Whether this is the one that judges, writes and shows."""
        return self.index == 0

    @property
    def sharded(self) -> bool:
        """Whether weights, gradients and optimiser are divided."""
        return self.plugin is not None

    @property
    def loss_scale(self) -> float:
        """What a process's loss is multiplied by, so that gradients add up although divided ones are averaged."""
        return float(self.count) if self.sharded else 1.0

    def placed(self, model: Any) -> Any:
        """The model on this process's device; where it is, in a process alone."""
        return model if self.accelerator is None else model.to(self.accelerator.device)

    def divided(self, model: Any, optimizer: torch.optim.Optimizer) -> tuple[Any, torch.optim.Optimizer]:
        """Model and optimiser with their weights divided, where that is asked for."""
        if not self.sharded:
            return model, optimizer
        from accelerate import DistributedType

        self.accelerator.free_memory()  # of the model before
        state = self.accelerator.state  # accelerate divides on accelerators only, torch on processors too
        state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, self.plugin
        model, prepared = self.accelerator.prepare(model, optimizer)
        return model, prepared.optimizer

    @contextmanager
    def whole(self, model: Any) -> Iterator[None]:
        """A divided model is whole in every process, so that each can use it without gradient at its own pace."""
        modules = _divided_modules(model)
        for module in modules:
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
        try:
            yield
        finally:
            for module in modules:
                module.set_reshard_after_forward(True, recurse=False)
                module.reshard()

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's part of what is to be done."""
        return list(items[self.index :: self.count])

    def together(self, done: list[Item]) -> list[Item]:
        """What all made of their shares, in the order of the whole."""
        if self.count == 1:
            return done
        from accelerate.utils import gather_object

        parts: list[list[Item]] = gather_object([done])
        total = sum(map(len, parts))
        return [parts[i % self.count][i // self.count] for i in range(total)]

    def told(self, make: Callable[[], Item]) -> Item:
        """What the first process makes, in all of them."""
        if self.count == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        told: list[Any] = [make() if self.first else None]
        return broadcast_object_list(told)[0]

    def add_up(self, gradients_of: Iterable[Tensor]) -> None:
        """Put the sum of all processes' gradients in place of each one's own."""
        if self.count == 1 or self.sharded:  # they are averaged in the backward pass
            return
        for weight in gradients_of:
            gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
            weight.grad = self.accelerator.reduce(gradient, "sum")

    def summed(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The sum of all processes' numbers, which have the same names."""
        if self.count == 1:
            return dict(numbers)
        values = torch.tensor([numbers[name] for name in sorted(numbers)], device=self.accelerator.device)
        return dict(zip(sorted(numbers), self.accelerator.reduce(values, "sum").tolist(), strict=True))


@functools.cache
def processes() -> Processes:
    """The processes that were launched together with this one, or this one alone.

    ``ACCELERATE_USE_FSDP`` (``accelerate launch --use_fsdp``) divides the weights, with accelerate's other settings.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    from accelerate import Accelerator
    from accelerate.utils import FullyShardedDataParallelPlugin

    plugin = None
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    return Processes(Accelerator(cpu=not torch.cuda.is_available(), fsdp_plugin=plugin), plugin)


def launch(arguments: Sequence[str], count: int, shard: bool) -> int:
    """Run a headstart command in several processes of this machine that train together; returns its exit status.

    Args:
        arguments: of the command line.
        count: how many processes.
        shard: divide weights, gradients and optimiser among them.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    if shard:
        environment["ACCELERATE_USE_FSDP"] = "true"
    words = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m", "headstart"]
    return subprocess.run([sys.executable, *words, *arguments], env=environment, check=False).returncode


def _divided_modules(model: Any) -> list[Any]:
    return [module for module in model.modules() if hasattr(module, "unshard")]
