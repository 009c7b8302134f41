"""Many offline updates in one program, their metrics averaged in groups: frequent logging at no call's cost."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.method import Method, Metrics, State
from headstart.control.preprocessing import Preprocessor
from headstart.data.replay import Replay

MOST = 256
"""Groups in one call, at most."""


@partial(jax.jit, static_argnames=("method",), donate_argnames=("state",))
def learn_in_groups(
    method: Method,
    preprocessor: Preprocessor,
    state: State,
    data: Replay,
    key: PRNGKeyArray,
    step: Array,
    groups: Array,
    every: Array,
) -> tuple[State, dict[str, Float[Array, " group"]]]:
    """``groups * every`` updates, those of ``programs.learn_offline``, in one program for any number of either.

    Args:
        method: whose updates.
        preprocessor: what its batches go through.
        state: what it has learned so far.
        data: what batches are drawn from.
        key: of the phase.
        step: number of the first update.
        groups: at most ``MOST``.
        every: updates in a group.

    Returns:
        the state, and the means of the metrics over each group [MOST]; those beyond ``groups`` are zero.
    """

    def learn(step: Array, state: State) -> tuple[State, Metrics]:
        sample_key, update_key = jax.random.split(jax.random.fold_in(key, step))
        batch = preprocessor.batch(data.sample(sample_key, method.batch_size))
        return method.update(state, batch, update_key)

    def body(index: Array, carry: Any) -> Any:
        state, sums = carry
        state, metrics = learn(step + index, state)
        row = jnp.stack([jnp.mean(metrics[name]) for name in names])
        return state, sums.at[index // every].add(row)

    names = sorted(jax.eval_shape(learn, step, state)[1])
    sums = jnp.zeros((MOST, len(names)))
    state, sums = jax.lax.fori_loop(0, groups * every, body, (state, sums))
    return state, dict(zip(names, (sums / every).T, strict=True))


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
