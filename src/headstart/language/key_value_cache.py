"""Keys and values of past tokens in buffers that are written in place.

The cache that transformers uses by default joins the whole past with each new token; here a step writes one column.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

_ROOM = 64


class BufferedLayer(DynamicLayer):
    """One layer's keys and values: views of buffers whose room is doubled when it runs out.

    Layers that attend to a window keep the whole past too; the model's own mask limits what they see.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Append the states of new tokens; returns all keys and values, "row head position width"."""
        past = self.get_seq_length()
        length = past + key_states.shape[-2]
        if self.buffers is None or length > self.buffers[0].shape[-2]:
            self._move((key_states, value_states), None, max(length + _ROOM, 2 * past))
        for buffer, states in zip(self.buffers or (), (key_states, value_states)):
            buffer[:, :, past:length] = states
        self._view(length)
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row ``repeats`` times, one after the other."""
        if self.buffers is not None:
            rows = torch.arange(len(self.keys), device=self.keys.device).repeat_interleave(repeats)
            self._move((self.keys, self.values), rows, self.buffers[0].shape[-2])

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only these rows."""
        if self.buffers is not None:
            self._move((self.keys, self.values), indices, self.buffers[0].shape[-2])

    def _move(self, like: tuple[Tensor, Tensor], rows: Tensor | None, room: int) -> None:
        length = self.get_seq_length()
        moved = []
        for states, past in zip(like, (self.keys, self.values)):
            count = len(states) if rows is None else len(rows)
            buffer = states.new_empty(count, states.shape[1], room, states.shape[-1])
            if length:
                buffer[:, :, :length] = past if rows is None else past[rows]
            moved.append(buffer)
        self.buffers, self.dtype, self.device, self.is_initialized = tuple(moved), like[0].dtype, like[0].device, True
        self._view(length)

    def _view(self, length: int) -> None:
        if self.buffers is not None:
            self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)


def new_cache(configuration: Any) -> Cache:
    """An empty cache for a model: buffered if all its layers are attention, otherwise what transformers would use."""
    usual = DynamicCache(config=configuration)
    if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in usual.layers):
        return Cache(layer_class_to_replicate=BufferedLayer)
    return usual
