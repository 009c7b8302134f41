"""Purely periodic plans for recovering rewards: pull arm i every ``periods[i]`` periods, for ever.

An arm pulled with frequency x earns at most the upper concave envelope of the points (1/d, R(d)/d) and (0, 0) at x, so
filling the capacity with envelope segments, steepest first, bounds what any policy earns. Periods q 2^l with q odd and
at most 2a - 1 waste little when rounded up to, and those that share q can be packed without gaps: arms of total
frequency f need ceil(f) slots. After Simchi-Levi, Zheng and Zhu 2021 (arXiv 2106.14813), rebuilt from its statements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from headstart.bandits.recovering import checked_capacity
from headstart.bandits.recovery_curves import RecoveryCurves, check_curves
from headstart.core.errors import UsageError

Periods = Int[np.ndarray, " arms"]
"""Every how many periods each arm is pulled; 0 for never."""


class Plan(NamedTuple):
    """A purely periodic schedule.

    Attributes:
        periods: every how many periods each arm is pulled; 0 for never.
        offsets: period of its first pull, below its period.
        slots: which of the ``capacity`` places each arm takes; -1 for arms that are never pulled.
        value: what it earns per period in the long run, if the curves are right.
        upper_bound: what no policy can earn more than, per period in the long run.
        resolution: the a that its periods are allowed by.
    """

    periods: Periods
    offsets: Periods
    slots: Periods
    value: float
    upper_bound: float
    resolution: int

    def pulls(self, count: int, start: int = 0) -> Bool[np.ndarray, "periods arms"]:
        """Which arms to pull in ``count`` periods from ``start`` on."""
        time = np.arange(start, start + count)[:, None]
        return (self.periods > 0) & (time % np.maximum(self.periods, 1) == self.offsets)


@dataclass(frozen=True)
class PeriodicPlanner:
    """Plans for known recovery curves.

    Raises:
        UsageError: a capacity or resolution below one, or a resolution that rounding cannot work with.
    """

    capacity: int
    """Arms that may be pulled in one period."""
    rounding: Literal["restricted", "paper"] = "restricted"
    """``paper`` solves for all periods with capacity K - a + 1, then rounds them up to allowed ones, which earns at
    least (1 - (a - 1) / K) a / (a + 1) of the bound, up to one arm. ``restricted`` solves among allowed periods, adding
    segments as long as they can be packed; it earns more, and small changes of the curves change little."""
    resolution: int | None = None
    """Allows periods q 2^l with q odd and at most 2 a - 1; None tries all a up to 2 sqrt K and keeps the best."""

    def __post_init__(self) -> None:
        if self.capacity < 1 or (self.resolution is not None and self.resolution < 1):
            raise UsageError(f"capacity and resolution must be 1 or more; given {self.capacity} and {self.resolution}")
        if self.rounding not in ("restricted", "paper"):
            raise UsageError(f"rounding must be restricted or paper; given {self.rounding!r}")
        if self.rounding == "paper" and self.resolution is not None and self.resolution > self.capacity:
            raise UsageError(
                f"a resolution of {self.resolution} leaves no capacity for rounding; give at most the capacity, "
                f"{self.capacity}"
            )

    def plan(self, curves: ArrayLike) -> Plan:
        """The best plan found for these curves ``[arms, idle]``.

        Raises:
            DataError: curves that fall, or leave [0, 1].
        """
        curves = check_curves(curves)
        capacity = checked_capacity(self.capacity, len(curves))
        most = max(1, min(math.floor(2 * math.sqrt(capacity)), capacity))
        tried = range(1, most + 1) if self.resolution is None else [min(self.resolution, capacity)]
        choose = _restricted if self.rounding == "restricted" else _rounded_up
        found = [(choose(curves, capacity, a), a) for a in tried]
        values = [plan_value(curves, periods) for periods, _ in found]
        best = int(np.argmax(values))
        periods, a = found[best]
        offsets, slots = pack(periods)
        return Plan(periods, offsets, slots, values[best], upper_bound(curves, capacity), a)


def upper_bound(curves: RecoveryCurves, capacity: float) -> float:
    """What no policy can earn more than per period in the long run: the value of the rate program."""
    segments = envelope(curves, np.arange(1, curves.shape[1] + 1))
    return float(segments.slope @ _filled(segments, capacity))


def plan_value(curves: RecoveryCurves, periods: Periods) -> float:
    """What pulling each arm every so many periods earns per period in the long run."""
    pulled = np.flatnonzero(periods)
    often = periods[pulled]
    return float(np.sum(curves[pulled, np.minimum(often, curves.shape[1]) - 1] / often))


class Segments(NamedTuple):
    """Pieces of all arms' envelopes, steepest first; those of one arm in the order of their frequencies.

    Attributes:
        arm: whose.
        start: period at its lower end; 0 for never.
        end: period at its upper end.
        slope: reward per pull added.
        width: frequency added.
    """

    arm: Int[np.ndarray, " segments"]
    start: Int[np.ndarray, " segments"]
    end: Int[np.ndarray, " segments"]
    slope: Float[np.ndarray, " segments"]
    width: Float[np.ndarray, " segments"]


def envelope(curves: RecoveryCurves, allowed: Int[np.ndarray, " allowed"]) -> Segments:
    """Increasing part of the upper concave envelope of (0, 0) and the points (1/d, R(d)/d), for each arm.

    Args:
        curves: of the arms.
        allowed: periods d to consider, increasing.
    """
    rates = 1.0 / allowed
    earned = curves[:, np.minimum(allowed, curves.shape[1]) - 1] * rates
    arms, x, y = np.arange(len(curves)), np.zeros(len(curves)), np.zeros(len(curves))
    start = np.zeros(len(curves), np.int64)
    found: list[Segments] = []
    while len(arms):  # from the vertex reached to the point seen at the steepest angle, the farthest of several
        ahead = rates > x[:, None]
        rise = np.where(ahead, earned[arms] - y[:, None], -np.inf)
        slopes = rise / np.where(ahead, rates - x[:, None], 1.0)
        steepest = slopes.max(axis=1)
        nearly = slopes >= steepest[:, None] - 1e-12
        vertex = np.argmax(nearly, axis=1)
        rising = steepest > 1e-12
        arms, vertex = arms[rising], vertex[rising]
        end, rate = allowed[vertex], rates[vertex]
        found.append(Segments(arms, start[rising], end, steepest[rising], rate - x[rising]))
        x, y, start = rate, earned[arms, vertex], end
    whole = Segments(*(np.concatenate(parts) for parts in zip(*found)))
    order = np.argsort(-whole.slope, kind="stable")
    return Segments(*(part[order] for part in whole))


def allowed_periods(longest: int, resolution: int) -> Int[np.ndarray, " allowed"]:
    """All q 2^l below ``2 longest`` with q odd and at most ``2 resolution - 1``, increasing."""
    below = np.arange(1, 2 * longest)
    return below[below // (below & -below) <= 2 * resolution - 1]


def pack(periods: Periods) -> tuple[Periods, Periods]:
    """Offsets and slots that never let two arms of one slot meet.

    Arms that share the odd part q of their periods share slots, each of which is cut into q classes of periods; a class
    is halved as often as needed, as in a buddy allocation. Largest frequencies come first, so no gap is left.
    """
    offsets, slots, used = np.zeros_like(periods), np.full_like(periods, -1), 0
    odd = _odd_part(periods)
    for q in np.unique(odd[periods > 0]):
        members = np.flatnonzero(odd == q)
        members = members[np.argsort(periods[members], kind="stable")]
        whole = int(periods[members[-1]] // q)  # parts that a class is cut into by its longest period
        place = 0  # in such parts, over all classes of all slots of the group
        for arm in members:
            halvings = int(periods[arm] // q).bit_length() - 1
            class_, part = divmod(place, whole)
            slots[arm] = used + class_ // q
            offsets[arm] = class_ % q + q * _reversed_bits(part * (1 << halvings) // whole, halvings)
            place += whole >> halvings
        used += -(-place // (whole * int(q)))
    return offsets, slots


def _restricted(curves: RecoveryCurves, capacity: int, a: int) -> Periods:
    """Envelope segments among allowed periods, steepest first, each taken if the arms can still be packed."""
    allowed = allowed_periods(curves.shape[1], a)
    segments = envelope(curves, allowed)
    load = _Load(allowed, capacity)
    chosen = [0] * len(curves)
    for arm, period in zip(segments.arm.tolist(), segments.end.tolist()):
        # An arm that is not pulled yet earns as much a pull at all longer periods: its envelope starts as a line.
        longer = [] if chosen[arm] else allowed[allowed > period].tolist()
        for new in (period, *longer):
            if load.move(chosen[arm], new):
                chosen[arm] = new
                break
        if load.full:
            break
    return np.array(chosen, np.int64)


class _Load:
    """How full the slots are, in whole parts of a slot, so that nothing is lost to rounding."""

    def __init__(self, allowed: Int[np.ndarray, " allowed"], capacity: int):
        self.odd = dict(zip(allowed.tolist(), _odd_part(allowed).tolist()))
        self.size = {q: q << int(allowed.max()).bit_length() for q in self.odd.values()}
        self.used = dict.fromkeys(self.size, 0)
        self.free = capacity

    @property
    def full(self) -> bool:
        """Whether all slots are taken, without gaps."""
        return not self.free and all(self.used[q] % size == 0 for q, size in self.size.items())

    def move(self, old: int, new: int) -> bool:
        """Change an arm's period (0 for never) if there is room; says whether there was."""
        changes: dict[int, int] = {}
        for period, sign in ((old, -1), (new, 1)):
            if period:
                q = self.odd[period]
                changes[q] = changes.get(q, 0) + sign * self.size[q] // period
        more = sum(
            self._slots(q, self.used[q] + change) - self._slots(q, self.used[q]) for q, change in changes.items()
        )
        if more > self.free:
            return False
        self.free -= more
        for q, change in changes.items():
            self.used[q] += change
        return True

    def _slots(self, q: int, used: int) -> int:
        return -(-used // self.size[q])


def _rounded_up(curves: RecoveryCurves, capacity: int, a: int) -> Periods:
    """The rate program's periods with a capacity that leaves room for rounding them up to allowed ones."""
    segments = envelope(curves, np.arange(1, curves.shape[1] + 1))
    taken = _filled(segments, capacity - a + 1)
    rate = np.bincount(segments.arm, taken, len(curves))
    whole = taken >= segments.width
    vertex = np.zeros(len(curves), np.int64)
    np.maximum.at(vertex, segments.arm[whole], np.arange(len(taken))[whole] + 1)
    vertex = np.where(vertex > 0, segments.end[vertex - 1], 0) if len(taken) else vertex
    # At most one arm ends between two vertices: it goes down to the lower, or to its own period, whichever earns more.
    between = np.floor(1 / np.maximum(rate, 1e-6) + 1e-9).astype(np.int64)
    between += 1 / between > rate + 1e-12
    between = np.where(rate > 1e-6, between, 0)
    low, own = (_round_up(periods, a) for periods in (vertex, between))
    return own if plan_value(curves, own) > plan_value(curves, low) else low


def _filled(segments: Segments, capacity: float) -> Float[np.ndarray, " segments"]:
    """How much of each segment's width is taken when the steepest are taken first."""
    before = np.cumsum(segments.width) - segments.width
    return np.clip(capacity - before, 0.0, segments.width)


def _round_up(periods: Periods, a: int) -> Periods:
    """The least q 2^l that is no smaller, q odd and at most 2 a - 1; 0 stays."""
    odd = np.arange(1, 2 * a, 2)
    times = np.ceil(np.log2(np.maximum(periods[:, None] / odd, 1.0)) - 1e-12).astype(np.int64)
    return np.where(periods > 0, np.min(odd << times, axis=1), 0)


def _odd_part(periods: Periods) -> Periods:
    return periods // np.maximum(periods & -periods, 1)


def _reversed_bits(value: int, bits: int) -> int:
    return int(format(value, f"0{bits}b")[::-1], 2) if bits else 0
