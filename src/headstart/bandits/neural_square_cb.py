"""NeuSquareCB and NeuFastCB: explore by inverse gaps of an online network's predictions (Deb et al. 2023).

SquareCB (Foster and Rakhlin 2020) and FastCB (Foster and Krishnamurthy 2021) with the perturbed network of arXiv
2312.07145 as their regression oracle. Both predict losses, one less the reward scaled to [0, 1].
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner
from headstart.bandits.perturbed_network import Loss, Perturbed, descend, init_network, predict
from headstart.bandits.unit_rewards import UnitRewards
from headstart.core.errors import UsageError


class NeuralState(NamedTuple):
    """What a neural learner remembers.

    Attributes:
        net: predicts losses.
        unit: maps rewards to [0, 1].
        steps: observations so far.
        extra: what a learner adds.
    """

    net: Perturbed
    unit: UnitRewards
    steps: Int[Array, ""]
    extra: Any = ()


@dataclass(frozen=True)
class NeuralLearner(Learner):
    """What all neural learners share: a network of the loss, one gradient step an observation.

    Raises:
        UsageError: constants that must be positive and are not.
    """

    width: int = 100
    """Of hidden layers (paper, experiments)."""
    depth: int = 2
    """Layers of weights (paper, experiments); 1 is a linear function."""
    learning_rate: float = 0.5
    """Of gradient descent; tune it."""
    curvature: float | None = None
    """Theory's mu: the rate falls as 1 / (mu t) once that is below ``learning_rate``. None keeps it constant."""
    radius: float | None = None
    """Frobenius norm that no layer's distance from its start may exceed; None for any. Theory needs one."""

    loss: ClassVar[Loss] = "square"

    def __post_init__(self) -> None:
        for name in ("width", "depth", "learning_rate", "curvature", "radius"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be positive; given {value}")

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> NeuralState:
        """A fresh network.

        Raises:
            UsageError: there are no features, or rewards are unbounded.
        """
        if spec.features is None:
            raise UsageError("a neural learner needs features of each arm; this bandit has none: take ucb or thompson")
        unit = UnitRewards.of(spec)
        net = init_network(key, spec.features, self.width, self.depth, *self.perturbed_by)
        return NeuralState(net, unit, jnp.zeros((), jnp.int32))

    @property
    def perturbed_by(self) -> tuple[int, float]:
        """Number of perturbations and their scale."""
        return 1, 0.0

    def losses(self, state: NeuralState, context: Context) -> Float[Array, " arms"]:
        """Predicted loss of each arm."""
        return predict(state.net, context)

    def observe(self, state: NeuralState, context, action, reward, propensity) -> NeuralState:
        """One gradient step on the loss of the arm pulled."""
        rate = jnp.float32(self.learning_rate)
        if self.curvature is not None:
            rate = jnp.minimum(rate, 1.0 / (self.curvature * (state.steps + 1)))
        net = descend(state.net, context[action], 1.0 - state.unit(reward), self.loss, rate, self.radius)
        return state._replace(net=net, steps=state.steps + 1)


@dataclass(frozen=True)
class InverseGap(NeuralLearner):
    """Explores an arm the less, the worse it is predicted to be; every arm's probability is known and positive."""

    gamma: float = 200.0
    """How little to explore: 0 is uniform, infinity greedy. Theory: of the order of sqrt(arms T / regression regret);
    the paper tunes it."""
    perturbations: int = 8
    """Random perturbations of the output, S; theory: of the order of log width."""
    perturbation: float = 0.01
    """Their scale, c_p; theory: a small constant. Steps are stable while learning_rate c_p^2 weights / (S sqrt width)
    stays well below 2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma < 0 or self.perturbations < 1 or self.perturbation < 0:
            raise UsageError(
                "gamma and perturbation must not be negative and perturbations be 1 or more; given "
                f"{self.gamma}, {self.perturbation} and {self.perturbations}"
            )

    @property
    def perturbed_by(self) -> tuple[int, float]:
        """Number of perturbations and their scale."""
        return self.perturbations, self.perturbation

    @abstractmethod
    def others(self, gaps: Float[Array, " arms"], best: Float[Array, ""]) -> Float[Array, " arms"]:
        """Probability of each arm but the best, from how far above the best loss its own is."""

    def probabilities(self, state: NeuralState, context: Context) -> Float[Array, " arms"]:
        """By inverse gaps; the best arm has what is left."""
        losses = self.losses(state, context)
        best = jnp.argmin(losses)
        others = self.others(losses - losses[best], losses[best]).at[best].set(0.0)
        return others.at[best].set(1.0 - jnp.sum(others))


@dataclass(frozen=True)
class NeuSquareCB(InverseGap):
    """Regret of the order of sqrt(arms T), with square loss."""

    def others(self, gaps: Float[Array, " arms"], best: Float[Array, ""]) -> Float[Array, " arms"]:
        """1 / (arms + gamma gap)."""
        return 1.0 / (len(gaps) + self.gamma * gaps)


@dataclass(frozen=True)
class NeuFastCB(InverseGap):
    """Regret of the order of sqrt(arms L*) where the best policy's total loss L* is small, with KL loss."""

    loss: ClassVar[Loss] = "kl"

    def losses(self, state: NeuralState, context: Context) -> Float[Array, " arms"]:
        """Predicted loss of each arm, within (0, 1)."""
        return jax.nn.sigmoid(predict(state.net, context))

    def others(self, gaps: Float[Array, " arms"], best: Float[Array, ""]) -> Float[Array, " arms"]:
        """best / (arms best + gamma gap), uniform where all losses vanish."""
        best = best + 1e-12
        return best / (len(gaps) * best + self.gamma * gaps)
