"""Responses begun by prefixes of recorded ones: sampled up to every limit, never learned from; none is plain PPO."""

import numpy as np
import pytest
import torch

from headstart.core.encoding import Encoder
from headstart.core.errors import UsageError
from headstart.envs.token_chain import TokenChain
from headstart.language.chain_policy import ChainLearner
from headstart.language.online import Online
from headstart.language.policy_gradient import PPO
from headstart.language.sampler import Sampling
from headstart.language.transformers_sampler import TransformersSampler
from headstart.papers.key_words import WORLD, Start, prompts_of
from tests.language.small_models import gpt2, llama

WORLD_OF_CHAINS = TokenChain(steps=5)


class OwnIds:
    """An encoder, and its tokenizer, of ids that are their own text."""

    end, padding = 1, 0

    @property
    def tokenizer(self):
        return self

    def decode(self, ids, skip_special_tokens=True):
        return " ".join(map(str, ids))


@pytest.mark.parametrize("model", [llama, gpt2])
def test_prefixes_of_any_length_are_continued_up_to_the_limit(model):
    model = model()
    room = model.config.max_position_embeddings - 4
    forced = [[], [6] * (room - 1), [5] * (room - 2)]
    sampler = TransformersSampler(model, OwnIds())
    groups = sampler.sample([[3, 9, 4, 7]] * 3, 2, Sampling(max_tokens=room), 0, forced)
    for beginning, group in zip(forced, groups, strict=True):
        for sample in group:
            assert sample.ids[: len(beginning)] == beginning
            assert len(beginning) < len(sample.ids) <= room
            assert sample.forced == len(beginning)


def test_words_that_were_given_get_no_gradient_at_all():
    learner, start = ChainLearner(responses=16), torch.from_numpy(WORLD_OF_CHAINS.start()).requires_grad_()
    chains = WORLD_OF_CHAINS.references(16, np.random.default_rng(0))
    chains[:2] = 0
    chains[1, 3] = 1  # right up to here
    prefixes = np.full(16, 3)
    fields = learner.batch(WORLD_OF_CHAINS, start.detach().numpy(), chains, prefixes)
    learner.loss(start, WORLD_OF_CHAINS, chains, fields).backward()
    assert (start.grad[:3] == 0).all()
    assert (start.grad[3:] != 0).any()


def test_without_resets_the_references_change_nothing():
    plain = ChainLearner(reset_fraction=0.0, responses=32)
    first, other = (
        plain.learn(world, 5, 3) for world in (TokenChain(steps=3, complete=1.0), TokenChain(steps=3, complete=0.0))
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    never = ChainLearner(reset_fraction=1e-12, responses=32).learn(TokenChain(steps=3), 5, 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, never, strict=True))
    assert not np.array_equal(first[-1], ChainLearner(responses=32).learn(TokenChain(steps=3), 5, 3)[-1])


def test_resets_find_what_chance_does_not():
    world = TokenChain(complete=1.0)
    with_resets, without = (
        world.success(ChainLearner(reset_fraction=fraction).learn(world, 30, 0)[-1]) for fraction in (0.5, 0.0)
    )
    assert with_resets > 0.5 > without


def test_a_word_that_is_always_given_is_never_learned():
    world = TokenChain(steps=3, complete=1.0)
    policies = ChainLearner(reset_fraction=1.0, min_prefix=1).learn(world, 20, 0)
    assert np.allclose(policies[-1][0], world.start()[0], atol=1e-12)
    assert world.success(policies[-1]) > 0.4


@pytest.mark.parametrize("fraction", [-0.1, 1.5])
def test_parts_outside_0_to_1_are_refused(fraction):
    for make in (ChainLearner, Online):
        with pytest.raises(UsageError, match="reset_fraction"):
            make(reset_fraction=fraction)


def learned(start, prompts, **changes):
    plan = Online(
        iterations=2,
        prompts_per_iteration=8,
        completions=4,
        pairing="each",
        steps_per_iteration=1,
        history="current",
        **changes,
    )
    source, rows = start.collected(prompts, WORLD, plan), []

    def keep(groups, learner, made=source._each):
        rows.extend(made(groups, learner))
        return rows[-32:]

    source._each = keep
    trained = start.train(PPO(), source, held_out=prompts[:2])
    return [weight.detach() for weight in trained.model.parameters()], rows


def test_a_language_model_without_resets_learns_as_by_plain_ppo_and_with_them_from_prefixes():
    start, generator = Start.of(0), np.random.default_rng(0)
    problems = WORLD.sample_problems(16, generator)
    plain = prompts_of(problems)
    answered = [row | {"chosen": WORLD.text(problem)} for row, problem in zip(plain, problems, strict=True)]
    weights, _ = learned(start, plain)
    same, _ = learned(start, answered, reset_fraction=0.0)
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    reset, rows = learned(start, answered, reset_fraction=1.0, min_prefix=1)
    assert not all(torch.equal(a, b) for a, b in zip(weights, reset, strict=True))
    encoder = Encoder(start.tokenizer)
    answers = {tuple(encoder.encode(row["prompt"], row["chosen"]).completion) for row in answered}
    for row in rows:
        given, ids = int(row.fields["forced"]), row.sides["completion"].completion
        assert 1 <= given <= 3
        assert any(list(answer[:given]) == ids[:given] for answer in answers)
