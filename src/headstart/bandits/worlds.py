"""Bandits with known means: with and without contexts."""

from __future__ import annotations

import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from headstart.bandits.bandit import Bandit, BanditSpec, Context
from headstart.core.errors import UsageError


def _finite(name: str, values: ArrayLike, dimensions: int) -> Float[np.ndarray, "..."]:
    array = np.asarray(values, np.float32)
    if array.ndim != dimensions or array.size == 0 or not np.isfinite(array).all():
        raise UsageError(f"{name} must be {dimensions}-dimensional, finite and not empty; given {list(array.shape)}")
    return array


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} must be a positive number; given {value}")
    return float(value)


def warn_about_norms(features: ArrayLike, bound: float = 1.0) -> None:
    """Warn where a feature vector is longer than ``bound``, as confidence sets of linear bandits assume it is not."""
    longest = float(np.max(np.linalg.norm(np.asarray(features), axis=-1), initial=0.0))
    if longest > bound * (1 + 1e-5):
        warnings.warn(
            f"a feature vector has norm {longest:.4g}, above {bound:g}: confidence widths that assume norms of at most "
            f"{bound:g} are too narrow, and their regret bounds do not apply; divide all features by {longest:.4g}",
            stacklevel=3,
        )


class BernoulliBandit(Bandit):
    """Rewards of 0 or 1; arm ``a`` gives 1 with probability ``probability[a]``."""

    probability: Float[Array, " arms"]

    @classmethod
    def of(cls, probability: ArrayLike) -> BernoulliBandit:
        """From each arm's probability of a reward.

        Raises:
            UsageError: probabilities outside [0, 1]; the first such arm is named.
        """
        array = _finite("probability", probability, 1)
        wrong = np.flatnonzero((array < 0) | (array > 1))
        if len(wrong):
            raise UsageError(f"arm {wrong[0]} has probability {array[wrong[0]]:g}, outside [0, 1]")
        return cls(jnp.asarray(array))

    @classmethod
    def gap(cls, arms: int, gap: float) -> BernoulliBandit:
        """One arm at 0.5 + gap / 2, the last; all others at 0.5 - gap / 2."""
        return cls.of([*[0.5 - gap / 2] * (arms - 1), 0.5 + gap / 2])

    @property
    def spec(self) -> BanditSpec:
        """Bounded rewards, no context."""
        return BanditSpec(len(self.probability))

    def means(self, context: Context) -> Float[Array, " arms"]:
        """The probabilities."""
        return self.probability

    def reward(self, context: Context, action: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """0 or 1."""
        return (jax.random.uniform(key) < self.probability[action]).astype(jnp.float32)


class GaussianBandit(Bandit):
    """Normal rewards around each arm's mean, all with one standard deviation."""

    mean: Float[Array, " arms"]
    deviation: float = eqx.field(static=True)

    @classmethod
    def of(cls, mean: ArrayLike, deviation: float) -> GaussianBandit:
        """From each arm's mean and the noise's standard deviation."""
        return cls(jnp.asarray(_finite("mean", mean, 1)), _positive("deviation", deviation))

    @property
    def spec(self) -> BanditSpec:
        """Unbounded rewards, no context."""
        return BanditSpec(len(self.mean), None, -math.inf, math.inf)

    def means(self, context: Context) -> Float[Array, " arms"]:
        """The means."""
        return self.mean

    def reward(self, context: Context, action: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """The arm's mean and noise."""
        return self.mean[action] + self.deviation * jax.random.normal(key)


class LinearBandit(Bandit):
    """Mean reward is the inner product of an arm's features and an unknown parameter; normal noise.

    The same arms at every step, or fresh ones: with ``drawn`` set, every arm's features are drawn anew at each step,
    evenly from the unit sphere.
    """

    parameter: Float[Array, " features"]
    features: Float[Array, "arms features"]
    deviation: float = eqx.field(static=True)
    drawn: bool = eqx.field(static=True)

    @classmethod
    def of(cls, parameter: ArrayLike, features: ArrayLike, deviation: float = 0.1) -> LinearBandit:
        """From the parameter and each arm's fixed features; warns where the norm of either exceeds 1.

        Raises:
            UsageError: shapes that do not agree, or numbers that are not finite.
        """
        parameter, features = _finite("parameter", parameter, 1), _finite("features", features, 2)
        if features.shape[1] != len(parameter):
            raise UsageError(f"features have {features.shape[1]} columns, the parameter {len(parameter)} entries")
        warn_about_norms(features)
        warn_about_norms(parameter)
        return cls(jnp.asarray(parameter), jnp.asarray(features), _positive("deviation", deviation), False)

    @classmethod
    def fresh(cls, parameter: ArrayLike, arms: int, deviation: float = 0.1) -> LinearBandit:
        """Arms drawn anew from the unit sphere at every step."""
        parameter = _finite("parameter", parameter, 1)
        warn_about_norms(parameter)
        return cls(jnp.asarray(parameter), jnp.zeros((arms, len(parameter))), _positive("deviation", deviation), True)

    @property
    def spec(self) -> BanditSpec:
        """Unbounded rewards; each arm's features are the context."""
        arms, features = self.features.shape
        return BanditSpec(arms, features, -math.inf, math.inf)

    def context(self, step: Int[Array, ""], key: PRNGKeyArray) -> Context:
        """Each arm's features."""
        if not self.drawn:
            return self.features
        drawn = jax.random.normal(key, self.features.shape)
        return drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)

    def means(self, context: Context) -> Float[Array, " arms"]:
        """Inner products with the parameter."""
        return context @ self.parameter

    def reward(self, context: Context, action: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """The arm's mean and noise."""
        return context[action] @ self.parameter + self.deviation * jax.random.normal(key)


class AdvisedBandit(Bandit):
    """Each step one of several situations; the context holds what experts advise in it.

    Column ``e`` of the context is expert ``e``'s probability of each arm. Rewards are 0 or 1.
    """

    probability: Float[Array, "situations arms"]
    advice: Float[Array, "situations arms experts"]

    @classmethod
    def of(cls, probability: ArrayLike, advice: ArrayLike) -> AdvisedBandit:
        """From each situation's probabilities of a reward and each expert's probabilities of arms.

        Raises:
            UsageError: shapes that do not agree, probabilities outside [0, 1], or advice that does not sum to one.
        """
        probability, advice = _finite("probability", probability, 2), _finite("advice", advice, 3)
        if advice.shape[:2] != probability.shape:
            raise UsageError(f"advice is {list(advice.shape)}, probability {list(probability.shape)}")
        if probability.min() < 0 or probability.max() > 1:
            raise UsageError("probabilities of a reward must lie in [0, 1]")
        wrong = np.argwhere((np.abs(advice.sum(1) - 1) > 1e-4) | (advice.min(1) < 0))
        if len(wrong):
            raise UsageError(f"expert {wrong[0][1]}'s advice in situation {wrong[0][0]} is not a distribution of arms")
        return cls(jnp.asarray(probability), jnp.asarray(advice))

    @property
    def spec(self) -> BanditSpec:
        """Bounded rewards; one feature an expert, and one that numbers the situation."""
        _, arms, experts = self.advice.shape
        return BanditSpec(arms, experts)

    def context(self, step: Int[Array, ""], key: PRNGKeyArray) -> Context:
        """The experts' advice in a situation drawn evenly."""
        return self.advice[jax.random.randint(key, (), 0, len(self.advice))]

    def means(self, context: Context) -> Float[Array, " arms"]:
        """The probabilities of the situation whose advice this is (the first such)."""
        situation = jnp.argmin(jnp.sum(jnp.abs(self.advice - context), (1, 2)))
        return self.probability[situation]

    def reward(self, context: Context, action: Int[Array, ""], key: PRNGKeyArray) -> Float[Array, ""]:
        """0 or 1."""
        return (jax.random.uniform(key) < self.means(context)[action]).astype(jnp.float32)
