"""Games of asking: difficulty, exact solutions, rules, networks, and the learner made of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.bandits.active_learner import ActiveLearner
from headstart.bandits.active_learning import Game, difficulty, draw_problems, thresholds
from headstart.bandits.active_learning_policy import Asker, AskerTraining, play, tabulate, train_by_play, train_exactly
from headstart.bandits.active_minimax import States, bayes, solve
from headstart.bandits.active_rules import round_robin, soft_bisection, uniform
from headstart.bandits.active_training import Adversary
from headstart.bandits.question_table import QuestionTable, read_table
from headstart.core.errors import DataError, UsageError

GAME = thresholds(3, 4)
STATES = States.of(GAME)
PROBLEMS = draw_problems(GAME, 8.0, 12, np.random.default_rng(0))


def exact_loss(policy, theta):
    """The loss by going through every sequence of answers."""

    def go(state, layer):
        if layer == GAME.budget:
            counts = STATES.counts[layer][state : state + 1]
            return 1 - GAME.recommend(counts)[0, GAME.truth(theta[None])[0]]
        total = 0.0
        for question, answer in itertools.product(range(GAME.questions), (0, 1)):
            chance = (1 + (1 - 2 * answer) * theta[question]) / 2 * policy[layer][state, question]
            total += chance * go(STATES.children[layer][state, question, answer], layer + 1)
        return total

    return go(0, 0)


def test_difficulty_of_two_arms_is_known():
    game = Game(np.array([[1, 1], [1, -1]]), 1)  # only the second question matters
    assert difficulty(np.array([[0.3, 0.5]]), game)[0] == pytest.approx(4.0, rel=2e-3)
    assert difficulty(np.array([[0.3, 0.0]]), game)[0] == np.inf


def test_difficulty_is_the_least_over_shares_and_falls_with_the_square_of_the_scale():
    generator = np.random.default_rng(0)
    theta = thresholds(3, 1).hypotheses[[0, 1, 2]] * generator.uniform(0.2, 1, (3, 3))
    shares = generator.dirichlet(np.ones(3), 50_000)
    for row, found in zip(theta, difficulty(theta, GAME), strict=True):
        agreement = GAME.hypotheses @ row
        right = agreement.argmax()
        needs = [
            (1 / shares) @ (GAME.hypotheses[z] != GAME.hypotheses[right]) / ((agreement[right] - agreement[z]) / 2) ** 2
            for z in range(4)
            if z != right
        ]
        assert np.max(needs, axis=0).min() == pytest.approx(found, rel=0.02)
    np.testing.assert_allclose(difficulty(theta / 2, GAME), 4 * difficulty(theta, GAME), rtol=3e-3)


def test_problems_have_the_wanted_difficulty():
    hardness = difficulty(PROBLEMS, GAME)
    assert np.all((hardness > 7.9) & (hardness < 8.9))
    assert np.abs(PROBLEMS).max() <= 1
    with pytest.raises(UsageError, match="hardly a problem has difficulty"):
        draw_problems(GAME, 0.5, 5, np.random.default_rng(0))


def test_games_that_cannot_be_played():
    with pytest.raises(UsageError, match="hypotheses 0 and 2 answer all questions alike"):
        Game(np.array([[1, 1], [1, -1], [1, 1]]), 3)
    with pytest.raises(UsageError, match="budget"):
        thresholds(3, 0)
    with pytest.raises(UsageError, match="rows of"):
        Game(np.array([[1, 0], [1, -1]]), 3)
    with pytest.raises(UsageError, match="policy gradient"):
        States.of(thresholds(12, 12))
    with pytest.raises(DataError, match=r"within \[-1, 1\]"):
        STATES.losses(np.full((1, 3), 1.5))


def test_states_are_all_counts():
    assert [len(layer) for layer in STATES.counts] == [1, 6, 21, 56, 126]
    assert all((layer.sum((1, 2)) == number).all() for number, layer in enumerate(STATES.counts))
    answered = STATES.counts[2][STATES.children[1][0, 2, 1]] - STATES.counts[1][0]
    assert answered.tolist() == [[0, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize("rule", [uniform, round_robin, soft_bisection])
def test_losses_are_those_of_playing_out_every_answer(rule):
    policy = STATES.tabulate(rule(GAME))
    assert all(np.allclose(layer.sum(1), 1) for layer in policy)
    found = STATES.losses(PROBLEMS[:2]) @ STATES.reach(policy)
    np.testing.assert_allclose(found, [exact_loss(policy, theta) for theta in PROBLEMS[:2]], rtol=1e-5)


def test_the_solution_is_certified_and_beats_the_rules():
    losses = STATES.losses(PROBLEMS)
    solution = solve(STATES, losses, iterations=400)
    worst = (losses @ STATES.reach(solution.policy)).max()
    assert worst == pytest.approx(solution.upper, abs=1e-5)
    assert solution.lower <= solution.upper < solution.lower + 0.02
    assert worst < min((losses @ STATES.reach(STATES.tabulate(rule(GAME)))).max() for rule in (uniform, round_robin))
    for policy in (bayes(STATES, losses), STATES.tabulate(soft_bisection(GAME))):
        assert (losses @ STATES.reach(policy)).max() >= solution.lower


def test_the_adversary_finds_problems_that_a_draw_misses():
    def worst_of_fresh(rounds):
        found = Adversary(8, rounds, 200, 10, 100).train(STATES, (8.0,), np.random.default_rng(0))
        fresh = draw_problems(GAME, 8.0, 400, np.random.default_rng(1))
        return STATES.errors(fresh, found.robust.policy).max(), found

    (drawn, few), (hunted, more) = worst_of_fresh(0), worst_of_fresh(3)
    assert len(more.everything) > len(few.everything) == 8
    assert hunted < drawn
    assert more.targets.tolist() == [more.specialists[0].upper] * len(more.everything)


def test_the_best_policy_on_average_is_best_on_average():
    losses = STATES.losses(PROBLEMS)
    means = {
        name: (losses @ STATES.reach(policy)).mean()
        for name, policy in (("bayes", bayes(STATES, losses)), ("minimax", solve(STATES, losses).policy))
    }
    assert means["bayes"] <= means["minimax"]
    certain = STATES.losses(np.array([[-1.0, 1.0, 1.0]]))
    assert (certain @ STATES.reach(bayes(STATES, certain)))[0] == pytest.approx(0, abs=1e-6)


def test_a_network_learns_the_exact_solution():
    losses = STATES.losses(PROBLEMS)
    least = solve(STATES, losses, iterations=400)
    start = Asker(GAME, jax.random.key(0), width=32)
    first = (losses @ STATES.reach(tabulate(start, STATES))).max()
    asker, gap = train_exactly(start, STATES, losses, np.zeros(12), AskerTraining(300, 5e-3))
    assert (losses @ STATES.reach(tabulate(asker, STATES))).max() == pytest.approx(gap, abs=1e-4)
    assert least.lower - 1e-4 < gap < least.lower + 0.4 * (first - least.lower)


def test_playing_agrees_with_the_exact_loss():
    asker = Asker(GAME, jax.random.key(1), width=16, bias=3.0)
    theta = jnp.repeat(jnp.asarray(PROBLEMS[:2], jnp.float32), 4000, axis=0)
    counts, questions, wrong = play(asker, theta, jax.random.key(2))
    assert counts.shape == (4, 8000, 3, 2)
    assert questions.shape == (4, 8000)
    expected = STATES.losses(PROBLEMS[:2]) @ STATES.reach(tabulate(asker, STATES))
    np.testing.assert_allclose(wrong.reshape(2, -1).mean(1), expected, atol=0.025)


def test_training_by_play_lowers_the_worst_error():
    losses = STATES.losses(PROBLEMS)
    start = Asker(GAME, jax.random.key(0), width=32)
    trained = train_by_play(start, GAME, PROBLEMS, training=AskerTraining(150, 5e-3, plays=64))
    before, after = ((losses @ STATES.reach(tabulate(asker, STATES))).max() for asker in (start, trained))
    assert after < before - 0.02


def test_a_strong_bias_is_soft_bisection():
    asker = Asker(GAME, jax.random.key(0), width=8, bias=1e4)
    for table, rule in zip(tabulate(asker, STATES), STATES.tabulate(soft_bisection(GAME)), strict=True):
        alone = rule.max(1) > 0.99  # ties are broken by rounding in one of them
        np.testing.assert_allclose(table[alone], rule[alone], atol=1e-3)


def test_learner_asks_recommends_and_is_kept(tmp_path):
    learner = ActiveLearner.train(GAME, (6.0, 12.0), Adversary(15, 1, 50, 5, 60))
    facts = learner.certificate
    assert facts.lower <= facts.upper
    gaps = np.subtract(facts.worst, facts.achievable)
    assert gaps.max() == pytest.approx(facts.upper, abs=1e-4)
    history = []
    while len(history) < GAME.budget:
        question = learner.next_query(history, np.random.default_rng(len(history)))
        history.append((question, int(GAME.hypotheses[2, question])))
    assert GAME.hypotheses[learner.recommend(history)][history[0][0]] == history[0][1]
    with pytest.raises(UsageError, match="all 4 questions"):
        learner.next_query(history)
    with pytest.raises(UsageError, match="pairs of a question"):
        learner.recommend([(7, 1)])
    learner.save(tmp_path / "learner.npz")
    again = ActiveLearner.load(tmp_path / "learner.npz")
    assert again.certificate == facts
    np.testing.assert_array_equal(again.probabilities(history[:3]), learner.probabilities(history[:3]))
    (tmp_path / "other.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="no trained policy"):
        ActiveLearner.load(tmp_path / "other.npz")


def test_shipped_animals_can_be_told_apart():
    table = read_table()
    assert (len(table.items), len(table.questions)) == (24, 12)
    noisy = table.answered(np.linspace(0.6, 0.95, 12))
    assert noisy.game(12).truth(noisy.problems).tolist() == list(range(24))
    assert np.isfinite(difficulty(noisy.problems, noisy.game(12))).all()
    assert isinstance(noisy, QuestionTable)
    with pytest.raises(DataError, match="above 1/2"):
        table.answered(np.full(12, 0.5))


def test_tables_that_cannot_be_asked_about(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("item,a\nx,0.2\ny,1.7\n")
    with pytest.raises(DataError, match=r"from 0\.2 to 1\.7"):
        read_table(path)
    with pytest.raises(DataError, match="not a readable table"):
        read_table(tmp_path / "missing.csv")
