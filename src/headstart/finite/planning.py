"""Exact planning: optimal values and policies, values and occupancies of a policy.

A policy is an array of probabilities, ``[horizon, states, actions]`` in an episodic world and ``[states, actions]`` in
a discounted one. Arrays of NumPy are planned with in double precision; arrays of JAX compile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from headstart.core.errors import HeadstartError
from headstart.finite.mdp import DiscountedMDP, FiniteMDP, Numbers


class Solution(NamedTuple):
    """Values, action values and the policy that has them.

    Episodic: ``values [horizon + 1, states]`` (the last row is 0), ``action_values`` and ``policy``
    ``[horizon, states, actions]``. Discounted: the same without the first axis.
    """

    values: Any
    action_values: Any
    policy: Any


def backward_induction(mdp: FiniteMDP) -> Solution:
    """Optimal values and a deterministic optimal policy; ties go to the lowest action."""

    def one_step(values: Any, transition: Any, reward: Any) -> Any:
        quality = reward + transition @ values
        return quality.max(-1), quality

    values, action_values = from_the_end(mdp, one_step)
    return Solution(values, action_values, greedy(action_values))


def soft_backward_induction(
    mdp: FiniteMDP, prior: Float[Numbers, "horizon states actions"], temperature: float
) -> Solution:
    """Optimal values and policy when leaving a prior policy costs ``temperature`` times their divergence (KL).

    ``V(s) = max_pi <pi, Q(s, .)> - temperature KL(pi || prior(s)) = temperature log sum_a prior(a|s) exp(Q(s,a) /
    temperature)``, and the policy is proportional to ``prior exp(Q / temperature)``: actions that the prior never takes
    are never taken. The values include the costs.
    """

    def one_step(values: Any, transition: Any, reward: Any, prior: Any) -> Any:
        quality = reward + transition @ values
        value, policy = soft_maximum(quality, prior, temperature)
        return value, (quality, policy)

    values, (action_values, policy) = from_the_end(mdp, one_step, prior)
    return Solution(values, action_values, policy)


def evaluate_policy(mdp: FiniteMDP, policy: Float[Numbers, "horizon states actions"]) -> Float[Numbers, "steps states"]:
    """Expected reward from each step and state to the end, ``[horizon + 1, states]``; the last row is 0."""

    def one_step(values: Any, transition: Any, reward: Any, policy: Any) -> Any:
        return (policy * (reward + transition @ values)).sum(-1), None

    return from_the_end(mdp, one_step, policy)[0]


def from_the_end(mdp: FiniteMDP, one_step: Callable[..., Any], *inputs: Numbers) -> tuple[Numbers, Any]:
    """Work through an episode backwards: the loop that every planner of episodic worlds shares.

    Args:
        mdp: the world.
        one_step: from the next step's values ``[states]``, and this step's transition, reward and inputs, to this
            step's values and whatever else is wanted.
        inputs: arrays with a leading axis of ``horizon``.

    Returns:
        Values ``[horizon + 1, states]``, the last row 0; and what else each step returned, stacked from first to last.
    """
    if _namespace(mdp.transition, mdp.reward, *inputs) is np:
        values, extras = [np.zeros(mdp.states)], []
        for step in reversed(range(mdp.horizon)):
            value, extra = one_step(values[-1], *mdp.at(step), *(part[step] for part in inputs))
            values.append(value)
            extras.append(extra)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *extras[::-1])
        return np.stack(values[::-1]), stacked

    def body(values: Any, parts: Any) -> Any:
        dynamics, inputs = parts
        value, extra = one_step(values, *(dynamics or mdp.at(0)), *inputs)
        return value, (value, extra)

    dynamics = None if mdp.stationary else (jnp.asarray(mdp.transition), jnp.asarray(mdp.reward))
    last = jnp.zeros(mdp.states)
    parts = (dynamics, tuple(map(jnp.asarray, inputs)))
    _, (values, extras) = jax.lax.scan(body, last, parts, length=mdp.horizon, reverse=True)
    return jnp.concatenate([values, last[None]]), extras


def value_of(mdp: FiniteMDP, policy: Float[Numbers, "horizon states actions"]) -> Any:
    """Expected reward of an episode, from the world's start."""
    return mdp.initial @ evaluate_policy(mdp, policy)[0]


def occupancy(
    mdp: FiniteMDP, policy: Float[Numbers, "horizon states actions"]
) -> Float[Numbers, "horizon states actions"]:
    """Probability of being in each state and taking each action at each step; sums to 1 at every step."""
    xp = _namespace(mdp.transition, mdp.initial, policy)
    visited, occupancies = mdp.initial, []
    for step in range(mdp.horizon):
        occupancies.append(visited[:, None] * policy[step])
        visited = xp.einsum("sa,san->n", occupancies[-1], mdp.at(step)[0])
    return xp.stack(occupancies)


