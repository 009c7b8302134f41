"""What a prompt is worth: the reward that a frozen model is expected to get on it, read off its own hidden states."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headstart.core.errors import DataError, UsageError
from headstart.language.output_head import take_apart


class AttentionValue(torch.nn.Module):
    """One learned query attends to a prompt's hidden states; a linear layer and a sigmoid give a reward in its range.

    Args:
        width: of the hidden states.
        heads: of attention.
        reward_range: least and largest reward.
    """

    def __init__(self, width: int, heads: int, reward_range: tuple[float, float]):
        super().__init__()
        self.query = torch.nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        self.output = torch.nn.Linear(width, 1)
        self.least, self.largest = reward_range

    def forward(self, states: Float[Tensor, "row position width"], mask: Bool[Tensor, "row position"]) -> Tensor:
        """Expected reward of each row."""
        query = self.query.expand(len(states), -1, -1)
        pooled, _ = self.attention(query, states, states, key_padding_mask=~mask, need_weights=False)
        return self.least + (self.largest - self.least) * torch.sigmoid(self.output(pooled[:, 0])[:, 0])


@dataclass(frozen=True, kw_only=True)
class ValueTraining:
    """How a value is fitted; defaults of Baheti et al. 2024 (arXiv:2305.14718, sec. 2.2, app. B).

    Attributes:
        heads: of attention.
        epochs: passes over the prompts; the one with the lowest error on those held out is kept.
        learning_rate: of AdamW; a tiny model needs a hundred times more.
        batch_size: prompts a step.
        held_out: share of the prompts that epochs are compared on.
    """

    heads: int = 8
    epochs: int = 10
    learning_rate: float = 1e-5
    batch_size: int = 16
    held_out: float = 0.2


class PromptValue:
    """A fitted value: called with prompts, it gives their expected rewards.

    Attributes:
        errors: mean squared error on the held-out prompts after each epoch.
        error_of_mean: that of the training prompts' mean reward, for comparison.
    """

    def __init__(self, model: Any, head: AttentionValue, errors: list[float], error_of_mean: float):
        self.model, self.head, self.errors, self.error_of_mean = model, head, errors, error_of_mean

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Sequence[int]], batch_size: int = 64) -> list[float]:
        """Expected reward of each prompt, given as ids."""
        found: list[float] = []
        for start in range(0, len(prompts), batch_size):
            found += self.head(*_states(self.model, prompts[start : start + batch_size])).tolist()
        return found


def estimate_value(
    model: Any,
    prompts: Sequence[Sequence[int]],
    rewards: Sequence[float],
    reward_range: tuple[float, float] = (0.0, 1.0),
    training: ValueTraining | None = None,
    seed: int = 0,
) -> PromptValue:
    """Fit the expected reward of a model's own completions to their prompts.

    Args:
        model: the causal language model that wrote the completions; it stays as it is.
        prompts: as ids; they should not be among those trained on afterwards.
        rewards: of one completion to each.
        reward_range: least and largest reward; the value cannot leave it.
        training: settings.
        seed: of weights, order, and which prompts are held out.

    Raises:
        DataError: rewards outside the range or not one for each prompt, an empty prompt, or too few prompts.
        UsageError: the heads do not divide the model's width.
    """
    training = training or ValueTraining()
    wanted = torch.tensor(list(rewards), dtype=torch.float32)
    if len(prompts) != len(wanted):
        raise DataError(f"{len(wanted)} rewards for {len(prompts)} prompts; expected one for each")
    outside = (~((wanted >= reward_range[0]) & (wanted <= reward_range[1]))).nonzero()
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"reward {float(wanted[row]):g} of prompt {row} lies outside {list(reward_range)}; rescale the rewards"
            " (a sigmoid does) or give their reward_range"
        )
    if any(not prompt for prompt in prompts):
        raise DataError("a prompt is empty; there is nothing to read its value off")
    held = max(1, int(training.held_out * len(prompts)))
    if len(prompts) - held < 1:
        raise DataError(f"{len(prompts)} prompts are too few to fit a value and to hold some out")
    width = model.config.get_text_config().hidden_size
    if width % training.heads:
        raise UsageError(f"{training.heads} heads do not divide the model's width of {width}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(prompts), generator=generator)
    apart, fitted = order[:held], order[held:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = AttentionValue(width, training.heads, reward_range)
    device = next(model.parameters()).device
    head, wanted = head.to(device), wanted.to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=training.learning_rate)
    errors: list[float] = []
    best = copy.deepcopy(head)
    for _ in range(training.epochs):
        for part in fitted[torch.randperm(len(fitted), generator=generator)].split(training.batch_size):
            states, mask = _states(model, [prompts[i] for i in part.tolist()])
            loss = ((head(states, mask) - wanted[part]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = PromptValue(model, head, [], 0.0)([prompts[i] for i in apart.tolist()])
        errors.append(float(((torch.tensor(found, device=device) - wanted[apart]) ** 2).mean()))
        if errors[-1] == min(errors):
            best = copy.deepcopy(head)
    of_mean = float(((wanted[fitted].mean() - wanted[apart]) ** 2).mean())
    return PromptValue(model, best.eval(), errors, of_mean)


@torch.no_grad()
def _states(model: Any, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    longest = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts], device=device)
    mask = torch.arange(longest)[None] < torch.tensor(list(map(len, prompts)))[:, None]
    parts = take_apart(model)
    if parts is not None:
        states = parts.backbone(input_ids=ids, use_cache=False).last_hidden_state
    else:
        states = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[-1]
    return states.float(), mask.to(device)
