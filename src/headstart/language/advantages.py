"""Advantages of generated text: baselines of other samples, generalised estimates, whitening, rewards of each token."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headstart.core.errors import UsageError


def grouped(values: Float[Tensor, " row"], size: int) -> Float[Tensor, "group member"]:
    """Values of a prompt's samples, which stand next to each other, as one row each.

    Raises:
        UsageError: the rows do not divide into groups of that size.
    """
    if size < 1 or len(values) % size:
        raise UsageError(f"{len(values)} samples do not divide into groups of {size}")
    return values.reshape(-1, size)


def leave_one_out(rewards: Float[Tensor, " row"], size: int) -> Float[Tensor, " row"]:
    """Each reward less the mean of the prompt's others (REINFORCE leave-one-out, Ahmadian et al. 2024).

    Args:
        rewards: of samples, a prompt's ``size`` samples next to each other.
        size: samples of each prompt, 2 or more.
    """
    if size < 2:
        raise UsageError(f"leave-one-out needs 2 or more samples of each prompt; given {size}")
    group = grouped(rewards, size)
    others = (group.sum(-1, keepdim=True) - group) / (size - 1)
    return (group - others).reshape(-1)


def group_normalized(rewards: Float[Tensor, " row"], size: int, epsilon: float = 1e-4) -> Float[Tensor, " row"]:
    """Each reward less its group's mean, over its group's deviation (GRPO, Shao et al. 2024); 0 if constant."""
    group = grouped(rewards, size)
    return ((group - group.mean(-1, keepdim=True)) / (group.std(-1, keepdim=True) + epsilon)).reshape(-1)


def last_token(mask: Bool[Tensor, "row token"]) -> Bool[Tensor, "row token"]:
    """Where each row's last counted token stands; nowhere in a row without any."""
    columns = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, columns, -1).max(-1, keepdim=True).values
    return (columns == last) & mask


def token_rewards(
    score: Float[Tensor, " row"],
    log_policy: Float[Tensor, "row token"],
    log_reference: Float[Tensor, "row token"],
    mask: Bool[Tensor, "row token"],
    kl_coef: float,
) -> Float[Tensor, "row token"]:
    """Rewards of each token: -kl_coef·(log pi - log pi_ref) everywhere, and the completion's score at its last token.

    Log-probabilities are those of the policy that drew the completion; no gradient passes.
    """
    penalty = -kl_coef * (log_policy - log_reference).detach() * mask
    return penalty + score[:, None] * last_token(mask)


def generalized_advantages(
    rewards: Float[Tensor, "row token"],
    values: Float[Tensor, "row token"],
    mask: Bool[Tensor, "row token"],
    discount: float = 1.0,
    gae_lambda: float = 0.95,
) -> tuple[Float[Tensor, "row token"], Float[Tensor, "row token"]]:
    """Advantages (Schulman et al. 2016, eq. 16) and returns (advantages + values) of each token, without gradient.

    Args:
        rewards: of each token.
        values: what was expected before each token.
        mask: tokens that belong to the completion, without gaps; after the last one nothing is bootstrapped.
        discount: of later tokens.
        gae_lambda: 1 sums all later rewards, 0 looks one token ahead.
    """
    values = values.detach()
    advantages, running, following = (
        torch.zeros_like(values),
        torch.zeros_like(values[:, 0]),
        torch.zeros_like(values[:, 0]),
    )
    for t in reversed(range(values.shape[1])):
        inside = mask[:, t]
        delta = rewards[:, t] + discount * following - values[:, t]
        running = torch.where(inside, delta + discount * gae_lambda * running, 0.0)
        following = torch.where(inside, values[:, t], 0.0)
        advantages[:, t] = running
    return advantages, torch.where(mask, advantages + values, 0.0)


def whiten(
    values: Float[Tensor, "row token"], mask: Bool[Tensor, "row token"], shift_mean: bool = True
) -> Float[Tensor, "row token"]:
    """Values over their standard deviation among counted positions, their mean taken off or kept; 0 elsewhere."""
    kept = values[mask]
    mean, deviation = kept.mean(), kept.var(unbiased=False).add(1e-8).sqrt()
    white = (values - mean) / deviation
    return torch.where(mask, white if shift_mean else white + mean, 0.0)
