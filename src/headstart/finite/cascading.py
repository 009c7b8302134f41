"""Cascading decision processes: short ordered lists are shown, the first item that attracts is clicked, states follow.

In state ``s`` the user looks at the items of a list one by one and clicks item ``a`` with probability
``attraction[s, a]``, which earns ``reward[s, a]`` and leads to a state drawn from ``transition[s, a]``. Whoever clicks
nothing earns nothing and goes on as ``transition[s, items]`` says. Items after the click are never looked at (Du,
Srikant and Chen 2024, arXiv 2401.08961).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.best_permutation import NOTHING, best_permutation, list_value
from headstart.finite.mdp import ROW_TOLERANCE, Numbers, draw, index_at


@dataclass(frozen=True)
class CascadingSpec:
    """Sizes of a cascading world. Hashable, so it can be static under ``jax.jit``."""

    states: int
    items: int
    horizon: int
    list_size: int
    """Most items in a list."""


class Session(NamedTuple):
    """What one list led to."""

    clicked: Any
    """Place in the list of the item that was clicked; ``NOTHING`` if none was."""
    reward: Any
    following: Any
    """The next state."""


class CascadingMDP(eqx.Module):
    """An episodic world in which an action is a list of items. Build it with ``CascadingMDP.of``, which checks it.

    A policy is an integer array ``[horizon, states, list_size]``: the items shown, then ``NOTHING``.
    """

    attraction: Float[Numbers, "states items"]
    """Probability of a click on an item that is looked at."""
    reward: Float[Numbers, "states items"]
    """What a click earns, within [0, 1]."""
    transition: Float[Numbers, "states outcomes next"]
    """Probabilities of the next state after a click on each item and, last, after none: items + 1 outcomes."""
    initial: Float[Numbers, " states"]
    horizon: int = eqx.field(static=True)
    list_size: int = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        attraction: ArrayLike,
        reward: ArrayLike,
        transition: ArrayLike,
        transition_none: ArrayLike,
        horizon: int,
        list_size: int,
        initial: ArrayLike | None = None,
    ) -> CascadingMDP:
        """A world from its arrays, which are kept as float64.

        Args:
            attraction: probabilities of a click, ``[states, items]``.
            reward: earned by a click, in [0, 1], ``[states, items]``.
            transition: probabilities of the next state after a click, ``[states, items, next]``.
            transition_none: the same after no click, ``[states, next]``.
            horizon: lists shown in an episode, at least 1.
            list_size: most items in a list, at least 1; of fewer items, all may be shown.
            initial: probabilities ``[states]`` of the start; state 0 when None.

        Raises:
            UsageError: the horizon or the list size is not a positive integer.
            DataError: shapes disagree, or numbers are not probabilities or rewards; says which.
        """
        for name, value in (("horizon", horizon), ("list_size", list_size)):
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise UsageError(f"{name} is {value}; it has to be a whole number, at least 1")
        clicks, earned, after_click, after_none = (
            np.asarray(values, np.float64) for values in (attraction, reward, transition, transition_none)
        )
        if clicks.ndim != 2 or 0 in clicks.shape:
            raise DataError(f"attraction has the shape {list(clicks.shape)}; expected [states, items], none of them 0")
        states, items = clicks.shape
        start = np.eye(states)[0] if initial is None else np.asarray(initial, np.float64)
        for name, values, shape in (
            ("reward", earned, (states, items)),
            ("transition", after_click, (states, items, states)),
            ("transition_none", after_none, (states, states)),
            ("initial", start, (states,)),
        ):
            if values.shape != shape:
                raise DataError(
                    f"{name} has the shape {list(values.shape)}; attraction speaks of {states} states and {items} "
                    f"items, for which {list(shape)} is expected"
                )
        for name, values in (("attraction", clicks), ("reward", earned)):
            _check_entries(name, values, (values >= 0) & (values <= 1), "outside [0, 1]")
        for name, rows in (("transition", after_click), ("transition_none", after_none), ("initial", start)):
            _check_entries(name, rows, rows >= 0, "not a probability")
            sums = rows.sum(-1)
            _check_entries(f"the sum of {name}", sums, np.abs(sums - 1) <= ROW_TOLERANCE, "not 1")
        whole = np.concatenate([after_click, after_none[:, None]], axis=1)
        return cls(clicks, earned, whole, start, int(horizon), int(min(list_size, items)))

    @property
    def spec(self) -> CascadingSpec:
        """Its sizes."""
        states, items = self.attraction.shape
        return CascadingSpec(states, items, self.horizon, self.list_size)

    def reset(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """A start state. Jittable."""
        return draw(key, jnp.asarray(self.initial))

    def step(self, state: Int[Array, ""], shown: Int[Array, " list_size"], key: PRNGKeyArray) -> Session:
        """What happens when a list is shown. Jittable."""
        uniform = jax.random.uniform(key, (len(shown) + 1,))
        attracts = (uniform[:-1] < jnp.asarray(self.attraction)[state, shown]) & (shown != NOTHING)
        clicked = jnp.where(attracts.any(), attracts.argmax(), NOTHING)
        items = self.attraction.shape[1]
        outcome = jnp.where(clicked == NOTHING, items, shown[clicked])
        reward = jnp.where(clicked == NOTHING, 0.0, jnp.asarray(self.reward)[state, shown[clicked]])
        cumulative = jnp.cumsum(jnp.asarray(self.transition)[state, outcome])
        return Session(clicked, reward, index_at(cumulative, uniform[-1]))


class ListSolution(NamedTuple):
    """An optimal policy of lists and its values."""

    values: Any
    """``[horizon + 1, states]``; the last row is 0."""
    lists: Any
    """``[horizon, states, list_size]`` integers."""


def optimal_lists(world: CascadingMDP) -> ListSolution:
    """Backward induction, the best list of every state found by ``best_permutation``."""
    items = world.attraction.shape[1]
    values, lists = [np.zeros(len(world.attraction))], []
    for _ in range(world.horizon):
        future = np.asarray(world.transition) @ values[0]
        weight = np.asarray(world.reward) + future[:, :items]
        best = best_permutation(np.asarray(world.attraction), weight, future[:, items], world.list_size)
        values.insert(0, best.value)
        lists.insert(0, best.items)
    return ListSolution(np.stack(values), np.stack(lists))


def evaluate_lists(
    world: CascadingMDP, lists: Int[Numbers, "horizon states list_size"]
) -> Float[Numbers, "steps states"]:
    """Expected reward of a policy of lists from each step and state on, ``[horizon + 1, states]``.

    JAX arrays, in the world and in the policy, compile.
    """
    xp = jnp if isinstance(lists, jax.Array) else np
    states, items = world.attraction.shape
    here = xp.arange(states)[:, None]
    values = [xp.zeros(states)]
    for step in reversed(range(world.horizon)):
        shown = lists[step]
        future = world.transition @ values[0]
        weight = world.reward + future[:, :items]
        click = xp.where(shown == NOTHING, 0.0, world.attraction[here, shown])
        values.insert(0, list_value(click, weight[here, shown], future[:, items]))
    return xp.stack(values)


def _check_entries(name: str, values: np.ndarray, right: np.ndarray, fault: str) -> None:
    """Refuse the first entry that is not right."""
    if not right.all():
        where = np.argwhere(~right)[0]
        place = ", ".join(map(str, where))
        raise DataError(
            f"{name}{f' at [{place}]' if place else ''} is {values[tuple(where)]:g}, {fault}; "
            f"{np.count_nonzero(~right)} of {right.size} are wrong"
        )
