"""Online regression with the perturbed network on a given stream, and the best that fixed weights could have done."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from headstart.bandits.perturbed_network import Loss, Perturbed, Weights, descend, into_ball, perturbed_loss


@jax.jit(static_argnames=("loss", "radius"))
def online_regression(
    net: Perturbed,
    inputs: Float[Array, "rounds inputs"],
    targets: Float[Array, " rounds"],
    loss: Loss,
    rate: float,
    curvature: float,
    radius: float,
) -> Float[Array, " rounds"]:
    """The perturbed loss of each round, suffered before its gradient step.

    Args:
        net: before the first round.
        inputs: of the rounds.
        targets: within [0, 1].
        loss: which.
        rate: the largest step.
        curvature: steps are ``1 / (curvature t)`` once that is smaller.
        radius: of the ball that each layer stays in.
    """

    def play(net: Perturbed, round_):
        number, x, target = round_
        suffered = perturbed_loss(net, net.weights, x, target, loss)
        step = jnp.minimum(rate, 1.0 / (curvature * number))
        return descend(net, x, target, loss, step, radius), suffered

    numbers = jnp.arange(1, len(targets) + 1, dtype=jnp.float32)
    return jax.lax.scan(play, net, (numbers, inputs, targets))[1]


@jax.jit(static_argnames=("loss", "radius", "steps"))
def best_in_ball(
    net: Perturbed,
    inputs: Float[Array, "rounds inputs"],
    targets: Float[Array, " rounds"],
    loss: Loss,
    radius: float,
    steps: int = 3000,
) -> Float[Array, ""]:
    """The least mean perturbed loss found for weights in the ball, by full gradients (Adam, falling rate)."""

    def mean_loss(weights: Weights) -> Float[Array, ""]:
        return jnp.mean(jax.vmap(perturbed_loss, (None, None, 0, 0, None))(net, weights, inputs, targets, loss))

    optimiser = optax.adam(optax.cosine_decay_schedule(0.02, steps))

    def improve(carry, _):
        weights, memory, least = carry
        value, slopes = jax.value_and_grad(mean_loss)(weights)
        change, memory = optimiser.update(slopes, memory)
        assert isinstance(change, jax.Array)
        weights = into_ball(net, weights + change, radius)
        return (weights, memory, jnp.minimum(least, value)), None

    first = (net.start, optimiser.init(net.start), jnp.float32(jnp.inf))
    (weights, _, least), _ = jax.lax.scan(improve, first, length=steps)
    return jnp.minimum(least, mean_loss(weights))
