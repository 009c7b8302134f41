"""What has been seen of a cascading world: in live sessions, or in a log recorded before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from headstart.core.errors import DataError
from headstart.finite.best_permutation import NOTHING
from headstart.finite.cascading import CascadingMDP, CascadingSpec
from headstart.finite.mdp import Numbers


class Counts(NamedTuple):
    """Sufficient statistics of any number of sessions."""

    examined: Float[Numbers, "states items"]
    """Times an item was looked at: up to the click, or the whole list."""
    clicked: Float[Numbers, "states items"]
    """Times it was clicked."""
    moves: Float[Numbers, "states outcomes next"]
    """Times each state followed a click on each item or, last, no click."""


def no_counts(spec: CascadingSpec) -> Counts:
    """Nothing seen yet."""
    items = (spec.states, spec.items)
    return Counts(jnp.zeros(items), jnp.zeros(items), jnp.zeros((spec.states, spec.items + 1, spec.states)))


def count(
    counts: Counts,
    observation: Int[Array, ""],
    shown: Int[Array, " list_size"],
    clicked: Int[Array, ""],
    next_observation: Int[Array, ""],
) -> Counts:
    """The counts after one more session. Jittable; ``counts_of_log`` checks what it is given."""
    items = counts.examined.shape[1]
    places = jnp.arange(shown.shape[0])
    looked, clicks, moves = (jnp.asarray(part) for part in counts)
    examined = (shown != NOTHING) & ((clicked == NOTHING) | (places <= clicked))
    outcome = jnp.where(clicked == NOTHING, items, shown[clicked])
    return Counts(
        looked.at[observation, jnp.where(examined, shown, items)].add(1.0, mode="drop"),
        clicks.at[observation, outcome].add(1.0, mode="drop"),
        moves.at[observation, outcome, next_observation].add(1.0),
    )


def counts_of_log(
    spec: CascadingSpec,
    observations: Sequence[int] | Int[np.ndarray, " sessions"],
    lists: Sequence[Sequence[int]],
    clicks: Sequence[int] | Int[np.ndarray, " sessions"],
    next_observations: Sequence[int] | Int[np.ndarray, " sessions"],
) -> Counts:
    """The counts of recorded sessions, to start a learner from.

    Args:
        spec: sizes of the world.
        observations: the state of each session.
        lists: the items shown in it, in order.
        clicks: the place in the list of its one click, from 0; ``NOTHING`` (-1) if there was none. Logs with several
            clicks in a session do not follow the cascade model, in which the user is gone after the first.
        next_observations: the state after it.

    Raises:
        DataError: columns differ in length; or a list is empty, too long, or repeats an item; or a state, item or click
            does not exist. The message names the first such session.
    """
    lengths = [len(column) for column in (observations, lists, clicks, next_observations)]
    if len(set(lengths)) > 1:
        raise DataError(f"observations, lists, clicks and next_observations have {lengths} rows; expected one length")
    counts = Counts(*(np.zeros(array.shape) for array in no_counts(spec)))
    for session, (state, shown, click, following) in enumerate(
        zip(observations, lists, clicks, next_observations, strict=True)
    ):
        fault = _fault(spec, state, shown, click, following)
        if fault:
            raise DataError(f"session {session}: {fault}")
        looked_at = list(shown) if click == NOTHING else list(shown[: click + 1])
        counts.examined[state, looked_at] += 1
        outcome = spec.items if click == NOTHING else shown[click]
        if click != NOTHING:
            counts.clicked[state, outcome] += 1
        counts.moves[state, outcome, following] += 1
    return Counts(*map(jnp.asarray, counts))


def fit_cascading_mdp(
    counts: Counts, reward: Float[np.ndarray, "states items"], horizon: int, list_size: int
) -> CascadingMDP:
    """The most likely world; where nothing was seen, no clicks and every next state as likely as another.

    Raises:
        DataError, UsageError: as ``CascadingMDP.of``.
    """
    examined, clicked, moves = (np.asarray(array, np.float64) for array in counts)
    total = moves.sum(-1, keepdims=True)
    likely = np.where(total > 0, moves / np.maximum(total, 1), 1 / moves.shape[-1])
    attraction = clicked / np.maximum(examined, 1)
    return CascadingMDP.of(attraction, reward, likely[:, :-1], likely[:, -1], horizon, list_size)


def _fault(spec: CascadingSpec, state: int, shown: Sequence[int], click: int, following: int) -> str:
    """What is wrong with a session; empty if nothing is."""
    for name, value in (("state", state), ("next state", following)):
        if not 0 <= value < spec.states:
            return f"{name} {value} of {spec.states} states (counted from 0)"
    if not 1 <= len(shown) <= spec.list_size:
        return f"the list has {len(shown)} items; expected 1 to {spec.list_size}"
    if any(not 0 <= item < spec.items for item in shown):
        return f"the list {list(shown)} holds items other than 0 to {spec.items - 1}"
    if len(set(shown)) < len(shown):
        return f"the list {list(shown)} shows an item twice"
    if click != NOTHING and not 0 <= click < len(shown):
        return (
            f"the click is at place {click} of a list of {len(shown)}; expected 0 to {len(shown) - 1}, or -1 for none"
        )
    return ""
