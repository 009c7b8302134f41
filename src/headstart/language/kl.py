"""Divergence of a policy from its reference: exact over the whole vocabulary, and three estimates from samples.

All are of KL(policy, reference). The estimates take log-ratios log pi(y) - log pi_ref(y) of samples y of the policy
itself (Schulman, "Approximating KL divergence", 2020); of tokens or of whole completions, as the caller sums.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.encoding import TokenBatch
from headstart.core.errors import UsageError
from headstart.language.log_probabilities import completions_of, predicting_states, spread
from headstart.language.method import Scored
from headstart.language.output_head import OutputHead, chunks, recomputed, widened


def k1(log_ratio: Float[Tensor, "*sample"]) -> Float[Tensor, "*sample"]:
    """The log-ratio itself. Unbiased, of either sign, and noisy; the gradient of its mean over samples says nothing."""
    return log_ratio


def k2(log_ratio: Float[Tensor, "*sample"]) -> Float[Tensor, "*sample"]:
    """Half its square. Biased but never negative; its gradient is an unbiased estimate of the KL's."""
    return 0.5 * log_ratio**2


def k3(log_ratio: Float[Tensor, "*sample"]) -> Float[Tensor, "*sample"]:
    """exp(-log-ratio) - 1 + log-ratio. Unbiased and never negative; its gradient is of the KL the other way round."""
    return torch.expm1(-log_ratio) + log_ratio


ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}
"""The estimates by name."""


def distribution_kl(
    policy: Float[Tensor, "*position word"], reference: Float[Tensor, "*position word"]
) -> Float[Tensor, "*position"]:
    """KL of two distributions over the vocabulary, from their logits, in float32 or wider."""
    log_p, log_q = torch.log_softmax(widened(policy), -1), torch.log_softmax(widened(reference), -1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def exact_kl(policy: Any, reference: Any, batch: TokenBatch, temperature: float = 1.0) -> Scored:
    """KL over the whole vocabulary at every token of the completions, a few positions at a time.

    Summed over a completion of the policy's own it is an unbiased estimate of the KL between whole completions, with
    less noise than any of the samples' estimates. The gradient is that of each position's KL, not of which positions
    the policy comes to.

    Args:
        policy: a causal language model.
        reference: another with the same vocabulary; or the policy itself, if it is an adapter: then the model below.
        batch: rows padded on the right.
        temperature: both sides' logits are divided by it.

    Returns:
        the KL in ``policy``, laid out as log-probabilities are, with gradient where it is enabled.

    Raises:
        UsageError: the vocabularies are of different sizes.
    """
    layout = completions_of(batch)
    below = reference.disable_adapter() if reference is policy else nullcontext()
    with torch.no_grad(), below:
        other, other_head = predicting_states(reference, layout)
    states, head = predicting_states(policy, layout)

    def divergence(states: Tensor, other: Tensor) -> Tensor:
        with torch.no_grad():
            second = _logits(other, other_head, temperature)
        first = _logits(states, head, temperature)
        if first.shape != second.shape:
            raise UsageError(
                f"the policy's vocabulary has {first.shape[-1]} words and the reference's {second.shape[-1]};"
                " a KL needs the same words on both sides"
            )
        return distribution_kl(first, second)

    words = states.shape[-1] if head is None else head.words
    parts = [recomputed(divergence, states[part], other[part]) for part in chunks(len(states), words)]
    return spread(torch.cat(parts), layout.lengths)


def _logits(states: Tensor, head: OutputHead | None, temperature: float) -> Tensor:
    return widened(states) / temperature if head is None else head.logits(states, temperature)
