"""Methods on finitely many responses: the same losses, and identities that hold exactly there."""

import numpy as np
import pytest
import torch

from headstart.core.errors import UsageError
from headstart.envs.bit_strings import bit_strings
from headstart.envs.hundred_arms import hundred_arms
from headstart.envs.preference_bandits import Pairs, coverage_bandit, linear_bandit, rare_best_bandit
from headstart.envs.preference_game import cyclic_game
from headstart.language.arm_policy import Freshness
from headstart.language.bit_policy import fit_bits, likeliest
from headstart.language.dpo import DPO
from headstart.language.hypo import HyPO, kl_surrogate
from headstart.language.implicit_reward import Explorer, Recorded
from headstart.language.inpo import INPO
from headstart.language.ipo import IPO
from headstart.language.method import LossBatch
from headstart.language.mode_seeking import steps_to_target
from headstart.language.newton import newton
from headstart.language.policy_gradient import PPO, REINFORCE
from headstart.language.response_network import Fitting
from headstart.language.self_play import SelfPlay, anchored, expected_loss, minimise
from headstart.language.sft import SFT
from headstart.language.sharpening import Sharpening
from headstart.language.tabular import descend, row_losses, scored, side
from headstart.language.vpo import VPO
from headstart.language.xpo import XPO

PAIR_METHODS = [
    DPO(beta=0.3),
    IPO(tau=0.2),
    INPO(eta=0.5),
    XPO(beta=0.4, alpha=0.1),
    VPO(mode="online", alpha=0.5, calibration="calibration"),
]


def tables(*shape):
    generator = torch.Generator().manual_seed(0)
    return [torch.log_softmax(torch.randn(shape, generator=generator, dtype=torch.float64), -1) for _ in range(2)]


@pytest.mark.parametrize("method", PAIR_METHODS, ids=lambda method: method.name)
def test_losses_of_single_rows_average_to_the_loss_of_all(method):
    policy, reference = tables(3, 6)
    prompts, responses = torch.tensor([0, 1, 2, 2]), torch.tensor([[0, 1], [5, 2], [3, 4], [0, 5]])
    third = torch.tensor([2, 2, 0, 1])
    policy.requires_grad_()
    sides = {
        name: side(policy, reference, prompts, given)
        for name, given in zip(("chosen", "rejected", "calibration"), (*responses.T, third), strict=True)
    }
    fields = {"chosen_from_comparator": torch.tensor([1.0, 0.0, 0.0, 1.0])}
    mean = row_losses(method, sides, fields).mean()
    together = method.loss(LossBatch({name: scored(*given) for name, given in sides.items()}, fields))[0]
    assert mean.item() == pytest.approx(together.item(), abs=1e-12)
    ours, theirs = (torch.autograd.grad(value, policy, retain_graph=True)[0] for value in (mean, together))
    assert torch.allclose(ours, theirs, atol=1e-12)


