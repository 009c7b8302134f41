"""Links, the fit of rewards to answers, what draws from their posterior disagree about, and when to ask."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize

from headstart.core.errors import DataError, UsageError
from headstart.finite.preference_queries import AskAlways, AskAtRandom, AskWhenUnsure
from headstart.finite.preferences import Comparisons, Logistic, Probit, most_likely_rewards
from headstart.finite.reward_posterior import RewardPosterior, laplace

LINKS = [Logistic(), Logistic(4.0), Probit(), Probit(2.0)]


def answered(link, pairs=300, features=5, seed=0):
    generator = np.random.default_rng(seed)
    x, rewards = generator.normal(size=(pairs, features)), generator.normal(size=features)
    answers = (generator.random(pairs) < link.probability(x @ rewards)).astype(float)
    return Comparisons(x, answers), rewards


@pytest.mark.parametrize("link", LINKS, ids=str)
def test_links_are_symmetric_and_their_derivatives_are_right(link):
    x, h = np.linspace(-6, 6, 25), 1e-5
    np.testing.assert_allclose(link.probability(x) + link.probability(-x), 1)
    np.testing.assert_allclose(np.exp(link.log_probability(x)), link.probability(x))
    slope = (link.log_probability(x + h) - link.log_probability(x - h)) / (2 * h)
    np.testing.assert_allclose(link.slope(x), slope, rtol=1e-4, atol=1e-8)
    curvature = -(link.slope(x + h) - link.slope(x - h)) / (2 * h)
    np.testing.assert_allclose(link.curvature(x), curvature, rtol=1e-4, atol=1e-7)


def test_a_link_that_favours_the_first_is_refused():
    @dataclass(frozen=True)
    class Biased(Logistic):
        def probability(self, difference):
            return super().probability(np.asarray(difference) + 1)

    with pytest.raises(UsageError, match="do not sum to one"):
        Biased()
    with pytest.raises(UsageError, match="scale is 0"):
        Logistic(0.0)


@pytest.mark.parametrize("link", LINKS, ids=str)
@pytest.mark.parametrize("pairs", [1, 8, 300])
def test_the_fit_is_the_penalised_maximum_of_the_likelihood(link, pairs):
    comparisons, _ = answered(link, pairs)
    x, answers = comparisons.differences, comparisons.answers

    def loss(rewards):
        margin = x @ rewards
        fit = answers @ link.log_probability(margin) + (1 - answers) @ link.log_probability(-margin)
        return 0.15 * rewards @ rewards - fit

    found = most_likely_rewards(comparisons, link, ridge=0.3)
    assert loss(found) <= minimize(loss, np.zeros(5), tol=1e-10).fun + 1e-7


def test_many_answers_give_the_rewards():
    comparisons, rewards = answered(Logistic(), pairs=40_000)
    np.testing.assert_allclose(most_likely_rewards(comparisons, Logistic(), 1.0), rewards, atol=0.1)


def test_separable_answers_and_no_answers_have_a_fit():
    x = np.array([[1.0, 0.0], [0.9, 0.1], [1.1, -0.2]])
    found = most_likely_rewards(Comparisons(x, np.ones(3)), Logistic(20.0), ridge=0.3)
    assert np.isfinite(found).all()
    assert found[0] > 0
    assert most_likely_rewards(Comparisons.none(2), Logistic(), 1.0).tolist() == [0, 0]


def test_impossible_answers_and_penalties_are_refused():
    with pytest.raises(DataError, match=r"an answer is 1.2"):
        Comparisons.none(2).add(np.ones(2), 1.2)
    with pytest.raises(DataError, match="an answer is nan"):
        Comparisons.none(2).add(np.ones(2), float("nan"))
    assert len(Comparisons.none(2).add(np.ones(2), 0.5)) == 1
    with pytest.raises(UsageError, match="ridge is 0"):
        most_likely_rewards(Comparisons.none(2), Logistic(), 0.0)


def test_disagreement_is_that_of_draws():
    generator = np.random.default_rng(0)
    precision = np.eye(4) + 3 * np.outer(*[generator.normal(size=4)] * 2)
    posterior = RewardPosterior.of_precision(generator.normal(size=4), precision, scale=0.8)
    draws = np.array([posterior.draw(generator) for _ in range(200_000)])
    np.testing.assert_allclose(np.cov(draws.T), 0.64 * np.linalg.inv(precision), atol=0.01)
    x = generator.normal(size=4)
    estimate = np.abs((draws[::2] - draws[1::2]) @ x).mean()
    assert posterior.disagreement(x) == pytest.approx(estimate, rel=0.01)
    assert posterior.disagreement(np.zeros(4)) == 0


def test_laplace_is_narrow_where_answers_were_given():
    x = np.tile([1.0, 0.0], (50, 1))
    posterior = laplace(Comparisons(x, np.tile([0.0, 1.0], 25)), Logistic(), 1.0, np.zeros(2))
    covariance = posterior.root @ posterior.root.T
    np.testing.assert_allclose(np.diag(covariance), [1 / (1 + 50 / 4), 1.0], rtol=1e-6)


def test_rules_ask():
    generator = np.random.default_rng(0)
    assert AskWhenUnsure(0.3).asks(0.31, 0, 0, generator)
    assert not AskWhenUnsure(0.3).asks(0.3, 0, 0, generator)
    assert AskAlways().asks(0.0, 5, 5, generator)
    rule, asked = AskAtRandom(budget=40, rounds=1000), []
    for played in range(1000):
        if rule.asks(1.0, played, len(asked), generator):
            asked.append(played)
    assert 35 <= len(asked) <= 40
    assert np.median(asked) < 500
