"""Advantages against sums written out by hand, and what policy-gradient losses leave out."""

from __future__ import annotations

import math

import pytest
import torch

from headstart.core.errors import UsageError
from headstart.language.advantages import (
    generalized_advantages,
    group_normalized,
    leave_one_out,
    token_rewards,
    whiten,
)
from headstart.language.method import LossBatch, Scored
from headstart.language.policy_gradient import PPO, REINFORCE

MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])


def test_leave_one_out() -> None:
    found = leave_one_out(torch.tensor([1.0, 2.0, 6.0, 0.0, 0.0, 3.0]), 3)
    torch.testing.assert_close(found, torch.tensor([-3.0, -1.5, 4.5, -1.5, -1.5, 3.0]))
    with pytest.raises(UsageError, match="5 samples do not divide into groups of 2"):
        leave_one_out(torch.zeros(5), 2)
    with pytest.raises(UsageError, match="2 or more"):
        leave_one_out(torch.zeros(4), 1)


def test_group_normalized_is_zero_where_all_are_equal() -> None:
    found = group_normalized(torch.tensor([1.0, 3.0, 5.0, 5.0]), 2, epsilon=0.0 + 1e-9)
    torch.testing.assert_close(found, torch.tensor([-math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0]))


def test_rewards_of_tokens() -> None:
    log_policy, log_reference = torch.full((2, 4), -1.0), torch.full((2, 4), -3.0)
    found = token_rewards(torch.tensor([5.0, 7.0]), log_policy, log_reference, MASK, 0.1)
    torch.testing.assert_close(found, torch.tensor([[-0.2, -0.2, 4.8, 0.0], [-0.2, 6.8, 0.0, 0.0]]))


def test_generalized_advantages_are_discounted_sums_of_errors() -> None:
    generator = torch.Generator().manual_seed(1)
    rewards, values = (torch.randn(2, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    discount, gae_lambda = 0.9, 0.8
    advantages, returns = generalized_advantages(rewards, values, MASK, discount, gae_lambda)
    for row, length in enumerate([3, 2]):
        following = [*values[row, 1:length].tolist(), 0.0]
        errors = [float(rewards[row, t]) + discount * following[t] - float(values[row, t]) for t in range(length)]
        for t in range(length):
            expected = sum((discount * gae_lambda) ** (k - t) * errors[k] for k in range(t, length))
            assert float(advantages[row, t]) == pytest.approx(expected)
            assert float(returns[row, t]) == pytest.approx(expected + float(values[row, t]))
        assert (advantages[row, length:] == 0).all()


def test_whitening() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0, 99.0], [4.0, 5.0, 99.0, 99.0]])
    white = whiten(values, MASK)
    assert float(white[MASK].mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(white[MASK].std(unbiased=False)) == pytest.approx(1.0)
    assert float(whiten(values, MASK, shift_mean=False)[MASK].mean()) == pytest.approx(3.0)
    assert (white[~MASK] == 0).all()


def batch(**fields: torch.Tensor) -> LossBatch:
    policy = torch.where(MASK, -0.5, 0.0).requires_grad_()
    given = {"advantage": torch.tensor([2.0, -1.0]), "behavior": policy.detach() - 0.01} | fields
    return LossBatch({"completion": Scored(policy, MASK)}, given)


@pytest.mark.parametrize("method", [PPO(), REINFORCE()])
def test_forced_tokens_get_no_gradient(method: PPO | REINFORCE) -> None:
    given = batch(forced=torch.tensor([2.0, 0.0]))
    (gradient,) = torch.autograd.grad(method.loss(given)[0], given.completion.policy)
    drawn = torch.tensor([[False, False, True, False], [True, True, False, False]])
    assert (gradient[~drawn] == 0).all()
    assert (gradient[drawn] != 0).all()


@pytest.mark.parametrize("method", [PPO(), REINFORCE()])
def test_batches_of_forced_tokens_alone_are_zero_and_not_nan(method: PPO | REINFORCE) -> None:
    given = batch(forced=torch.tensor([9.0, 9.0]))
    loss, metrics = method.loss(given)
    (gradient,) = torch.autograd.grad(loss, given.completion.policy)
    assert (gradient == 0).all()
    assert all(value.isfinite() for value in metrics.values())


def test_ratio_has_the_gradient_of_reinforce_when_nothing_has_changed() -> None:
    given = batch()
    policy = given.completion.policy
    same = LossBatch(given.sides, {**given.fields, "behavior": policy.detach()})
    plain = LossBatch(given.sides, {"advantage": given.fields["advantage"]})
    ours, theirs = (torch.autograd.grad(REINFORCE().loss(one)[0], policy)[0] for one in (same, plain))
    torch.testing.assert_close(ours, theirs)


def test_critic_learns_beside_the_policy() -> None:
    value = torch.tensor([[0.5, 0.9, 0.0, 7.0], [1.0, 0.0, 7.0, 7.0]], requires_grad=True)
    given = batch(value=value, old_value=torch.zeros(2, 4), **{"return": torch.ones(2, 4)})
    loss, metrics = PPO(value_coef=1.0).loss(given)
    # Values further than 0.2 from the old 0 count as 0.2 or as they are, whichever is worse.
    errors = [0.8**2, 0.8**2, 1.0, 0.8**2, 1.0]
    assert float(metrics["loss/value"]) == pytest.approx(0.5 * sum(errors) / 5)
    assert float(loss.detach()) == pytest.approx(float(metrics["loss/policy"] + metrics["loss/value"]))
    (gradient,) = torch.autograd.grad(loss, value)
    assert (gradient[~MASK] == 0).all()


def test_behavior_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\[2\]; expected \[2, 4\]"):
        PPO().loss(batch(behavior=torch.zeros(2)))
