"""PPO with a critic: its advantages against sums written out by hand, its learning, and its kill-safe record."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.core.encoding import Encoded
from headstart.core.errors import UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.actor_critic import ActorCritic, with_advantages
from headstart.language.critic import make_critic
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.online import Online
from headstart.language.policy_gradient import PPO
from headstart.language.row_files import read_rows
from headstart.language.settings import Training
from headstart.language.tiny_models import tiny_model
from headstart.language.training import train

WORDS = tuple(f"w{i}" for i in range(12))
TOKENIZER = word_tokenizer(WORDS)
PLAN = Online(
    iterations=2, prompts_per_iteration=16, completions=1, pairing="each", advantage="critic", history="current",
    steps_per_iteration=4, max_tokens=8, reward_kl=0.05,
)  # fmt: skip


def learner(method=None, **changes):
    training = Training(batch_size=4, schedule="constant", warmup_fraction=0.0, **{"learning_rate": 1e-2} | changes)
    return ActorCritic(tiny_model(TOKENIZER, width=16), TOKENIZER, method or PPO(), training, 10, keep_reference=True)


def rows(forced=(0, 0, 2)):
    generator = np.random.default_rng(0)
    lengths = (3, 5, 4)
    return [
        EncodedRow(
            {"completion": Encoded([3, 4 + i], generator.integers(3, 9, size=n).tolist())},
            {"advantage": 0.0, "behavior": (-generator.random(n)).tolist(), "forced": float(given)},
            {"completion": (-generator.random(n)).tolist()},
        )
        for i, (n, given) in enumerate(zip(lengths, forced, strict=True))
    ]


@pytest.mark.parametrize("masked", [True, False])
def test_advantages_are_those_written_out_by_hand(masked):
    one = learner(PPO(mask_forced=masked))
    with torch.no_grad():
        one.critic.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    plan = replace(PLAN, reward_kl=0.3, discount=0.9, gae_lambda=0.8)
    given, scores = rows(), [1.0, -2.0, 0.5]
    found = with_advantages(given, scores, one, plan)
    raw, values = [], one.values(given)
    for row, score, value in zip(given, scores, values, strict=True):
        behavior, reference = row.fields["behavior"], row.reference["completion"]
        first, last = int(row.fields["forced"]) if masked else 0, len(behavior) - 1
        reward = [-0.3 * (a - b) + (score if t == last else 0.0) for t, (a, b) in enumerate(zip(behavior, reference))]
        following = [*value[1:], 0.0]
        error = [r + 0.9 * after - v for r, after, v in zip(reward, following, value)]
        raw.append([sum(0.72 ** (k - t) * error[k] for k in range(t, last + 1)) for t in range(first, last + 1)])
    flat = np.concatenate(raw)
    for row, advantages, value in zip(found, raw, values, strict=True):
        white = (np.array(advantages) - flat.mean()) / flat.std()
        np.testing.assert_allclose(row.fields["advantage"][-len(white) :], white, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(row.fields["old_value"], value, rtol=1e-6)
        returns = np.array(advantages) + value[-len(white) :]
        np.testing.assert_allclose(row.fields["return"][-len(white) :], returns, rtol=1e-5)
        assert not any(row.fields["advantage"][: -len(white)])


def test_values_are_read_before_each_token_whatever_follows_and_however_rows_are_batched():
    critic = make_critic(tiny_model(TOKENIZER, width=16), TOKENIZER, 0, "policy")
    with torch.no_grad():
        critic.head.weight.normal_()
    row = Encoded([3, 4], [5, 6, 7])
    values = critic([row, Encoded([3, 4, 5, 6, 7, 8], [5])])[0]
    changed = critic([Encoded([3, 4], [5, 6, 9])])[0]
    torch.testing.assert_close(values[:3], changed)
    longer = critic([Encoded([3, 4, 5], [6, 7])])[0]
    torch.testing.assert_close(values[1:3], longer)


def test_the_critic_learns_what_comes_and_a_policy_without_advantage_stays():
    one = learner()
    before = [weight.clone() for weight in one.model.parameters()]
    behaving = one.scored(rows(forced=(0, 0, 0)), one.model)
    made = [
        EncodedRow(
            row.sides,
            {
                "advantage": [0.0] * len(row.reference["completion"]),
                "behavior": row.reference["completion"],
                "old_value": [0.0] * len(row.reference["completion"]),
                "return": [0.7] * len(row.reference["completion"]),
            },
        )
        for row in behaving
    ]
    one.method = PPO(value_clip=10.0)
    losses = [one.step(made)["loss/value"] for _ in range(40)]
    assert losses[0] == pytest.approx(0.5 * 0.7**2)
    assert losses[-1] < 0.1 * losses[0]
    assert np.allclose(one.values(made)[0], 0.7, atol=0.3)
    assert all(torch.equal(a, b) for a, b in zip(before, one.model.parameters(), strict=True))


def test_parts_of_a_batch_add_up_with_a_critic_too():
    plan, found = replace(PLAN, reward_kl=0.1), []
    for size in (None, 1):
        one = learner(micro_batch_size=size)
        batch = with_advantages(rows(), [1.0, -2.0, 0.5], one, plan)
        one.step(batch)
        found.append([weight.detach().clone() for weight in one.trained_weights().values()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4)


def test_a_critic_begins_as_a_reward_model_of_the_same_words_only(tmp_path):
    from headstart.judges.reward_model import RewardModel

    model = tiny_model(TOKENIZER, width=16)
    head = torch.arange(16.0)[None]
    RewardModel(model.base_model, TOKENIZER, head).save(tmp_path / "reward")
    critic = make_critic(tiny_model(TOKENIZER, width=16, seed=1), TOKENIZER, 0, str(tmp_path / "reward"))
    torch.testing.assert_close(critic.head.weight.detach(), head)
    torch.testing.assert_close(critic.body.embed_tokens.weight, model.get_input_embeddings().weight)
    other = word_tokenizer(tuple(f"v{i}" for i in range(12)))
    with pytest.raises(UsageError, match="other tokens"):
        make_critic(tiny_model(other, width=16), other, 0, str(tmp_path / "reward"))


def test_an_adapter_has_a_critic_with_an_adapter():
    one = learner(lora_rank=2)
    names = one.trained_weights()
    assert all("lora" in name or name.endswith("head.weight") for name in names)
    assert {name.startswith("critic.") for name in names} == {True, False}


def test_what_has_no_critic_is_refused():
    plain = Learner(tiny_model(TOKENIZER, width=16), TOKENIZER, PPO(), Training(), 1)
    with pytest.raises(UsageError, match="ActorCritic"):
        with_advantages(rows(), [0.0] * 3, plain, PLAN)
    with pytest.raises(UsageError, match="a critic teaches ppo; rloo"):
        train("rloo", "nowhere", prompts=[{"prompt": "w1"}], judge="loglik", plan=PLAN)
    with pytest.raises(UsageError, match="gae_lambda"):
        Online(gae_lambda=1.5)
    with pytest.raises(UsageError, match="2 or more"):
        Online(pairing="each", completions=1)


class Interrupted:
    """The world as a judge that stops the program at one of its calls."""

    def __init__(self, world, at):
        self.world, self.at, self.calls = world, at, 0

    def score(self, prompts, completions, columns=None):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return self.world.score(prompts, completions)


def test_a_run_with_a_critic_is_recorded_learns_and_goes_on_where_it_was(key_words, prompts, tmp_path):
    world, folder = key_words
    settings = Training(learning_rate=1e-3, batch_size=16, checkpoint_minutes=0.0)
    plan = replace(PLAN, prompts_per_iteration=48, iterations=6, steps_per_iteration=6, missing_end_penalty=0.5)
    given = {"prompts": prompts, "plan": plan, "training": settings, "held_out": prompts, "show_progress": False}
    whole = train("ppo", folder, judge=Interrupted(world, 0), folder=tmp_path / "whole", **given)
    with pytest.raises(KeyboardInterrupt):
        train("ppo", folder, judge=Interrupted(world, 8), folder=tmp_path / "cut", **given)
    cut = train("ppo", folder, judge=Interrupted(world, 0), folder=tmp_path / "cut", resume=True, **given)
    for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        assert torch.equal(a, b)
    rewards = whole.folder.metrics().filter(whole.folder.metrics()["name"] == "evaluation/reward")["value"].to_list()
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.05
    first = read_rows(whole.path / "seed-0/iterations/000/rows.parquet")
    assert {"advantage", "old_value", "return", "behavior"} <= first[0].fields.keys()
    assert all(value == 0 for row in first for value in row.fields["old_value"])
