"""From hidden states to log-probabilities of tokens, few positions at a time, so that any vocabulary fits.

Whole rows of logits exist for those positions only, forward and backward.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_BYTES = 64 * 2**20
"""Most bytes of logits that are held at once."""


@dataclass(frozen=True)
class OutputHead:
    """What turns a model's last hidden states into logits.

    Attributes:
        module: the output embedding.
        scale: logits are multiplied by it.
        cap: logits are squeezed into (-cap, cap) by a hyperbolic tangent; None leaves them as they are.
    """

    module: torch.nn.Module
    scale: float = 1.0
    cap: float | None = None

    def logits(
        self, hidden: Float[Tensor, "position width"], temperature: float = 1.0
    ) -> Float[Tensor, "position word"]:
        """Logits in float32 or wider, over the temperature."""
        return self.shaped(self.module(hidden), temperature)

    def shaped(self, logits: Float[Tensor, "position word"], temperature: float) -> Float[Tensor, "position word"]:
        """What follows the matrix: width, scale, cap and temperature."""
        logits = widened(logits)
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.cap is not None:
            logits = self.cap * torch.tanh(logits / self.cap)
        return logits if temperature == 1.0 else logits / temperature

    @property
    def is_plain(self) -> bool:
        """Whether it is one matrix and nothing else, so that its gradient can be written out."""
        unhooked = not (
            self.module._forward_hooks or self.module._forward_pre_hooks or hasattr(self.module, "_hf_hook")
        )
        return type(self.module) is torch.nn.Linear and unhooked and self.scale == 1.0 and self.cap is None

    def log_probabilities(
        self, hidden: Float[Tensor, "position width"], targets: Int[Tensor, " position"], temperature: float = 1.0
    ) -> Float[Tensor, " position"]:
        """Log-probability of one word at each position."""
        if self.is_plain and isinstance(self.module, torch.nn.Linear):
            weight, bias = self.module.weight, self.module.bias
            kept = dtype_of_matrix(hidden)
            cast = (hidden.to(kept), weight.to(kept), None if bias is None else bias.to(kept))
            return _TargetLogProbabilities.apply(*cast, targets, temperature)
        parts = []
        for part in chunks(len(targets), self.words):
            parts.append(recomputed(self._picked, hidden[part], targets[part], temperature))
        return torch.cat(parts) if parts else widened(hidden.sum(-1))

    @property
    def words(self) -> int:
        """Size of the vocabulary; a guess where the module does not say."""
        return int(getattr(self.module, "out_features", 2**18))

    def _picked(self, hidden: Tensor, targets: Tensor, temperature: float) -> Tensor:
        return picked(self.logits(hidden, temperature), targets)


def widened(values: Tensor) -> Tensor:
    """Half precision as float32; wider numbers as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def dtype_of_matrix(hidden: Tensor) -> torch.dtype:
    """The precision that a matrix product would run in here."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def picked(logits: Float[Tensor, "position word"], targets: Int[Tensor, " position"]) -> Float[Tensor, " position"]:
    """Log-probability of one word at each position."""
    return logits.gather(-1, targets[:, None]).squeeze(-1) - logits.logsumexp(-1)


def chunks(positions: int, words: int) -> Iterator[slice]:
    """Consecutive positions whose logits stay within `CHUNK_BYTES`, of equal size as nearly as can be."""
    most = max(1, CHUNK_BYTES // (4 * words))
    count = -(-positions // most)
    size = -(-positions // count) if count else 1
    for start in range(0, positions, size):
        yield slice(start, min(start + size, positions))


def recomputed(function: Any, *inputs: Any) -> Any:
    """A function's value, its intermediate results computed again in the backward pass instead of kept."""
    if torch.is_grad_enabled():
        return checkpoint(function, *inputs, use_reentrant=False)
    return function(*inputs)


