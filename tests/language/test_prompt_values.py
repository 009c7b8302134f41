"""The value of a prompt is read off a frozen model's hidden states."""

from __future__ import annotations

import pytest
import torch

from headstart.core.errors import DataError, UsageError
from headstart.language.prompt_values import ValueTraining, estimate_value
from tests.language.small_models import llama

QUICK = ValueTraining(heads=4, epochs=6, learning_rate=1e-2)


def prompts(count: int) -> tuple[list[list[int]], list[float]]:
    """The reward depends on the first word, with noise."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(3, 9, (count, 4), generator=generator).tolist()
    noise = 0.1 * torch.rand(count, generator=generator)
    rewards = [0.85 if row[0] % 2 else 0.05 for row in words]
    return [row[: 2 + row[1] % 3] for row in words], [a + float(b) for a, b in zip(rewards, noise, strict=True)]


def test_value_beats_the_mean_and_the_model_is_left_alone() -> None:
    model = llama()
    before = [weight.clone() for weight in model.parameters()]
    given, rewards = prompts(300)
    value = estimate_value(model, given, rewards, training=QUICK)
    assert min(value.errors) < 0.5 * value.error_of_mean
    assert len(value.errors) == 6
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    found = value(given, batch_size=7)
    assert found == pytest.approx(value(given), abs=1e-6)  # padding makes no difference
    assert all(0 < estimate < 1 for estimate in found)
    again = estimate_value(model, given, rewards, training=QUICK)
    assert again(given[:20]) == pytest.approx(value(given[:20]), abs=1e-6)


def test_rewards_and_settings_that_cannot_work_are_refused() -> None:
    given, rewards = prompts(20)
    with pytest.raises(DataError, match=r"reward 1.5 of prompt 3 lies outside \[0.0, 1.0\]"):
        estimate_value(llama(), given, [*rewards[:3], 1.5, *rewards[4:]], training=QUICK)
    with pytest.raises(DataError, match="reward nan of prompt 0"):
        estimate_value(llama(), given, [float("nan"), *rewards[1:]], training=QUICK)
    with pytest.raises(DataError, match="19 rewards for 20 prompts"):
        estimate_value(llama(), given, rewards[1:], training=QUICK)
    with pytest.raises(DataError, match="empty"):
        estimate_value(llama(), [[], *given[1:]], rewards, training=QUICK)
    with pytest.raises(UsageError, match="3 heads do not divide"):
        estimate_value(llama(), given, rewards, training=ValueTraining(heads=3))
