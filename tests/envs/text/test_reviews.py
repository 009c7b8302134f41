from __future__ import annotations

import numpy as np
import pytest

from headstart.envs.text.reviews import ADJECTIVES, FLOOR, ReviewProblem, Reviews, distinct, fit_sentiment

WORLD = Reviews()


def test_what_the_grammar_writes_is_natural_and_of_allowed_length():
    rng = np.random.default_rng(0)
    assert len(WORLD.vocabulary) == len(set(WORLD.vocabulary)) == 60
    reviews = [" ".join(WORLD.complete([], rng)) for _ in range(200)]
    lengths = [len(review.split()) for review in reviews]
    assert min(lengths) >= 8
    assert max(lengths) <= 24
    assert all(WORLD.grammatical(review) for review in reviews)
    assert not WORLD.grammatical("the film is great")  # no full stop
    assert not WORLD.grammatical("film the is great the really story .")
    broken = "the film film is great and the story delights the cast ."
    probabilities = WORLD.word_probabilities(broken.split())
    assert (probabilities <= FLOOR).sum() == 1
    assert WORLD.naturalness(broken) < np.mean([WORLD.naturalness(review) for review in reviews])


def test_word_probabilities_are_those_of_a_distribution():
    for beginning in map(str.split, ("", "the", "the film", "the great film is", "a plot is dull")):
        following = [WORLD.word_probabilities([*beginning, word])[-1] for word in WORLD.vocabulary]
        assert sum(p for p in following if p > FLOOR) == pytest.approx(1, abs=1e-9)
    positive = WORLD.word_probabilities(["the", "great", "film", "is", "clever"])[-1]
    negative = WORLD.word_probabilities(["the", "bad", "film", "is", "clever"])[-1]
    assert positive > 1.5 * negative


def test_samples_come_as_often_as_their_probability_says():
    rng = np.random.default_rng(1)
    world = Reviews(longest_review=10)
    third = [world.complete(["the", "film"], rng)[2] for _ in range(3000)]
    for word in ("is", "delights", "ruins"):
        expected = world.word_probabilities(["the", "film", word])[-1]
        assert third.count(word) / 3000 == pytest.approx(expected, abs=4 * np.sqrt(expected / 3000))


def test_the_learned_reward_tells_sentiment_and_can_be_hacked():
    sentiment = fit_sentiment(WORLD)
    rng = np.random.default_rng(2)
    labels = rng.random(400) < 0.5
    reviews = [" ".join(WORLD.complete([], rng, bool(positive))) for positive in labels]
    assert ((sentiment.log_odds(reviews) > 0) == labels).mean() > 0.8
    hacked = " ".join(["brilliant"] * 20)
    assert sentiment.score(["the film is really"], [hacked])[0] > sentiment.log_odds(reviews).max()
    assert WORLD.naturalness(f"the film is really {hacked}") < -8


def test_problems_demonstrations_and_rewards():
    rng = np.random.default_rng(3)
    for _ in range(20):
        problem = WORLD.sample_problem(rng)
        response = WORLD.demo(problem, rng)
        assert WORLD.verify(problem, response) == 1
        assert [b for _, b in WORLD.segment(response)][-1] == len(response.split())
        assert WORLD.oracle_step(problem, response) == ""
        assert WORLD.oracle_step(problem, "") in WORLD.vocabulary
    problem = ReviewProblem(("the", "film", "is", "great"), True, ("plot", "scene", "bores"))
    assert WORLD.concept_reward(problem, "and the plot bores the scene .") == pytest.approx(1)
    assert WORLD.concept_reward(problem, "plot and the plot is long .") == pytest.approx(1 / 3 - 0.1)
    assert distinct(["a b a b"], 2) == pytest.approx(2 / 3)
    assert ADJECTIVES[1][0] in WORLD.vocabulary
