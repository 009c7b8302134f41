"""A network that asks, trained against an adversary who weighs the problems (Zhang and Jamieson, arXiv 2010.15382).

The network descends the weighted loss while the adversary's log-weights climb each problem's gap. Where all states fit
in tables gradients are exact; elsewhere games are played and REINFORCE estimates them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.bandits.active_learning import Game, check_problems
from headstart.bandits.active_minimax import Policy, States

BISECTION = 1e4
"""A bias that leaves no choice: an untrained network with it is soft bisection."""


class Asker(eqx.Module):
    """Probabilities of the next question from the counts of answers.

    A bias towards the question on which hypotheses are most divided is added to the network's output, so that it
    starts from a sensible rule; ``bias`` 0 starts from nothing.
    """

    network: eqx.nn.MLP
    hypotheses: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    budget: int = eqx.field(static=True)
    bias: float = eqx.field(static=True)
    strength: float = eqx.field(static=True)

    def __init__(self, game: Game, key: PRNGKeyArray, width: int = 128, bias: float = 0.0, reliability: float = 0.7):
        network = eqx.nn.MLP(2 * game.questions + 1, game.questions, width, 2, key=key)
        # The last layer starts at zero: all questions alike, but for the bias.
        last = network.layers[-1]
        zeros = jax.tree.map(jnp.zeros_like, (last.weight, last.bias))
        self.network = eqx.tree_at(lambda net: (net.layers[-1].weight, net.layers[-1].bias), network, zeros)
        self.hypotheses = tuple(map(tuple, game.hypotheses.tolist()))
        self.budget, self.bias = game.budget, bias
        self.strength = float(np.log(reliability / (1 - reliability)) / 2)

    def __call__(self, counts: Float[Array, "questions answers"]) -> Float[Array, " questions"]:
        """Log-probabilities."""
        shares = jnp.append(counts.ravel(), counts.sum()) / self.budget
        hypotheses = jnp.asarray(self.hypotheses, jnp.float32)
        weights = jax.nn.softmax(self.strength * hypotheses @ (counts[:, 0] - counts[:, 1]))
        divided = -self.bias * jnp.abs(weights @ hypotheses)
        return jax.nn.log_softmax(self.network(shares) + divided)

    def probabilities(self, counts: Int[np.ndarray, "states questions answers"]) -> np.ndarray:
        """In many states at once; a rule as those of ``active_rules``."""
        return np.asarray(_many(self, jnp.asarray(counts, jnp.float32)), np.float64)


@eqx.filter_jit
def _many(asker: Asker, counts: Float[Array, "states questions answers"]) -> Float[Array, "states questions"]:
    return jnp.exp(jax.vmap(asker)(counts))


@dataclass(frozen=True)
class AskerTraining:
    """How the network is trained.

    Attributes:
        iterations: steps of network and adversary.
        learning_rate: Adam's, falling linearly to zero in training by play.
        forgetting: what the adversary's log-weights are multiplied by in each step, before gaps are added.
        plays: games of each problem in a step of training by play.
    """

    iterations: int = 300
    learning_rate: float = 2e-3
    forgetting: float = 0.995
    plays: int = 32


def train_exactly(
    asker: Asker,
    states: States,
    losses: Float[np.ndarray, "problems final"],
    targets: Float[np.ndarray, " problems"],
    training: AskerTraining = AskerTraining(),
) -> tuple[Asker, float]:
    """Train with exact gradients on all states of a small game.

    Returns:
        The network of the step with the smallest largest gap, and that gap.
    """
    counts = jnp.asarray(np.concatenate(states.counts[:-1]), jnp.float32)
    ends = np.cumsum([len(layer) for layer in states.counts[:-2]])
    children = [jnp.asarray(layer) for layer in states.children]
    sizes = [len(layer) for layer in states.counts[1:]]
    table, aims = jnp.asarray(losses), jnp.asarray(targets, jnp.float32)
    optimiser = optax.adam(training.learning_rate)

    def gaps_of(asker: Asker) -> Float[Array, " problems"]:
        weight, layers = jnp.ones(1), jnp.split(jnp.exp(jax.vmap(asker)(counts)), ends)
        for probabilities, following, size in zip(layers, children, sizes, strict=True):
            flow = weight[:, None] * probabilities
            weight = jnp.zeros(size).at[following].add(flow[..., None])
        return table @ weight - aims

    @eqx.filter_jit
    def step(asker: Asker, moments: Any, scores: Float[Array, " problems"]):
        def weighted(asker):
            gaps = gaps_of(asker)
            return jax.nn.softmax(scores) @ gaps, gaps

        gradients, gaps = eqx.filter_grad(weighted, has_aux=True)(asker)
        updates, moments = optimiser.update(gradients, moments)
        return eqx.apply_updates(asker, updates), moments, training.forgetting * scores + gaps, gaps.max()

    moments, scores = optimiser.init(eqx.filter(asker, eqx.is_inexact_array)), jnp.zeros(len(table))
    best, least = asker, np.inf
    for _ in range(training.iterations):
        following, moments, scores, gap = step(asker, moments, scores)
        if gap < least:
            best, least = asker, float(gap)
        asker = following
    return best, least


def play(
    asker: Asker, theta: Float[Array, "games questions"], key: PRNGKeyArray
) -> tuple[Float[Array, "budget games questions answers"], Int[Array, "budget games"], Float[Array, " games"]]:
    """Play games side by side.

    Returns:
        The counts before every question, the questions asked, and the probability of a wrong final answer.
    """
    hypotheses = jnp.asarray(asker.hypotheses, jnp.float32)
    games = jnp.arange(len(theta))

    def ask(counts, key):
        asking, answering = jax.random.split(key)
        question = jax.random.categorical(asking, jax.vmap(asker)(counts))
        no = jax.random.uniform(answering, games.shape) * 2 >= 1 + theta[games, question]
        return counts.at[games, question, no.astype(int)].add(1.0), (counts, question)

    start = jnp.zeros((*theta.shape, 2))
    final, (counts, questions) = jax.lax.scan(ask, start, jax.random.split(key, asker.budget))
    agreement = (final[..., 0] - final[..., 1]) @ hypotheses.T
    best = agreement == agreement.max(-1, keepdims=True)
    truth = (theta @ hypotheses.T).argmax(-1)
    return counts, questions, 1 - (best / best.sum(-1, keepdims=True))[games, truth]


def error_rates(
    asker: Asker, problems: Float[np.ndarray, "problems questions"], games: int, seed: int = 0
) -> Float[np.ndarray, " problems"]:
    """How often the final answer is wrong, in so many games of each problem."""
    theta = jnp.repeat(jnp.asarray(problems, jnp.float32), games, axis=0)
    wrong = eqx.filter_jit(play)(asker, theta, jax.random.key(seed))[2]
    return np.asarray(wrong, np.float64).reshape(len(problems), games).mean(1)


def train_by_play(
    asker: Asker,
    game: Game,
    problems: Float[np.ndarray, "problems questions"],
    targets: Float[np.ndarray, " problems"] | float = 0.0,
    training: AskerTraining = AskerTraining(iterations=2000, learning_rate=1e-3),
    seed: int = 0,
) -> Asker:
    """Train by playing, for games whose states are too many for tables.

    Raises:
        DataError: problems of another game, or outside [-1, 1].
    """
    check_problems(problems, game)
    theta = jnp.repeat(jnp.asarray(problems, jnp.float32), training.plays, axis=0)
    aims = jnp.broadcast_to(jnp.asarray(targets, jnp.float32), len(problems))
    optimiser = optax.adam(optax.linear_schedule(training.learning_rate, 0.0, training.iterations))

    @eqx.filter_jit
    def step(asker: Asker, moments: Any, scores: Float[Array, " problems"], key: PRNGKeyArray):
        counts, questions, wrong = play(asker, theta, key)
        by_problem = wrong.reshape(len(aims), training.plays)
        means = by_problem.mean(1)
        # Better or worse than the other games of the same problem, by which the mean stays unbiased.
        advantage = (by_problem - means[:, None]) * training.plays / (training.plays - 1)
        weight = jnp.repeat(jax.nn.softmax(scores), training.plays) * advantage.ravel() / training.plays

        def surrogate(asker):
            logarithms = jax.vmap(jax.vmap(asker))(counts)
            chosen = jnp.take_along_axis(logarithms, questions[..., None], -1)[..., 0]
            return (chosen.sum(0) * weight).sum()

        updates, moments = optimiser.update(eqx.filter_grad(surrogate)(asker), moments)
        return eqx.apply_updates(asker, updates), moments, training.forgetting * scores + means - aims

    moments, scores = optimiser.init(eqx.filter(asker, eqx.is_inexact_array)), jnp.zeros(len(aims))
    key = jax.random.key(seed)
    for number in range(training.iterations):
        asker, moments, scores = step(asker, moments, scores, jax.random.fold_in(key, number))
    return asker


def tabulate(asker: Asker, states: States) -> Policy:
    """The network's probabilities in every state."""
    counts = states.counts[:-1]
    return np.split(asker.probabilities(np.concatenate(counts)), np.cumsum([len(layer) for layer in counts[:-1]]))
