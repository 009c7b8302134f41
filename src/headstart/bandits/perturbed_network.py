"""A small network whose output is randomly perturbed, learned online (Deb, Ban, Zuo, He and Banerjee 2023).

The perturbation pulls the weights slightly towards their first values, which gives the loss a unique minimiser of
quadratic growth, and online gradient descent a regret that is logarithmic (arXiv 2312.07145, section 3). All weights
are kept in one vector, so that perturbing, descending and averaging are one operation each.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Weights = Float[Array, " weights"]
"""All layers one after another: matrices ``[width, inputs]``, row by row, and last a vector ``[width]``."""
Loss = Literal["square", "kl"]
"""Of a prediction within (-inf, inf): half the squared error, or the cross-entropy of its sigmoid."""


class Perturbed(eqx.Module):
    """A network, and what perturbs it.

    Attributes:
        weights: as learned so far.
        start: as they were at first.
        signs: random signs, one of each weight for each perturbation.
        scale: of the perturbations, ``c_p / width^(1/4)``.
        sizes: length of each layer's input.
    """

    weights: Weights
    start: Weights
    signs: Float[Array, "perturbations weights"]
    scale: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)


def init_network(
    key: PRNGKeyArray, inputs: int, width: int, depth: int, perturbations: int, perturbation: float
) -> Perturbed:
    """Normal matrices and a random unit vector.

    Args:
        key: of weights and signs.
        inputs: length of a feature vector, whose norm should be one.
        width: of each hidden layer.
        depth: number of layers of weights, the output's among them; 1 is linear.
        perturbations: how many, S.
        perturbation: their scale, c_p.
    """
    sizes = (inputs, *[width] * (depth - 1))
    count = sum(following * size for size, following in zip(sizes, (*sizes[1:], 1)))
    normal, signs = jax.random.split(key)
    drawn = jax.random.normal(normal, (count,))
    output = drawn[-sizes[-1] :]
    weights = drawn.at[-sizes[-1] :].set(output / jnp.linalg.norm(output))
    drawn = jax.random.rademacher(signs, (perturbations, count), jnp.float32)
    return Perturbed(weights, weights, drawn, jnp.float32(perturbation / width**0.25), sizes)


def layers(weights: Weights, sizes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """The matrices, and last the vector."""
    parts, start = [], 0
    for size, following in pairwise(sizes):
        parts.append(weights[start : start + size * following].reshape(following, size))
        start += size * following
    return [*parts, weights[start:]]


def network(weights: Weights, sizes: tuple[int, ...], x: Float[Array, " inputs"]) -> Float[Array, ""]:
    """GELU layers, each divided by the root of its width; the first is not, since inputs have norm one."""
    *matrices, output = layers(weights, sizes)
    for index, matrix in enumerate(matrices):
        x = jax.nn.gelu(matrix @ x if index == 0 else matrix @ x / math.sqrt(len(x)))
    return output @ x / (math.sqrt(len(x)) if matrices else 1.0)


def perturbations(net: Perturbed, weights: Weights) -> Float[Array, " perturbations"]:
    """What each perturbation adds to every output."""
    return net.scale * (net.signs @ (weights - net.start))


def predict(net: Perturbed, inputs: Float[Array, "rows inputs"]) -> Float[Array, " rows"]:
    """Perturbed outputs, averaged over the perturbations."""
    outputs = jax.vmap(lambda x: network(net.weights, net.sizes, x))(inputs)
    return outputs + jnp.mean(perturbations(net, net.weights))


def perturbed_loss(
    net: Perturbed, weights: Weights, x: Float[Array, " inputs"], target: Float[Array, ""], loss: Loss
) -> Float[Array, ""]:
    """Loss of the network with these weights at one input, averaged over the perturbations.

    For the square loss its mean over all signs is ``(target - f)^2 / 2 + scale^2 |weights - start|^2 / 2``.
    """
    outputs = network(weights, net.sizes, x) + perturbations(net, weights)
    if loss == "square":
        return jnp.mean(0.5 * (target - outputs) ** 2)
    return jnp.mean(jax.nn.softplus(outputs) - target * outputs)


def descend(
    net: Perturbed,
    x: Float[Array, " inputs"],
    target: Float[Array, ""],
    loss: Loss,
    rate: Float[Array, ""],
    radius: float | None = None,
) -> Perturbed:
    """One gradient step on one input, then back into the ball.

    Args:
        net: before it.
        x: the input.
        target: within [0, 1].
        loss: which.
        rate: the step's size.
        radius: Frobenius norm that no layer's distance from its start may exceed; None for any.
    """
    slopes = jax.grad(lambda weights: perturbed_loss(net, weights, x, target, loss))(net.weights)
    weights = net.weights - rate * slopes
    return eqx.tree_at(lambda n: n.weights, net, weights if radius is None else into_ball(net, weights, radius))


def into_ball(net: Perturbed, weights: Weights, radius: float) -> Weights:
    """The nearest weights of which no layer is farther than ``radius`` from its start (Frobenius norm)."""
    moved = [
        part * jnp.minimum(1.0, radius / jnp.maximum(jnp.linalg.norm(part), 1e-12))
        for part in layers(weights - net.start, net.sizes)
    ]
    return net.start + jnp.concatenate([part.reshape(-1) for part in moved])