def test_descent_stays_within_bounds_and_ends_at_the_least_point():
    target = torch.tensor([[7.0, 3.0, -2.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    scale = torch.tensor([1.0, 20.0, 0.5], dtype=torch.float64)

    def objective(point):
        return (scale * (point - target) ** 2).sum(-1)

    found, values = descend(objective, torch.full_like(target, 0.5), 60, 0.0, 6.0)
    assert torch.allclose(found, target.clamp(0, 6), atol=1e-5)
    assert torch.allclose(values, objective(target.clamp(0, 6)), atol=1e-8)


def test_newton_reaches_the_least_point_and_leaves_alone_what_does_not_matter():
    def loss(x):
        return torch.logaddexp(x[0], -2 * x[0]) + (x[1] - 1) ** 2

    found = newton(loss, torch.tensor([2.0, 0.0, 5.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([np.log(2) / 3, 1.0, 5.0], abs=1e-9)


def test_without_bonus_xpo_and_vpo_play_exactly_as_online_dpo():
    world, explorer = rare_best_bandit(0), Explorer(rounds=3, pairs=4, steps=8)
    plain = explorer.explore(world, lambda _: DPO(beta=0.4), 7)
    for method in (
        XPO(beta=0.4, alpha=0.0),
        VPO(mode="online", alpha=0.0, beta=0.4, calibration="calibration", normalization="sum", pairs=4),
    ):
        same = explorer.explore(world, lambda _, method=method: method, 7)
        assert np.abs(np.array(same.policies) - np.array(plain.policies)).max() < 1e-8


def test_the_bonus_is_optimism():
    """The mean of log-policy under the reference is a constant less (J*(r) - E_reference r) / beta."""
    world, beta = rare_best_bandit(2), 0.4
    reference = torch.from_numpy(world.reference)
    explorer = Explorer(beta=beta)
    weights = reference.exp()
    sums = []
    for seed in range(3):
        rewards = torch.from_numpy(np.random.default_rng(seed).uniform(0, 6, size=world.rewards.shape))
        policy = explorer.policy(rewards, reference)
        value = beta * torch.logsumexp(reference + rewards / beta, -1)
        left = (weights * policy).sum(-1)
        sums.append(left + (value - (weights * rewards).sum(-1)) / beta)
    assert torch.allclose(sums[0], sums[1], atol=1e-10)
    assert torch.allclose(sums[0], sums[2], atol=1e-10)


def test_several_starts_find_what_one_does_not():
    world = rare_best_bandit(0)
    reference = torch.from_numpy(world.reference)
    pairs = Pairs(*np.array([[0, 1, 2, 3] * 6, [0, 1, 2, 4] * 6, [5, 6, 0, 1] * 6]))
    counts = np.zeros((4, 12, 12, 2), np.int64)
    recorded = Recorded(counts)
    recorded.add(pairs, np.zeros(24, bool))
    method = XPO(beta=0.4, alpha=0.5)
    losses = recorded.losses(method, reference)
    found = []
    for starts in ("one", "many"):
        explorer = Explorer(starts=starts)
        rewards = explorer.fit(recorded, method, reference, torch.zeros_like(reference))
        assert float(rewards.min()) >= 0
        assert float(rewards.max()) <= 6
        found.append(losses(explorer.policy(rewards, reference)))
    assert (found[1] <= found[0] + 1e-9).all()
    assert (found[1] < found[0] - 1e-3).any()


def test_one_exact_iteration_of_inpo_is_the_step_of_mirror_descent():
    game = cyclic_game(0)
    reference, previous = torch.from_numpy(game.reference), torch.from_numpy(cyclic_game(1).reference)
    method, chances = INPO(eta=0.5, tau=0.1), np.exp(previous.numpy())
    wins = chances[:, None] * chances[None] * game.preference
    loss = expected_loss(method, wins, anchored(method, reference, previous))
    found = minimise(loss, previous).numpy()
    assert found == pytest.approx(game.mirror_step(previous.numpy(), 0.5, 0.1), abs=1e-10)


def test_inpo_with_all_weight_on_the_reference_is_ipo():
    game = cyclic_game(0)
    reference, previous = torch.from_numpy(game.reference), torch.from_numpy(cyclic_game(1).reference)
    wins = np.random.default_rng(0).integers(0, 5, size=(9, 9)).astype(float)
    nash, fixed = INPO(eta=0.3, tau=0.3), IPO(tau=0.3)
    ours = expected_loss(nash, wins, anchored(nash, reference, previous))(previous)
    theirs = expected_loss(fixed, wins, anchored(fixed, reference, previous))(previous)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_self_play_nears_the_equilibrium_of_a_circle():
    game = cyclic_game(3)
    gaps = game.duality_gap(SelfPlay(iterations=12).play(game, INPO(eta=1.0, tau=0.1), 0), 0.1)
    assert gaps[-1] < 0.3 * gaps[0]


def test_networks_without_penalty_or_bonus_learn_as_dpo_does():
    world = coverage_bandit(0, prompts=8, responses=12, covered=4)
    pairs = world.record(200, np.random.default_rng(0))
    methods = {
        "dpo": DPO(beta=0.1),
        "hypo": HyPO(beta=0.1, kl_coef=0.0),
        "vpo": VPO(mode="offline", alpha=0.0, beta=0.1),
        "tied": HyPO(beta=0.1, kl_coef=10.0),
    }
    found = Fitting(steps=60, batch=16, width=8, learning_rate=0.01, evaluate=(60,)).fit(world, methods, pairs, 0)
    assert world.kl(found["dpo"][0]) > 0.003
    assert np.abs(found["dpo"] - found["hypo"]).max() < 1e-6
    assert np.abs(found["dpo"] - found["vpo"]).max() < 1e-6
    assert world.kl(found["tied"][0]) < 0.3 * world.kl(found["dpo"][0])


def test_networks_need_features():
    with pytest.raises(UsageError, match="no features"):
        Fitting(steps=1).fit(rare_best_bandit(0), {"dpo": DPO()}, Pairs(*np.zeros((3, 1), int)), 0)


def test_gradient_of_the_penalty_is_that_of_the_exact_divergence():
    (logits, reference), generator = tables(6), torch.Generator().manual_seed(1)
    logits.requires_grad_()
    policy = torch.log_softmax(logits, -1)
    exact = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits, retain_graph=True)[0]
    drawn = torch.multinomial(policy.exp().detach(), 4096, replacement=True, generator=generator).reshape(-1, 2)
    parts = []
    for pair in drawn:
        surrogate = kl_surrogate(policy[pair], reference[pair], 2)
        parts.append(torch.autograd.grad(surrogate, logits, retain_graph=True)[0])
    estimates = torch.stack(parts)
    error = estimates.std(0) / len(parts) ** 0.5
    assert (abs(estimates.mean(0) - exact) < 3 * error).all()


def test_regression_on_own_likelihood_ends_at_the_power_of_the_model():
    world, generator = bit_strings(0, 8), np.random.default_rng(0)
    chosen, rejected = world.draw((2, 256), generator)
    found = fit_bits(Sharpening(beta=0.1), world, {"chosen": chosen, "rejected": rejected})
    assert found == pytest.approx(world.log_odds * 11, abs=1e-6)
    ones = np.ones((1, 8), int)
    assert np.exp(world.log_probability(ones, found))[0] == pytest.approx(world.sharpened(0.1), abs=1e-6)


def test_imitation_ends_at_the_frequencies_of_what_was_picked():
    world = bit_strings(1, 4)
    picks = likeliest(world, world.draw((40, 3), np.random.default_rng(0)))
    found = fit_bits(SFT(normalization="sum"), world, {"completion": picks})
    share = picks.mean(0)
    inside = share < 1
    assert 1 / (1 + np.exp(-found[inside])) == pytest.approx(share[inside], abs=1e-6)
    assert (
        world.log_probability(picks).mean() > world.log_probability(world.draw((40,), np.random.default_rng(1))).mean()
    )


def test_ipo_is_at_rest_once_all_gaps_are_the_margin():
    _, reference = tables(1, 5)
    gaps = torch.tensor([10.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    logits = (reference[0] + gaps).requires_grad_()
    rows, chosen, rejected = torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.long), torch.arange(1, 5)
    policy = torch.log_softmax(logits, -1)[None]
    sides = {"chosen": side(policy, reference, rows, chosen), "rejected": side(policy, reference, rows, rejected)}
    (gradient,) = torch.autograd.grad(row_losses(IPO(tau=0.05), sides).sum(), logits)
    assert gradient.abs().max().item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("method", [IPO(tau=0.05), SFT(normalization="sum"), REINFORCE(), PPO()], ids=lambda m: m.name)
def test_fresh_draws_raise_the_reward_whatever_the_loss(method):
    world = hundred_arms(0, peak=20)
    curve = Freshness(steps=20, reuse=1, states=4).train(world, method, 0)
    assert len(curve) == 21
    assert curve[-1] > curve[0] + 0.05


def test_ppo_begins_as_reinforce():
    world = hundred_arms(0)
    drawing = torch.log_softmax(torch.randn(3, 100, generator=torch.Generator().manual_seed(0)), -1)
    drawn = np.random.default_rng(0).integers(100, size=(3, 2, 10))
    gradients = []
    for method in (PPO(), REINFORCE()):
        policy = drawing.clone().requires_grad_()
        loss = Freshness().losses(world, method, drawn, drawing, drawing, positive=False)
        gradients.append(torch.autograd.grad(loss(policy), policy)[0])
    assert torch.allclose(*gradients, atol=1e-6)


def test_rounds_have_to_fit_the_steps():
    with pytest.raises(UsageError, match="rounds of 7"):
        Freshness(steps=200, reuse=7)


def test_reverse_divergence_is_faster_where_the_target_is_sharp_and_some_mass_is_there():
    start = (0.95, 0.025, 0.025)
    sharp, broad = (0.0005, 0.999, 0.0005), (0.05, 0.9, 0.05)
    assert [steps_to_target(start, sharp, kind) for kind in ("reverse", "forward")] == [75, 170]
    assert [steps_to_target(start, broad, kind) for kind in ("reverse", "forward")] == [151, 140]


def test_linear_worlds_serve_networks_too():
    world, _ = linear_bandit(0, responses=20)
    pairs = world.record(400, np.random.default_rng(0))
    (table,) = Fitting(steps=80, batch=32, width=8, evaluate=(80,)).fit(world, {"dpo": DPO()}, pairs, 0)["dpo"]
    assert world.expected_reward(table) > world.expected_reward(world.reference)
