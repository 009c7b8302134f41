"""A learner at work by itself: decisions, late rewards, its state on disk, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from headstart.bandits.bandit import BanditSpec
from headstart.bandits.lin_thompson import LinThompson
from headstart.bandits.lin_ucb import LinUCB
from headstart.bandits.live import Agent, RewardedBeforeError, UnknownDecisionError
from headstart.bandits.log import Log
from headstart.bandits.posterior_sampling import PosteriorSampling
from headstart.bandits.ucb import UCB
from headstart.core.checkpoint import save_tree
from headstart.core.errors import CheckpointError, UsageError

SPEC = BanditSpec(3, 2)


def work(agent: Agent, steps: int, seed: int = 0) -> list[tuple[int, float]]:
    """Choose and reward some steps; every fifth reward is late by three, every seventh never comes."""
    generator, made, late = np.random.default_rng(seed), [], []
    for step in range(steps):
        context = generator.uniform(-0.5, 0.5, (3, 2))
        decision = agent.choose(context)
        made.append((decision.action, decision.propensity))
        reward = float(np.clip(0.5 + context[decision.action] @ [0.6, -0.3], 0, 1))
        if step % 7 != 6:
            late.append((decision.number, reward))
        if step % 5 != 4:
            while late:
                agent.observe(*late.pop())
    return made


@pytest.mark.parametrize("learner", [LinUCB(alpha=0.5), LinThompson(deviation=0.3, propensity_draws=20)])
def test_an_agent_goes_on_from_its_file_as_if_nothing_had_happened(learner, tmp_path: Path) -> None:
    agent = Agent(learner, SPEC, seed=3)
    work(agent, 30)
    agent.save(tmp_path / "state.safetensors")
    again = Agent.load(tmp_path / "state.safetensors")
    assert again.learner == learner
    assert (again.decisions, again.observations, again.total_reward) == (30, agent.observations, agent.total_reward)
    assert list(again.pending) == list(agent.pending)
    assert work(again, 20, seed=1) == work(agent, 20, seed=1)
    for ours, theirs in zip(jax.tree.leaves(again.state), jax.tree.leaves(agent.state), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_agent_learns() -> None:
    agent = Agent(UCB(scale=0.3), BanditSpec(4))
    arms = []
    for _ in range(300):
        decision = agent.choose()
        arms.append(decision.action)
        agent.observe(decision.number, float(decision.action == 2))
    assert np.mean(np.array(arms[100:]) == 2) > 0.9


def test_an_agent_learns_from_what_others_logged() -> None:
    log = Log.of([0, 1, 1, 2], [0.0, 1.0, 0.5, 0.0], [1 / 3] * 4)
    agent = Agent(UCB(), BanditSpec(3))
    agent.learn_from(log)
    assert agent.state.sums.count.tolist() == [1, 2, 1]
    assert agent.state.sums.total.tolist() == [0, 1.5, 0]
    with pytest.raises(UsageError, match="arms=4"):
        Agent(UCB(), BanditSpec(4)).learn_from(log)


def test_a_reward_sent_again_is_counted_once() -> None:
    agent = Agent(UCB(), BanditSpec(2))
    number = agent.choose().number
    assert agent.observe(number, 1.0)
    assert not agent.observe(number, 1.0)
    assert agent.observations == 1
    with pytest.raises(RewardedBeforeError, match="rewarded with 1 before"):
        agent.observe(number, 0.0)


def test_decisions_that_wait_too_long_are_given_up() -> None:
    agent = Agent(UCB(), BanditSpec(2), pending_limit=2)
    for _ in range(3):
        agent.choose()
    with pytest.raises(RewardedBeforeError, match="no longer waiting"):
        agent.observe(0, 1.0)
    assert agent.observe(1, 1.0)


@pytest.mark.parametrize(
    ("number", "reward", "error", "words"),
    [
        (5, 1.0, UnknownDecisionError, "choose before observing"),
        (-1, 1.0, UnknownDecisionError, "no decision -1"),
        ("0", 1.0, UsageError, "by its number"),
        (True, 1.0, UsageError, "by its number"),
        (0, 1.5, UsageError, "declared range"),
        (0, float("nan"), UsageError, "declared range"),
        (0, "1", UsageError, "declared range"),
        (0, 10**400, UsageError, "declared range"),
    ],
)
def test_rewards_that_cannot_be_are_refused(number, reward, error, words: str) -> None:
    agent = Agent(UCB(), BanditSpec(2))
    agent.choose()
    with pytest.raises(error, match=words):
        agent.observe(number, reward)
    assert agent.observations == 0
    assert agent.observe(0, 1.0)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (None, "3 rows of 2 features"),
        ([[0, 0], [0, 0]], "expected \\[3, 2\\]"),
        ([[0, 0], [0, 0], [0, float("inf")]], "expected finite numbers"),
        ([[0, 0], [0, 0], [0]], "rows of 2 numbers"),
        ([[0, 0], [0, 0], [0, 10**400]], "rows of 2 numbers"),
        ("abc", "rows of 2 numbers"),
    ],
)
def test_contexts_that_cannot_be_are_refused(context, words: str) -> None:
    agent = Agent(LinUCB(alpha=1.0), SPEC)
    with pytest.raises(UsageError, match=words):
        agent.choose(context)
    assert agent.decisions == 0


def test_features_longer_than_theory_assumes_are_warned_about_once(recwarn: pytest.WarningsRecorder) -> None:
    agent = Agent(LinUCB(alpha=1.0), SPEC)
    for _ in range(3):
        agent.choose([[3.0, 4.0], [0, 0], [0, 0]])
    assert [str(warning.message)[:32] for warning in recwarn] == ["a feature vector has norm 5, abo"]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_tree(tmp_path / "other.safetensors", {"a": np.zeros(2)})
    with pytest.raises(CheckpointError, match="does not hold a bandit learner"):
        Agent.load(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        Agent.load(tmp_path / "none.safetensors")


def test_propensities_of_posterior_sampling_weigh_without_bias() -> None:
    """The mean of 1 / propensity over the times an arm is chosen, times how often it is, is one."""

    class Coin(PosteriorSampling):
        def init(self, spec, key):
            return ()

        def sample(self, state, context, key):
            return jax.random.uniform(key, (2,)) * np.array([1.0, 4.0])  # the first arm is best one time in eight

        def observe(self, state, context, action, reward, propensity):
            return state

    learner = Coin(propensity_draws=60)
    choices = jax.vmap(lambda key: learner.choose((), None, key))(jax.random.split(jax.random.key(0), 40_000))
    for arm, probability in enumerate((1 / 8, 7 / 8)):
        chosen = np.asarray(choices.action) == arm
        assert chosen.mean() == pytest.approx(probability, abs=0.01)
        assert (chosen / np.asarray(choices.propensity)).mean() == pytest.approx(1.0, abs=0.03)
