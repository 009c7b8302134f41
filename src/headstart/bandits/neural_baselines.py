"""Neural bandits that explore in other ways: NeuralUCB, neural Thompson sampling, epsilon-greedy.

As in their papers (Zhou, Li and Gu 2020; Zhang, Zhou, Li and Gu 2021), except that the network takes one gradient step
an observation, as its competitors here do, and that the gradients' moment matrix is diagonal.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Choice, Context, among_best, draw
from headstart.bandits.neural_square_cb import NeuralLearner, NeuralState
from headstart.bandits.perturbed_network import network
from headstart.core.errors import UsageError


@dataclass(frozen=True)
class NeuralEpsilonGreedy(NeuralLearner):
    """The arm of least predicted loss, except now and then."""

    epsilon: float = 0.05
    """Probability of drawing an arm evenly; 0 is greedy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise UsageError(f"epsilon must lie within [0, 1]; given {self.epsilon}")

    def probabilities(self, state: NeuralState, context: Context) -> Float[Array, " arms"]:
        """Mostly on the best arm."""
        greedy = among_best(-self.losses(state, context))
        return (1 - self.epsilon) * greedy + self.epsilon / len(greedy)


@dataclass(frozen=True)
class WidthLearner(NeuralLearner):
    """Explores by how uncertain the network's gradient features leave each arm's loss."""

    scale: float = 0.1
    """Of the uncertainty, nu; the papers tune it."""
    ridge: float = 1.0
    """Added to the moments of gradients, lambda."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale < 0 or not self.ridge > 0:
            raise UsageError(f"scale must not be negative and ridge be positive; given {self.scale} and {self.ridge}")

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> NeuralState:
        """A fresh network, and no moments beyond the ridge."""
        state = super().init(spec, key)
        return state._replace(extra=jnp.full_like(state.net.weights, self.ridge))

    def widths(self, state: NeuralState, context: Context) -> Float[Array, " arms"]:
        """Standard deviation of each arm's loss, times the scale."""
        return self.scale * jnp.sqrt(jnp.sum(_gradients(state, context) ** 2 / state.extra, axis=1))

    def observe(self, state: NeuralState, context, action, reward, propensity) -> NeuralState:
        """Add the pulled arm's squared gradient to the moments, then learn."""
        moments = state.extra + _gradients(state, context[action][None])[0] ** 2
        return super().observe(state._replace(extra=moments), context, action, reward, propensity)

    @abstractmethod
    def index(self, losses, widths, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """What the chosen arm has least of."""

    def choose(self, state: NeuralState, context: Context, key: PRNGKeyArray) -> Choice:
        """The arm of least index; its propensity is that of this draw of the index."""
        own, drawn = jax.random.split(key)
        index = self.index(self.losses(state, context), self.widths(state, context), own)
        return draw(among_best(-index), drawn)


@dataclass(frozen=True)
class NeuralUCB(WidthLearner):
    """The arm whose loss could be least."""

    def index(self, losses, widths, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """Lower confidence bounds."""
        return losses - widths


@dataclass(frozen=True)
class NeuralThompson(WidthLearner):
    """The arm of least loss in a random draw."""

    def index(self, losses, widths, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """Normal draws."""
        return losses + widths * jax.random.normal(key, losses.shape)


def _gradients(state: NeuralState, context: Context) -> Float[Array, "arms weights"]:
    """Of the network's output at each arm."""
    net = state.net
    return jax.vmap(lambda x: jax.grad(network)(net.weights, net.sizes, x))(context)
