"""Networks of the control wing: perceptrons, policies, critics, and ensembles of them.

Every module is a pytree whose leaves are all arrays, so it passes through ``jax.grad`` and ``jax.lax.scan`` as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.distributions import Categorical, Deterministic, Normal, TanhNormal

Module = TypeVar("Module")

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "selu": jax.nn.selu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
}


Initializer = Literal["uniform", "orthogonal", "lecun"]


class Linear(eqx.Module):
    """An affine map."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the map to the last axis."""
        return x @ self.weight + self.bias


def initial_layers(sizes: Sequence[int], key: PRNGKeyArray, initializer: Initializer = "uniform") -> list[Linear]:
    """Freshly initialised affine maps from each size to the next.

    Args:
        sizes: of the inputs, the hidden layers and the outputs.
        key: randomness.
        initializer: "uniform" draws weights and biases in ±1/√inputs (PyTorch's default); "lecun" draws weights from
            a Gaussian of variance 1/inputs; "orthogonal" makes rows or columns orthonormal, times √2 in all layers
            but the last. The latter two set biases to zero.
    """
    shapes = list(itertools.pairwise(sizes))
    # One draw for all layers: each separate draw would cost a third of a second to compile.
    count = sum((inputs + 1) * outputs for inputs, outputs in shapes)
    uniform = initializer == "uniform"
    noise = jax.random.uniform(key, (count,), minval=-1) if uniform else jax.random.normal(key, (count,))
    weights, biases = [], []
    for inputs, outputs in shapes:
        drawn, noise = noise[: (inputs + 1) * outputs].reshape(inputs + 1, outputs), noise[(inputs + 1) * outputs :]
        weights.append(drawn[:-1] * inputs**-0.5)
        biases.append(drawn[-1] * inputs**-0.5 if uniform else jnp.zeros(outputs))
    if initializer == "orthogonal":
        gains = [2.0**0.5] * (len(shapes) - 1) + [1.0]
        weights = [gain * weight for gain, weight in zip(gains, _orthonormal(weights), strict=True)]
    return [Linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)]


def _orthonormal(matrices: list[Float[Array, "rows columns"]]) -> list[Float[Array, "rows columns"]]:
    """Each matrix with its columns (or rows, if it has fewer) made orthonormal, by Gram and Schmidt's method.

    All in one loop, padded with zeros: LAPACK's QR takes seconds to compile and can stall in a single thread.
    """
    tall = [matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T for matrix in matrices]
    rows, columns = (max(matrix.shape[axis] for matrix in tall) for axis in (0, 1))
    start = jnp.stack([jnp.pad(m, ((0, rows - m.shape[0]), (0, columns - m.shape[1]))) for m in tall])

    def next_column(index: Array, q: Array) -> Array:
        column, earlier = q[:, :, index], jnp.arange(columns) < index
        for _ in range(2):  # the second time removes what rounding left
            column = column - jnp.einsum("mrc,mc->mr", q, jnp.einsum("mrc,mr->mc", q, column) * earlier)
        length = jnp.linalg.norm(column, axis=1, keepdims=True)
        return q.at[:, :, index].set(column / jnp.maximum(length, 1e-12))

    q = jax.lax.fori_loop(0, columns, next_column, start)
    done = [full[: m.shape[0], : m.shape[1]] for full, m in zip(q, tall, strict=True)]
    return [d if d.shape == m.shape else d.T for d, m in zip(done, matrices, strict=True)]


class LayerNorm(eqx.Module):
    """Layer normalisation over the last axis with a learned scale and offset."""

    scale: Float[Array, " features"]
    offset: Float[Array, " features"]

    def __init__(self, features: int):
        self.scale = jnp.ones(features)
        self.offset = jnp.zeros(features)

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
        """Normalise each row to mean 0 and variance 1, then scale and offset."""
        mean = jnp.mean(x, -1, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), -1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-6) * self.scale + self.offset


