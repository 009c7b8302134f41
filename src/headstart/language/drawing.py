"""Drawing one token a row from logits, with its log-probability under what it was drawn from and under the model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.language.sampler import Sampling

_BLOCK = 512
_CANDIDATES = 512


class Drawn(NamedTuple):
    """One token a row.

    Attributes:
        tokens: the tokens.
        log_probabilities: under the distribution they were drawn from.
        model_log_probabilities: under the softmax of the logits.
    """

    tokens: Int[Tensor, " row"]
    log_probabilities: Float[Tensor, " row"]
    model_log_probabilities: Float[Tensor, " row"]


def draw(logits: Float[Tensor, "row word"], noise: Float[Tensor, " row"], sampling: Sampling) -> Drawn:
    """Draw by inverting the cumulative distribution at ``noise`` in [0, 1): the same noise gives the same token."""
    logits = logits.float()
    if sampling.temperature == 0:
        highest, tokens = logits.max(-1)
        return Drawn(tokens, torch.zeros_like(highest), highest - logits.logsumexp(-1))
    plain = sampling.temperature == 1 and sampling.top_k is None and sampling.top_p is None
    tempered = logits if sampling.temperature == 1 else logits / sampling.temperature
    kept = tempered if plain else keep_likely(tempered, sampling.top_k, sampling.top_p)
    highest = kept.amax(-1, keepdim=True)
    weights = (kept - highest).exp_()
    tokens, total = _inverted(weights, noise)
    chosen = tokens[:, None]
    log_probabilities = (kept.gather(-1, chosen) - highest)[:, 0] - total.log()
    if plain:
        return Drawn(tokens, log_probabilities, log_probabilities)
    return Drawn(tokens, log_probabilities, logits.gather(-1, chosen)[:, 0] - logits.logsumexp(-1))


def keep_likely(logits: Float[Tensor, "row word"], top_k: int | None, top_p: float | None) -> Float[Tensor, "row word"]:
    """Logits with all but the likely tokens at minus infinity: the ``top_k`` highest, of these the fewest that hold
    ``top_p`` of what is left; tokens tied with the last one kept are kept too."""
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None and top_p < 1:
        total = logits.logsumexp(-1, keepdim=True)
        for count in (min(_CANDIDATES, logits.shape[-1]), logits.shape[-1]):
            highest = logits.topk(count).values
            mass = (highest - total).exp().cumsum(-1)
            if bool((mass[:, -1] >= top_p).all()):
                break
        before = torch.cat([torch.zeros_like(mass[:, :1]), mass[:, :-1]], dim=-1)
        last = (before < top_p).sum(-1, keepdim=True) - 1
        logits = logits.masked_fill(logits < highest.gather(-1, last), -torch.inf)
    return logits


def _inverted(
    weights: Float[Tensor, "row word"], noise: Float[Tensor, " row"]
) -> tuple[Int[Tensor, " row"], Float[Tensor, " row"]]:
    """The token at which the cumulative weights pass ``noise`` of their total, and the total.

    A large vocabulary is searched by blocks first: sums are much faster than cumulative sums.
    """
    precise = torch.float32 if weights.device.type == "mps" else torch.float64
    noise, words = noise.to(precise), weights.shape[-1]
    if words <= 8 * _BLOCK:
        cumulative = weights.cumsum(-1, dtype=precise)
        return _passed(cumulative, noise * cumulative[:, -1]), cumulative[:, -1].float()
    whole = words // _BLOCK * _BLOCK
    blocks = weights[:, :whole].unflatten(-1, (-1, _BLOCK)).sum(-1).to(precise)
    if whole < words:
        blocks = torch.cat([blocks, weights[:, whole:].sum(-1, keepdim=True).to(precise)], dim=-1)
    cumulative = blocks.cumsum(-1)
    target = noise * cumulative[:, -1]
    block = _passed(cumulative, target)[:, None]
    places = block * _BLOCK + torch.arange(_BLOCK, device=weights.device)
    inside = weights.gather(-1, places.clamp(max=words - 1)).masked_fill(places >= words, 0.0)
    rest = target - (cumulative - blocks).gather(-1, block)[:, 0]
    return block[:, 0] * _BLOCK + _passed(inside.cumsum(-1, dtype=precise), rest), cumulative[:, -1].float()


def _passed(cumulative: Float[Tensor, "row place"], target: Float[Tensor, " row"]) -> Int[Tensor, " row"]:
    """First place whose cumulative weight exceeds the target; at most the last place that has weight."""
    found = torch.searchsorted(cumulative, target[:, None], right=True)
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())
    return torch.minimum(found, last)[:, 0].clamp(max=cumulative.shape[-1] - 1)  # not a number: any place