def value_iteration(mdp: DiscountedMDP, tolerance: float = 1e-6) -> Solution:
    """Values within ``tolerance`` of the optimal ones, and the policy that is greedy for them.

    At most as many sweeps as the contraction needs; earlier when a sweep changes too little to matter. JAX's float32
    limits the accuracy to about ``1e-6 / (1 - discount)``.
    """
    xp = _namespace(mdp.transition, mdp.reward)
    discount = mdp.discount
    enough = tolerance * (1 - discount) / max(discount, 1e-12)
    most = 1 if discount == 0 else max(1, math.ceil(math.log(tolerance * (1 - discount)) / math.log(discount)))

    def unfinished(carry: Any) -> Any:
        return (carry[0] < most) & (carry[2] > enough)

    def sweep(carry: Any) -> Any:
        values = (mdp.reward + discount * (mdp.transition @ carry[1])).max(-1)
        return carry[0] + 1, values, xp.abs(values - carry[1]).max()

    carry: Any = (0, xp.zeros(mdp.states), xp.asarray(xp.inf))
    if xp is jnp:
        carry = jax.lax.while_loop(unfinished, sweep, carry)
    while xp is np and unfinished(carry):
        carry = sweep(carry)
    action_values = mdp.reward + discount * (mdp.transition @ carry[1])
    return Solution(carry[1], action_values, greedy(action_values))


def evaluate_stationary(mdp: DiscountedMDP, policy: Float[Numbers, "states actions"]) -> Float[Numbers, " states"]:
    """Expected discounted reward of a policy from each state, by solving its linear equations."""
    xp = _namespace(mdp.transition, mdp.reward, policy)
    moves = xp.einsum("sa,san->sn", policy, mdp.transition)
    return xp.linalg.solve(xp.eye(mdp.states) - mdp.discount * moves, (policy * mdp.reward).sum(-1))


def discounted_occupancy(
    mdp: DiscountedMDP, policy: Float[Numbers, "states actions"]
) -> Float[Numbers, "states actions"]:
    """Discounted frequency of each state and action from the world's start, normalised to sum to 1."""
    xp = _namespace(mdp.transition, mdp.initial, policy)
    moves = xp.einsum("sa,san->sn", policy, mdp.transition)
    visited = xp.linalg.solve(xp.eye(mdp.states) - mdp.discount * moves.T, (1 - mdp.discount) * mdp.initial)
    return visited[:, None] * policy


def solve_by_linear_program(mdp: DiscountedMDP) -> Solution:
    """Optimal values as the least ones with ``V(s) >= r(s, a) + discount P(s, a) V`` everywhere (HiGHS, float64).

    Raises:
        HeadstartError: the solver gives up; its reason is in the message.
    """
    from scipy.optimize import linprog

    reward, transition = np.asarray(mdp.reward, np.float64), np.asarray(mdp.transition, np.float64)
    rows = mdp.discount * transition.reshape(-1, mdp.states) - np.repeat(np.eye(mdp.states), mdp.actions, axis=0)
    result = linprog(np.ones(mdp.states), A_ub=rows, b_ub=-reward.ravel(), bounds=(None, None), method="highs")
    if not result.success:
        raise HeadstartError(f"the linear program was not solved: {result.message}")
    action_values = reward + mdp.discount * (transition @ result.x)
    return Solution(result.x, action_values, greedy(action_values))


def greedy(action_values: Float[Numbers, "... actions"]) -> Any:
    """The deterministic policy of the largest value, as probabilities of the same shape; ties go to the lowest."""
    xp = _namespace(action_values)
    best = action_values.argmax(-1)[..., None]
    return (best == xp.arange(action_values.shape[-1])).astype(action_values.dtype)


def soft_maximum(
    action_values: Float[Numbers, "... actions"], prior: Float[Numbers, "... actions"], temperature: float
) -> tuple[Float[Numbers, "..."], Float[Numbers, "... actions"]]:
    """``temperature log sum_a prior(a) exp(Q(a) / temperature)`` and the policy that attains it."""
    xp = _namespace(action_values, prior)
    scaled = action_values / temperature
    largest = xp.where(prior > 0, scaled, -xp.inf).max(-1, keepdims=True)
    weights = prior * xp.exp(xp.minimum(scaled - largest, 0.0))
    total = weights.sum(-1, keepdims=True)
    return temperature * (largest + xp.log(total))[..., 0], weights / total


def _namespace(*arrays: Any) -> ModuleType:
    """jax.numpy if one of the arrays is JAX's, else numpy."""
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np
