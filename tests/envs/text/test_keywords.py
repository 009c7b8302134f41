from __future__ import annotations

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.envs.text.keywords import KeyWords, Writer, fit_proxy
from headstart.envs.text.tokenizer import word_tokenizer

WORLD = KeyWords()


def test_the_true_reward():
    for response, reward in [
        ("w3 w1 w5", 3.55),  # all, in order, three words
        ("w1 w3 w5", 2.55),
        ("w3 w1 w5 w3", 3.4),  # first occurrences count
        ("w3 w3 w1 w5", 2.9),
        ("w3 w5", 1.7),  # in order, but not all
        ("w0 w0", -0.8),
        ("", 0.0),
    ]:
        assert WORLD.verify((3, 1, 5), response) == pytest.approx(reward)
    prompt = WORLD.prompt((3, 1, 5))
    assert prompt == "w3 w1 w5 =>"
    assert WORLD.score([prompt] * 2, ["w3 w1 w5", "elsewhere =>"]) == pytest.approx([3.55, -0.8])
    assert WORLD.oracle_step((3, 1, 5), "w3") == "w1"


def test_writers_write_as_they_are_described():
    rng = np.random.default_rng(0)
    problems = WORLD.sample_problems(20_000, rng)
    assert all(len(set(problem)) == 3 for problem in problems[:100].tolist())
    responses = WORLD.write(problems, rng)
    lengths = (responses >= 0).sum(1)
    assert np.mean(lengths) == pytest.approx(1.5 + 2, abs=0.03)
    assert WORLD.gold(problems, responses).mean() == pytest.approx(1.22, abs=0.03)
    careful = WORLD.write(problems, rng, Writer(keep=1.0, noise=1))
    assert (careful[:, :, None] == problems[:, None]).any(1).all()
    assert set((careful >= 0).sum(1)) == {4}
    assert (WORLD.write(problems[:100], rng, Writer(1.0, 9)) >= 0).sum(1).max() == WORLD.longest


def test_vectorised_numbers_are_those_of_single_texts():
    rng = np.random.default_rng(1)
    problems = WORLD.sample_problems(50, rng)
    responses = WORLD.write(problems, rng)
    texts = [WORLD.text(response) for response in responses]
    assert [WORLD.verify(p, t) for p, t in zip(problems, texts)] == pytest.approx(WORLD.gold(problems, responses))
    other = WORLD.write(problems, rng)
    forward, back = WORLD.prefer(problems, responses, other), WORLD.prefer(problems, other, responses)
    np.testing.assert_allclose(forward + back, 1)
    first = WORLD.features(np.asarray([[3, 1, 5]]), WORLD.read(["w1 w1 w3 w5"]))[0]
    assert first.tolist() == [1, 1, 1, 4, 1, 0, 1]


def test_the_proxy_is_simpler_than_the_writer_and_agrees_with_the_truth():
    rng = np.random.default_rng(2)
    problems = WORLD.sample_problems(5000, rng)
    first, second = WORLD.write(problems, rng), WORLD.write(problems, rng)
    labels = (rng.random(1000) < WORLD.prefer(problems[:1000], first[:1000], second[:1000])).astype(float)
    proxy = fit_proxy(WORLD, problems[:1000], first[:1000], second[:1000], labels)
    truth = WORLD.gold(problems, first) - WORLD.gold(problems, second)
    guess = proxy.reward(problems, first) - proxy.reward(problems, second)
    told_apart = truth != 0
    assert ((truth > 0) == (guess > 0))[told_apart].mean() > 0.94
    texts = [WORLD.text(response) for response in first[:5]]
    scores = proxy.score([WORLD.prompt(problem) for problem in problems[:5]], texts)
    assert scores == pytest.approx(proxy.reward(problems[:5], first[:5]))


def test_text_of_another_world_is_refused():
    with pytest.raises(DataError, match="not a prompt"):
        WORLD.read_prompts(["w1 w2 =>"])
    with pytest.raises(UsageError, match="distinct words"):
        word_tokenizer(["a b"])


def test_tokenizer_gives_the_text_back():
    tokenizer = word_tokenizer(WORLD.vocabulary)
    ids = tokenizer("w3 w1 w5 =>")["input_ids"]
    assert tokenizer.decode(ids) == "w3 w1 w5 =>"
    assert ids == [6, 4, 8, 2]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert tokenizer.decode([*ids, 1, 0], skip_special_tokens=True) == "w3 w1 w5 =>"
