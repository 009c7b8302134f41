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
        buffers, new = self.buffers, (key_states, value_states)
        if buffers is None or length > buffers[0].shape[-2]:
            buffers = self._moved(new, None, max(length + _ROOM, 2 * past))
        for buffer, states in zip(buffers, new):
            buffer[:, :, past:length] = states
        return self._hold(buffers, length)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row ``repeats`` times, one after the other."""
        if self.buffers is not None:
            rows = torch.arange(len(self.buffers[0]), device=self.buffers[0].device)
            self.batch_select_indices(rows.repeat_interleave(repeats))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only these rows."""
        if self.buffers is not None:
            moved = self._moved(self.buffers, indices, self.buffers[0].shape[-2])
            self._hold(moved, self.get_seq_length())

    def _moved(self, like: tuple[Tensor, Tensor], rows: Tensor | None, room: int) -> tuple[Tensor, Tensor]:
        """New buffers of that room with the chosen rows of the past."""
        length, held = self.get_seq_length(), self.buffers or (None, None)
        moved = []
        for states, past in zip(like, held):
            count = len(states) if rows is None else len(rows)
            buffer = states.new_empty(count, states.shape[1], room, states.shape[-1])
            if past is not None:
                buffer[:, :, :length] = past[:, :, :length] if rows is None else past[rows, :, :length]
            moved.append(buffer)
        return moved[0], moved[1]

    def _hold(self, buffers: tuple[Tensor, Tensor], length: int) -> tuple[Tensor, Tensor]:
        self.buffers, self.dtype, self.device, self.is_initialized = buffers, buffers[0].dtype, buffers[0].device, True
        keys, values = (buffer[:, :, :length] for buffer in buffers)
        self.keys, self.values = keys, values
        return keys, values


def new_cache(configuration: Any) -> Cache:
    """An empty cache for a model: buffered if all its layers are attention, otherwise what transformers would use."""
    usual = DynamicCache(config=configuration)
    if all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in usual.layers):
        return Cache(layer_class_to_replicate=BufferedLayer)
    return usual
