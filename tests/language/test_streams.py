"""Streams of an online run: replayed in order they give its very weights, shuffled they do not."""

import numpy as np
import pytest
import torch

from headstart.core.errors import UsageError
from headstart.language.ipo import IPO
from headstart.language.online import Online
from headstart.language.streams import Recording, Replay, frontier, shuffled
from headstart.papers.key_words import LONGEST, WORLD, Start, prompts_of


def weights(trained):
    return [weight.detach() for weight in trained.model.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


def test_replaying_a_stream_in_order_gives_the_very_weights_of_the_online_run():
    start, generator = Start.of(0), np.random.default_rng(0)
    prompts = prompts_of(WORLD.sample_problems(96, generator))
    plan = Online(
        iterations=3,
        prompts_per_iteration=32,
        completions=2,
        pairing="first_two",
        steps_per_iteration=2,
        history="current",
        max_tokens=LONGEST,
        prompts_at_once=32,
    )
    source = Recording(prompts, WORLD, plan, 0)
    online = start.train(IPO(), source, held_out=prompts[:2], batch_size=16)

    def again(stream):
        return start.train(IPO(), Replay(stream, 2), held_out=prompts[:2], batch_size=16)

    assert len(source.stream) == 3
    assert same(online, again(source.stream))
    assert same(online, again(shuffled(source.stream, 5, block=1)))
    assert not same(online, again(shuffled(source.stream, 5)))


def test_shuffling_keeps_rows_and_sizes_and_stays_within_blocks():
    stream = [list(range(5)), list(range(5, 8)), list(range(8, 12))]
    whole, blocks = shuffled(stream, 1), shuffled(stream, 1, block=4)
    for found in (whole, blocks):
        assert [len(part) for part in found] == [5, 3, 4]
        assert sorted(row for part in found for row in part) == list(range(12))
        assert found != stream
    flat = [row for part in blocks for row in part]
    assert all(sorted(flat[i : i + 4]) == list(range(i, i + 4)) for i in (0, 4, 8))
    with pytest.raises(UsageError, match="block is 0"):
        shuffled(stream, 1, block=0)


def test_a_frontier_is_linear_between_evaluations_and_flat_beyond():
    points = [{"kl": 3.0, "reward": 2.0}, {"kl": 1.0, "reward": 1.0}]
    assert frontier(points, 2.0) == 1.5
    assert frontier(points, 9.0) == 2.0