class MLP(eqx.Module):
    """A perceptron: affine, optional layer norm, activation, … , affine."""

    layers: list[Linear]
    norms: list[LayerNorm]
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        key: PRNGKeyArray,
        *,
        layer_norm: bool = False,
        activation: str = "relu",
        final_scale: float = 1.0,
        initializer: Initializer = "uniform",
    ):
        layers = initial_layers([inputs, *hidden, outputs], key, initializer)
        if final_scale != 1.0:
            layers[-1] = jax.tree.map(lambda leaf: leaf * final_scale, layers[-1])
        self.layers = layers
        self.norms = [LayerNorm(size) for size in hidden] if layer_norm else []
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the perceptron to the last axis."""
        activation = ACTIVATIONS[self.activation]
        # As one matrix: XLA multiplies a batched one half as fast on a processor.
        leading, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
        for index, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            if self.norms:
                x = self.norms[index](x)
            x = activation(x)
        return self.layers[-1](x).reshape(*leading, -1)


class DeterministicActor(eqx.Module):
    """A policy that gives one action in [-1, 1] (tanh of a perceptron)."""

    trunk: MLP

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Deterministic:
        """The action at each observation."""
        return Deterministic(jnp.tanh(self.trunk(observations)))


class TanhGaussianActor(eqx.Module):
    """A Gaussian squashed by tanh, as in SAC; standard deviation from the observation, or one free vector.

    Attributes:
        trunk: perceptron to the mean, and to the log standard deviation unless that is a free vector.
        log_std: the free vector, or None.
    """

    trunk: MLP
    log_std: Float[Array, " action"] | None
    log_std_min: float = eqx.field(static=True, default=-20.0)
    log_std_max: float = eqx.field(static=True, default=2.0)

    def __call__(self, observations: Float[Array, "*batch observation"]) -> TanhNormal:
        """The distribution of actions at each observation."""
        out = self.trunk(observations)
        if self.log_std is None:
            mean, log_std = jnp.split(out, 2, axis=-1)
        else:
            mean, log_std = out, jnp.broadcast_to(self.log_std, out.shape)
        return TanhNormal(mean, jnp.exp(jnp.clip(log_std, self.log_std_min, self.log_std_max)))


class GaussianActor(eqx.Module):
    """A Gaussian with mean tanh(perceptron) and one free vector of log standard deviations, as in IQL."""

    trunk: MLP
    log_std: Float[Array, " action"]
    log_std_min: float = eqx.field(static=True, default=-5.0)
    log_std_max: float = eqx.field(static=True, default=2.0)

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Normal:
        """The distribution of actions at each observation."""
        mean = jnp.tanh(self.trunk(observations))
        return Normal(
            mean, jnp.broadcast_to(jnp.exp(jnp.clip(self.log_std, self.log_std_min, self.log_std_max)), mean.shape)
        )


class CategoricalActor(eqx.Module):
    """A distribution over discrete actions: softmax of a perceptron."""

    trunk: MLP

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Categorical:
        """The distribution of actions at each observation."""
        return Categorical(self.trunk(observations))


class Critic(eqx.Module):
    """Q(s, a) for continuous actions."""

    trunk: MLP

    def __call__(
        self, observations: Float[Array, "*batch observation"], actions: Float[Array, "*batch action"]
    ) -> Float[Array, "*batch"]:
        """The value of each action at each observation; actions may have leading axes that observations lack."""
        observations = jnp.broadcast_to(observations, (*actions.shape[:-1], observations.shape[-1]))
        return self.trunk(jnp.concatenate([observations, actions], -1))[..., 0]


class DiscreteCritic(eqx.Module):
    """Q(s, ·) for discrete actions."""

    trunk: MLP

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Float[Array, "*batch choices"]:
        """The value of every choice at each observation."""
        return self.trunk(observations)


class MultiHeadCritic(eqx.Module):
    """Several Q(s, ·) for discrete actions on one trunk: heads of a mixture, or quantiles of the return."""

    trunk: MLP
    heads: int = eqx.field(static=True)

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Float[Array, "*batch heads choices"]:
        """Every head's value of every choice."""
        out = self.trunk(observations)
        return out.reshape(*out.shape[:-1], self.heads, -1)


def chosen(values: Float[Array, "*batch choices"], choices: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The value of one choice in each row, out of the values of all; both broadcast along leading axes."""
    shape = jnp.broadcast_shapes(values.shape[:-1], choices.shape)
    return jnp.take_along_axis(
        jnp.broadcast_to(values, (*shape, values.shape[-1])), jnp.broadcast_to(choices, shape)[..., None], -1
    )[..., 0]


class Value(eqx.Module):
    """V(s)."""

    trunk: MLP

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Float[Array, "*batch"]:
        """The value of each observation."""
        return self.trunk(observations)[..., 0]


class Scalar(eqx.Module):
    """One positive learned number, stored as its logarithm: a temperature or a Lagrange multiplier."""

    logarithm: Float[Array, ""]

    @classmethod
    def of(cls, value: float) -> Scalar:
        """A scalar with this value."""
        return cls(jnp.log(jnp.asarray(value, jnp.float32)))

    def __call__(self) -> Float[Array, ""]:
        """Its value."""
        return jnp.exp(self.logarithm)


def ensemble(make: Callable[[PRNGKeyArray], Module], count: int, key: PRNGKeyArray) -> Module:
    """``count`` independently initialised modules as one module whose arrays have a leading axis."""
    return jax.vmap(make)(jax.random.split(key, count))


def evaluate(members: Callable[..., Any], *inputs: Array) -> Any:
    """Every member of an ensemble on the same inputs; the result has a leading axis of members.

    Batched rather than unrolled: on two CPU cores both are equal at two members, and batched is a fifth faster at ten.
    """
    return jax.vmap(lambda member: member(*inputs))(members)


def member(members: Module, index: int) -> Module:
    """One member of an ensemble."""
    return jax.tree.map(lambda leaf: leaf[index], members)


def subset(members: Module, count: int, key: PRNGKeyArray, replace: bool = True) -> Module:
    """``count`` members of an ensemble drawn at random (REDQ's in-target minimisation)."""
    total = jax.tree.leaves(members)[0].shape[0]
    if count == total and not replace:
        return members
    chosen = jax.random.choice(key, total, (count,), replace=replace)
    return jax.tree.map(lambda leaf: leaf[chosen], members)
