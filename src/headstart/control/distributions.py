"""Distributions over actions, each with the few operations that losses need."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

LOG_TWO_PI = 1.8378770664093453


def _normal_log_prob(x: Array, mean: Array, std: Array) -> Float[Array, "*batch"]:
    return jnp.sum(-0.5 * jnp.square((x - mean) / std) - jnp.log(std) - 0.5 * LOG_TWO_PI, -1)


class Deterministic(eqx.Module):
    """All mass on one action."""

    action: Float[Array, "*batch action"]

    def mode(self) -> Float[Array, "*batch action"]:
        """The action."""
        return self.action

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*batch action"]:
        """The action."""
        return self.action


class Normal(eqx.Module):
    """A Gaussian with independent dimensions; samples are clipped to [-1, 1], densities are not."""

    mean: Float[Array, "*batch action"]
    std: Float[Array, "*batch action"]

    def mode(self) -> Float[Array, "*batch action"]:
        """The mean, clipped to [-1, 1]."""
        return jnp.clip(self.mean, -1, 1)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*batch action"]:
        """A sample, clipped to [-1, 1]."""
        return jnp.clip(self.mean + self.std * jax.random.normal(key, self.mean.shape), -1, 1)

    def log_prob(self, actions: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Log density of actions."""
        return _normal_log_prob(actions, self.mean, self.std)

    def entropy(self) -> Float[Array, "*batch"]:
        """Differential entropy in nats."""
        return jnp.sum(jnp.log(self.std) + 0.5 * (1 + LOG_TWO_PI), -1)


class TanhNormal(eqx.Module):
    """The tanh of a Gaussian with independent dimensions (SAC, appendix C)."""

    mean: Float[Array, "*batch action"]
    std: Float[Array, "*batch action"]

    def mode(self) -> Float[Array, "*batch action"]:
        """The tanh of the Gaussian's mean (what acting greedily means for SAC)."""
        return jnp.tanh(self.mean)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*batch action"]:
        """A reparameterised sample."""
        return jnp.tanh(self.mean + self.std * jax.random.normal(key, self.mean.shape))

    def sample_and_log_prob(
        self, key: PRNGKeyArray, count: int | None = None
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        """A reparameterised sample and its log density, without inverting the tanh; ``count`` of them along a
        leading axis when it is given."""
        leading = () if count is None else (count,)
        before = self.mean + self.std * jax.random.normal(key, leading + self.mean.shape)
        return jnp.tanh(before), self._log_prob_before(before)

    def log_prob(self, actions: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Log density of actions, which are clipped to ±(1 - 1e-5) first: at ±1 it is infinite."""
        return self._log_prob_before(jnp.arctanh(jnp.clip(actions, -1 + 1e-5, 1 - 1e-5)))

    def _log_prob_before(self, before: Array) -> Float[Array, "*batch"]:
        log_slope = 2 * (jnp.log(2.0) - before - jax.nn.softplus(-2 * before))
        return _normal_log_prob(before, self.mean, self.std) - jnp.sum(log_slope, -1)


class Categorical(eqx.Module):
    """A distribution over choices, from unnormalised log-probabilities."""

    logits: Float[Array, "*batch choices"]

    def mode(self) -> Int[Array, "*batch"]:
        """The likeliest choice."""
        return jnp.argmax(self.logits, -1)

    def sample(self, key: PRNGKeyArray) -> Int[Array, "*batch"]:
        """A sampled choice."""
        return jax.random.categorical(key, self.logits)

    def log_probs(self) -> Float[Array, "*batch choices"]:
        """Log-probability of every choice."""
        return jax.nn.log_softmax(self.logits)

    def log_prob(self, actions: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Log-probability of choices."""
        return jnp.take_along_axis(self.log_probs(), actions[..., None], -1)[..., 0]

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy in nats."""
        log_probs = self.log_probs()
        return -jnp.sum(jnp.exp(log_probs) * log_probs, -1)
