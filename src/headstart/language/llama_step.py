"""One token further in a small Llama, by the fewest operations.

In a model of this size most time goes into calling modules; here a step is a dozen calls a layer, on the model's own
weights and the sampler's cache. Other models, and Llamas that anything was added to, take transformers' way.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP, LlamaRMSNorm

from headstart.core.causal_models import SMALL

_PLAIN = (LlamaAttention, LlamaMLP, LlamaRMSNorm, torch.nn.Linear, torch.nn.Embedding)
_FIXED_ROTATIONS = ("default", "linear", "llama3")


def fits(model: Any) -> bool:
    """Whether a model is a small Llama in float32 with nothing added: no adapters, no hooks."""
    if type(model) is not LlamaForCausalLM or model.config.hidden_act != "silu":
        return False
    if model.model.rotary_emb.rope_type not in _FIXED_ROTATIONS or model.lm_head.weight.dtype != torch.float32:
        return False
    holders = [part for part in model.modules() if part._parameters]
    plain = all(type(part) in _PLAIN for layer in model.model.layers for part in layer.children())
    plain = plain and all(type(part) in _PLAIN for part in holders)
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    return plain and not hooked and sum(p.numel() for p in model.parameters()) < SMALL


class LlamaStep:
    """The step of one model, whose weights must not change meanwhile.

    Args:
        model: a model that ``fits``.
        positions: how many positions may be reached.
    """

    def __init__(self, model: Any, positions: int):
        configuration, inner = model.config, model.model
        self.model, self.epsilon = model, configuration.rms_norm_eps
        self.width, self.query_heads = configuration.hidden_size, configuration.num_attention_heads
        self.heads = self.query_heads + 2 * configuration.num_key_value_heads
        self.grouped = self.query_heads != configuration.num_key_value_heads
        self.rotated = self.query_heads + configuration.num_key_value_heads
        places = torch.arange(positions, device=model.device)[None]
        cos, sin = inner.rotary_emb(inner.embed_tokens.weight, places)
        half = cos.shape[-1] // 2
        self.half, self.cos = half, cos[0]
        self.sin = torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)
        self.layers = [
            (
                layer.input_layernorm.weight,
                *_joined(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                layer.self_attn.scaling,
                layer.self_attn.o_proj,
                layer.post_attention_layernorm.weight,
                *_joined(layer.mlp.gate_proj, layer.mlp.up_proj),
                layer.mlp.down_proj,
            )
            for layer in inner.layers
        ]

    def __call__(
        self,
        tokens: Int[Tensor, " row"],
        positions: Int[Tensor, " row"],
        mask: Bool[Tensor, "row past"] | None,
        cache: Any,
    ) -> Float[Tensor, "row word"]:
        """Logits after one more token a row; the cache takes it in. ``mask`` says which of the past is no padding."""
        shape, rows = (self.width,), len(tokens)
        seen = None if mask is None else mask[:, None, None]
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        x = functional.embedding(tokens, self.model.model.embed_tokens.weight)
        for past, (norm, mixed, mixed_bias, scaling, out, after, gated, gated_bias, down) in zip(
            cache.layers, self.layers
        ):
            h = functional.linear(functional.rms_norm(x, shape, norm, self.epsilon), mixed, mixed_bias).view(
                rows, self.heads, -1
            )
            turned = h[:, : self.rotated]
            turned = turned * cos + turned.roll(self.half, -1) * sin
            keys, values = past.update(turned[:, self.query_heads :, None], h[:, self.rotated :, None])
            query = turned[:, : self.query_heads, None]
            h = functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=seen, scale=scaling, enable_gqa=self.grouped
            )
            x = x + functional.linear(h.reshape(rows, -1), out.weight, out.bias)
            gate, up = functional.linear(functional.rms_norm(x, shape, after, self.epsilon), gated, gated_bias).chunk(
                2, -1
            )
            x = x + functional.linear(functional.silu(gate) * up, down.weight, down.bias)
        return functional.linear(
            functional.rms_norm(x, shape, self.model.model.norm.weight, self.epsilon), self.model.lm_head.weight
        )


def _joined(*parts: Any) -> tuple[Tensor, Tensor | None]:
    """Several maps of the same input as one."""
    biases = [part.bias for part in parts if part.bias is not None]
    return torch.cat([part.weight for part in parts]), torch.cat(biases) if biases else None
