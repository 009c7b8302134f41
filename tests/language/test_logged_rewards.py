"""Logged completions with rewards: advantages, priorities, what is refused, and that priorities decide the draws."""

import numpy as np
import pytest

from headstart.core.encoding import Encoded, Encoder
from headstart.core.errors import DataError, UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.alol import ALoL
from headstart.language.encoded_rows import EncodedRow, encode_rows
from headstart.language.logged_rewards import reference_rewards, with_advantages
from headstart.language.sampler import Sampling
from headstart.language.tiny_models import tiny_model
from headstart.language.trainer import BatchOrder

TOKENIZER = word_tokenizer(["w1", "w2", "w3"])
ROWS = [{"prompt": "p", "completion": "c", "reward": reward} for reward in (0.1, 0.5, 0.9, 0.6)]


def test_rows_no_better_than_the_reference_are_dropped_and_the_others_drawn_by_advantage():
    kept = with_advantages(ROWS, 0.5, least=1)
    assert [row["advantage"] for row in kept] == pytest.approx([0.4, 0.1])
    assert [row["priority"] for row in kept] == pytest.approx([0.4, 0.1])
    everything = with_advantages(ROWS, 0.5, keep="all", least=1)
    assert [row["priority"] for row in everything] == pytest.approx([0, 0, 0.4, 0.1])
    assert "priority" not in with_advantages(ROWS, 0.5, priority=False, least=1)[0]


def test_each_row_may_have_a_value_of_its_own():
    kept = with_advantages(ROWS, [0.0, 0.5, 1.0, 0.5], least=1)
    assert [row["reward"] for row in kept] == [0.1, 0.6]
    with pytest.raises(UsageError, match="2 values for 4 rows"):
        with_advantages(ROWS, [0.0, 0.5])


def test_constant_rewards_are_refused():
    constant = [row | {"reward": 0.5} for row in ROWS] * 50
    with pytest.raises(DataError, match="0 of 200 rows have a positive advantage, and 50 are needed"):
        with_advantages(constant, 0.5)


@pytest.mark.parametrize("reward", [None, float("nan")])
def test_a_row_without_reward_is_named(reward):
    with pytest.raises(DataError, match="row 7 has reward"):
        with_advantages([*ROWS, ROWS[0] | {"reward": reward, "row_id": 7}], 0.5, least=1)


def test_rows_are_drawn_in_proportion_to_their_priority():
    encoder = Encoder(TOKENIZER)
    rows = [{"prompt": "w1", "completion": "w2", "advantage": 1.0, "priority": p} for p in (1.0, 0.0, 3.0)]
    encoded = encode_rows(rows, ALoL(), encoder)
    drawn = [row.fields["priority"] for step in range(200) for row in BatchOrder(encoded, 3, (0,)).batch(step)]
    assert 0.0 not in drawn
    assert np.mean([one == 3.0 for one in drawn]) == pytest.approx(0.75, abs=0.05)
    assert "priority" not in EncodedRow({"completion": Encoded([1], [2])}).fields


class Length:
    """A judge that likes tokens."""

    def score(self, prompts, completions, columns=None):
        return [float("nan") if columns["bad"][i] else len(text) for i, text in enumerate(completions)]


def test_the_reference_is_judged_on_one_completion_of_its_own_to_each_prompt():
    prompts = [{"prompt": "w1", "bad": False}, {"prompt": "w2", "bad": True}, {"prompt": "w3", "bad": False}]
    model, encoder = tiny_model(TOKENIZER), Encoder(TOKENIZER)
    assert len(reference_rewards(model, encoder, prompts, Length(), Sampling(max_tokens=4))) == 2
    with pytest.raises(DataError, match="scored none"):
        reference_rewards(model, encoder, prompts[1:2], Length(), Sampling(max_tokens=4))
