"""A policy over finitely many responses fitted to pairs by Adam, with a free number for every response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from headstart.language.method import LanguageMethod, LossBatch
from headstart.language.tabular import scored


def fit_table(
    method: LanguageMethod,
    reference: Float[np.ndarray, "prompt response"],
    pairs: Sequence[tuple[int, int, int]],
    steps: int = 400,
    learning_rate: float = 0.05,
) -> Float[np.ndarray, "prompt response"]:
    """Log-probabilities after so many steps on all pairs, beginning as the reference.

    Args:
        method: learns from pairs.
        reference: log-probabilities.
        pairs: prompt, chosen and rejected response of each.
        steps: of Adam.
        learning_rate: of Adam.
    """
    fixed = torch.from_numpy(np.asarray(reference, np.float32))
    logits = fixed.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    prompts, *sides = torch.tensor(pairs).T
    for _ in range(steps):
        policy = torch.log_softmax(logits, -1)
        chosen, rejected = (scored(policy[prompts, side], fixed[prompts, side]) for side in sides)
        optimizer.zero_grad()
        method.loss(LossBatch({"chosen": chosen, "rejected": rejected}))[0].backward()
        optimizer.step()
    return torch.log_softmax(logits, -1).detach().double().numpy()
