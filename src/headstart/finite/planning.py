"""Exact planning: optimal values and policies, values and occupancies of a policy.

A policy is an array of probabilities, ``[horizon, states, actions]`` in an episodic world and ``[states, actions]`` in
a discounted one. Arrays of NumPy are planned with in double precision, arrays of JAX compile (loops over the steps of
an episode are unrolled).
"""

from __future__ import annotations

import math
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
    xp = _namespace(mdp.transition, mdp.reward)
    values, action_values, policy = [xp.zeros(mdp.states)], [], []
    for step in reversed(range(mdp.horizon)):
        transition, reward = mdp.at(step)
        quality = reward + transition @ values[0]
        action_values.insert(0, quality)
        values.insert(0, quality.max(-1))
        policy.insert(0, greedy(quality))
    return Solution(xp.stack(values), xp.stack(action_values), xp.stack(policy))


def soft_backward_induction(
    mdp: FiniteMDP, prior: Float[Numbers, "horizon states actions"], temperature: float
) -> Solution:
    """Optimal values and policy when leaving a prior policy costs ``temperature`` times their divergence (KL).

    ``V(s) = max_pi <pi, Q(s, .)> - temperature KL(pi || prior(s)) = temperature log sum_a prior(a|s) exp(Q(s,a) /
    temperature)``, and the policy is proportional to ``prior exp(Q / temperature)``: actions that the prior never takes
    are never taken. The values include the costs.
    """
    xp = _namespace(mdp.transition, mdp.reward, prior)
    values, action_values, policy = [xp.zeros(mdp.states)], [], []
    for step in reversed(range(mdp.horizon)):
        transition, reward = mdp.at(step)
        quality = reward + transition @ values[0]
        soft, chosen = soft_maximum(quality, prior[step], temperature)
        action_values.insert(0, quality)
        values.insert(0, soft)
        policy.insert(0, chosen)
    return Solution(xp.stack(values), xp.stack(action_values), xp.stack(policy))


def evaluate_policy(mdp: FiniteMDP, policy: Float[Numbers, "horizon states actions"]) -> Float[Numbers, "steps states"]:
    """Expected reward from each step and state to the end, ``[horizon + 1, states]``; the last row is 0."""
    xp = _namespace(mdp.transition, mdp.reward, policy)
    values = [xp.zeros(mdp.states)]
    for step in reversed(range(mdp.horizon)):
        transition, reward = mdp.at(step)
        values.insert(0, (policy[step] * (reward + transition @ values[0])).sum(-1))
    return xp.stack(values)


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


def greedy(action_values: Float[Numbers, "... actions"]) -> Float[Numbers, "... actions"]:
    """The deterministic policy of the largest value, as probabilities; ties go to the lowest action."""
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
