"""Offline updates in groups, each with metrics of its own, many groups a call: frequent logging at no call's cost."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from headstart.control import programs
from headstart.control.method import Method, Metrics, State
from headstart.control.preprocessing import Preprocessor
from headstart.data.replay import Replay

MOST = 256
"""Groups in one call, at most."""


@partial(jax.jit, static_argnames=("method", "every"), donate_argnames=("state",))
def learn_in_groups(
    method: Method,
    preprocessor: Preprocessor,
    state: State,
    data: Replay,
    key: PRNGKeyArray,
    step: Array,
    groups: Array,
    every: int,
) -> tuple[State, Metrics]:
    """``groups`` calls of ``learn_offline`` with ``every`` updates each, in one program for any number of groups.

    Returns:
        the state, and the metrics of each group [MOST]; those beyond ``groups`` are zero.
    """

    def learn(group: Array, state: State) -> tuple[State, Metrics]:
        return programs.learn_offline(method, preprocessor, state, data, key, step + group * every, every)

    def body(group: Array, carry: Any) -> Any:
        state, kept = carry
        state, metrics = learn(group, state)
        return state, jax.tree.map(lambda column, value: column.at[group].set(value), kept, metrics)

    shapes = jax.eval_shape(learn, step, state)[1]
    kept = jax.tree.map(lambda metric: jnp.zeros((MOST, *metric.shape), metric.dtype), shapes)
    return jax.lax.fori_loop(0, groups, body, (state, kept))


class Pace:
    """How many groups to do in one call, so that calls last long enough to cost nothing, and progress is still seen.

    Args:
        seconds: how long a call should take, about.
    """

    def __init__(self, seconds: float = 0.5):
        self.seconds = seconds
        self._groups, self._started = 1, 0.0

    def groups(self, most: int) -> int:
        """Groups for a call that begins now; ``done`` is called when it has ended."""
        self._groups, self._started = max(1, min(self._groups, most, MOST)), time.perf_counter()
        return self._groups

    def done(self) -> None:
        """Learn from the call that has ended; a call at most doubles, for the first one also compiled."""
        spent = time.perf_counter() - self._started
        self._groups = max(1, min(2 * self._groups, int(self._groups * self.seconds / spent)))
