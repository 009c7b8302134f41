"""Following one transition to the next: n-step windows and returns, with ends of both kinds respected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from headstart.data.disk import ChosenRows, DiskColumn

Outcomes = Callable[[Any], tuple[Any, Any, Any]]


class Window(NamedTuple):
    """Up to n transitions in a row, summed up.

    Attributes:
        rewards: discounted sum of the window's rewards, float32.
        last: row of the window's last transition.
        terminations: whether the world ended there, bool.
        discounts: ``discount ** (number of rewards summed)``, float32.
        next_actions: row that holds the action recorded after the window (``last`` itself where there is none).
    """

    rewards: Any
    last: Any
    terminations: Any
    discounts: Any
    next_actions: Any


@dataclass(frozen=True)
class Ring:
    """Where rows stand in time: row ``i`` belongs to stream ``i % streams`` and is followed by row ``i + streams``.

    Attributes:
        capacity: number of rows there is room for, a multiple of ``streams``.
        position: the row written next, so that the ``streams`` rows before it are the newest.
        streams: how many sequences are interleaved.
    """

    capacity: int
    position: Any
    streams: int = 1

    def newest(self, rows: Any) -> Any:
        """Whether each row is the newest of its stream, so that what follows it is not recorded."""
        return (self.position - 1 - rows) % self.capacity < self.streams

    def following(self, rows: Any) -> Any:
        """The row after each row in its stream."""
        return (rows + self.streams) % self.capacity

    def order(self, size: int) -> Int[np.ndarray, " rows"]:
        """The ``size`` recorded rows, stream after stream, oldest first within each."""
        oldest = int(self.position) if size == self.capacity else 0
        rows = (oldest + np.arange(size)) % self.capacity
        return rows.reshape(-1, self.streams).T.reshape(-1)


def window(
    xp: ModuleType, first: tuple[Any, Any, Any], outcomes: Outcomes, rows: Any, ring: Ring, discount: float, n_step: int
) -> Window:
    """The n-step windows that start at ``rows``.

    A window stops early at a termination, at a truncation, and at the newest row of its stream; only at a termination
    is there nothing to bootstrap from.

    Args:
        xp: ``numpy`` or ``jax.numpy``; both give the same bits.
        first: rewards (float32), terminations and truncations (bool) at ``rows``.
        outcomes: gives the same of other rows.
        rows: integers, where windows start.
        ring: the layout of the rows.
        discount: factor per transition.
        n_step: the most rewards to sum.
    """
    powers = xp.asarray(np.power(np.float64(discount), np.arange(n_step + 1)).astype(np.float32))
    last = rows
    rewards, terminated, truncated = first
    running = ~(terminated | truncated | ring.newest(rows))
    length = xp.ones(rows.shape, xp.int32)
    for step in range(1, n_step):
        last = xp.where(running, ring.following(last), last)
        reward, now_terminated, truncated = outcomes(last)
        # The product must be selected, not masked by a factor: compilers would fuse it with the sum and round once.
        rewards = rewards + xp.where(running, powers[step] * reward, np.float32(0))
        length = length + running
        terminated = xp.where(running, now_terminated, terminated)
        running = running & ~(terminated | truncated | ring.newest(last))
    return Window(rewards, last, terminated, powers[length], xp.where(running, ring.following(last), last))


def discounted_returns(
    rewards: Float[np.ndarray, " rows"] | DiskColumn | ChosenRows,
    terminations: Bool[np.ndarray, " rows"] | DiskColumn | ChosenRows,
    truncations: Bool[np.ndarray, " rows"] | DiskColumn | ChosenRows,
    discount: float,
    tail: float | Literal["repeat"] = 0.0,
    block: int = 1 << 20,
) -> Float[np.ndarray, " rows"]:
    """Discounted return from each row to the end of its episode, rows in order of time, float32.

    Args:
        rewards: reward of each row.
        terminations: where the world ended: nothing follows.
        truncations: where recording ended without the world ending: ``tail`` follows.
        discount: factor per row.
        tail: value assumed beyond a truncation and beyond the last row. "repeat" assumes that the last reward goes on
            for ever, ``reward / (1 - discount)``, which is right for a constant cost per step until success.
        block: rows worked on at once (memory), from the back.
    """
    size = len(rewards)
    returns = np.empty(size, np.float32)
    after = None
    for stop in range(size, 0, -block):
        start = max(0, stop - block)
        value = np.asarray(rewards[start:stop], np.float64)
        ended = np.asarray(terminations[start:stop])
        cut = np.asarray(truncations[start:stop]) & ~ended
        if after is None and not ended[-1]:
            cut = cut.copy()
            cut[-1] = True
        beyond = value / (1.0 - discount) if tail == "repeat" else np.float64(tail)
        value = value + np.where(cut, discount * beyond, 0.0)
        factor = np.where(ended | cut, 0.0, discount)
        value[-1] += factor[-1] * (after or 0.0)
        factor[-1] = 0.0
        # Doubling: after k rounds every row holds the sum of its next 2**k rewards.
        reach = 1
        while reach < len(value) and factor.any():
            value[:-reach] += factor[:-reach] * value[reach:]
            factor[:-reach] *= factor[reach:]
            reach *= 2
        returns[start:stop] = value
        after = value[0]
    return returns


def parts_of_episodes(ends: Int[np.ndarray, " episodes"], rows: int = 1 << 20) -> Iterator[Int[np.ndarray, " part"]]:
    """Boundaries of episodes, cut into parts of about so many rows: a part begins where the one before it ends."""
    bounds = np.concatenate([[0], ends])
    first = 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + rows, side="right")) - 1)
        yield bounds[first : last + 1]
        first = last