class _TargetLogProbabilities(torch.autograd.Function):
    """log softmax(hidden @ weight.T + bias)[target], chunk by chunk.

    The gradient of a position's logits is its incoming gradient times (one-hot - softmax). With a single chunk the
    softmax is kept; with more it is computed again, unless the matrix is frozen: then the gradient of the hidden
    states is known up to that factor in the forward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float
    ) -> Tensor:
        parts = list(chunks(len(targets), len(weight)))
        found = torch.empty(len(targets), dtype=widened(hidden[:0]).dtype, device=hidden.device)
        wanted = hidden.requires_grad or weight.requires_grad
        frozen = not weight.requires_grad and not (bias is not None and bias.requires_grad)
        normalizer = torch.empty_like(found)
        kept = torch.empty_like(hidden) if wanted and frozen else None
        for part in parts:
            logits = _logits(hidden[part], weight, bias, temperature)
            chosen = logits.gather(-1, targets[part, None]).squeeze(-1)
            largest = logits.amax(-1)
            probabilities = logits.sub_(largest[:, None]).exp_()
            total = probabilities.sum(-1)
            normalizer[part] = largest + total.log()
            found[part] = chosen - normalizer[part]
            if kept is not None:
                probabilities.div_(total[:, None])
                kept[part] = weight[targets[part]] - probabilities.to(weight.dtype) @ weight
            elif wanted and len(parts) == 1:
                kept = probabilities.div_(total[:, None])
        ctx.save_for_backward(hidden, weight, bias, targets, normalizer, kept)
        ctx.parts, ctx.temperature, ctx.frozen = parts, temperature, frozen
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, normalizer, kept = ctx.saved_tensors
        incoming = gradients[0] / ctx.temperature
        if ctx.frozen:
            return kept * incoming[:, None].to(kept.dtype), None, None, None, None
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        of_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        for part in ctx.parts:
            if kept is None:
                logits = _logits(hidden[part], weight, bias, ctx.temperature)
                probabilities = logits.sub_(normalizer[part, None]).exp_()
            else:
                probabilities = kept.clone()
            of_logits = probabilities.mul_(-incoming[part, None])
            of_logits[torch.arange(len(of_logits), device=of_logits.device), targets[part]] += incoming[part]
            if of_bias is not None:
                of_bias += of_logits.sum(0).to(of_bias.dtype)
            of_logits = of_logits.to(weight.dtype)
            if of_hidden is not None:
                torch.mm(of_logits, weight, out=of_hidden[part])
            if of_weight is not None:
                of_weight.addmm_(of_logits.t(), hidden[part])
        return of_hidden, of_weight, of_bias, None, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = widened(torch.nn.functional.linear(hidden, weight, bias))
    return logits if temperature == 1.0 else logits.div_(temperature)


@dataclass(frozen=True)
class Parts:
    """A causal language model taken apart.

    Attributes:
        backbone: everything up to the last hidden states.
        head: the rest.
    """

    backbone: Any
    head: OutputHead


_KNOWN: weakref.WeakKeyDictionary[Any, Parts | None] = weakref.WeakKeyDictionary()


def take_apart(model: Any) -> Parts | None:
    """The backbone and output head of a transformers model or of what an adapter wraps; None if they cannot be told.

    Whether head after backbone gives the model's own logits is tried once on a few tokens; models that do something
    else in between are left whole. So are wrappers for several devices, whose own forward pass has to be called.
    """
    if hasattr(model, "get_base_model"):
        if any(getattr(adapter, "is_prompt_learning", False) for adapter in model.peft_config.values()):
            return None
        model = model.get_base_model()
    divided = hasattr(model, "unshard")
    if divided or not hasattr(model, "get_output_embeddings") or not hasattr(model, "base_model"):
        return None
    if model not in _KNOWN:
        _KNOWN[model] = _tried(model)
    return _KNOWN[model]


@torch.no_grad()
def _tried(model: Any) -> Parts | None:
    head, backbone = model.get_output_embeddings(), model.base_model
    sharded = any(type(weight) is not torch.nn.Parameter for weight in model.parameters())
    if head is None or backbone is model or sharded:
        return None
    parts = Parts(backbone, OutputHead(head, *_shape_of_logits(model.config)))
    learning = [module for module in model.modules() if module.training]
    model.eval()
    try:
        device = next(model.parameters()).device
        ids = torch.arange(1, 5, device=device)[None] % min(model.config.get_text_config().vocab_size, 5)
        expected = widened(model(input_ids=ids, use_cache=False).logits[0])
        found = parts.head.logits(backbone(input_ids=ids, use_cache=False).last_hidden_state[0])
        tolerance = 1e-4 if next(model.parameters()).dtype in (torch.float32, torch.float64) else 2e-2
        same = found.shape == expected.shape and torch.allclose(found, expected, rtol=tolerance, atol=tolerance)
    finally:
        for module in learning:
            module.training = True
    return parts if same else None


def _shape_of_logits(config: Any) -> tuple[float, float | None]:
    text = config.get_text_config()
    scale = getattr(text, "logit_scale", None)
    scaling = getattr(text, "logits_scaling", None)
    if scale is None and scaling is not None:
        scale = 1 / scaling
    return (1.0 if scale is None else float(scale)), getattr(text, "final_logit_softcapping", None)
