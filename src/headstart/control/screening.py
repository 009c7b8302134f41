"""Values of many actions by half-width multiplications, where they only decide which of them to look at closely."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from headstart.control.networks import Critic, Linear, member

AT_ONCE = 6
"""Actions of each observation in one multiplication: what a processor's cache holds of a batch of 256."""


class RoundedLinear(Linear):
    """An affine map whose inputs and weight are rounded to bfloat16, and whose sums are of float32."""

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the map to the last axis."""
        inputs, weight = x.astype(jnp.bfloat16), self.weight.astype(jnp.bfloat16)
        return jnp.dot(inputs, weight, preferred_element_type=jnp.float32) + self.bias


def rounded(critic: Critic) -> Critic:
    """The critic with every layer but the last rounded."""
    *hidden, last = critic.trunk.layers
    layers: list[Any] = [RoundedLinear(layer.weight, layer.bias) for layer in hidden]
    return eqx.tree_at(lambda critic: critic.trunk.layers, critic, [*layers, last])


def screened_values(
    critics: Critic, observations: Float[Array, "batch observation"], actions: Float[Array, "samples batch action"]
) -> Float[Array, "critics samples batch"]:
    """Every critic's value of every action, in bfloat16 but for sums, biases, norms and the last layer."""
    count, samples = jax.tree.leaves(critics)[0].shape[0], actions.shape[0]
    # Apart, as XLA multiplies a batch of bfloat16 matrices more slowly on a processor.
    members = [rounded(member(critics, index)) for index in range(count)]
    parts = actions.reshape(-1, math.gcd(samples, AT_ONCE), *actions.shape[1:])
    values = jax.lax.map(lambda part: jnp.stack([critic(observations, part) for critic in members]), parts)
    return jnp.moveaxis(values, 0, 1).reshape(count, *actions.shape[:2])
