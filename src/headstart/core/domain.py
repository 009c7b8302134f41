"""What a hyper-parameter may be searched over. Every domain is also the unit interval, so searchers need no other.

A method says so in the metadata of its field:

    temperature: float = field(default=3.0, metadata={"search": Real(0.5, 10.0, "log")})
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from headstart.core.errors import UsageError

Scale = Literal["linear", "log", "log-complement"]
"""How a range is covered: evenly, evenly in log(x), or evenly in log(1 - x) (discounts, and other numbers near 1)."""


@dataclass(frozen=True)
class Real:
    """Real numbers between ``low`` and ``high``, both included.

    Raises:
        UsageError: the range is empty or not finite, or outside what its scale can cover.
    """

    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.scale)
        if self.scale == "log-complement" and self.high >= 1:
            raise UsageError(f"range {self} reaches 1, where 1 - x has no logarithm; give a high end below 1")

    def from_unit(self, unit: float) -> float:
        """The value at ``unit``, 0 to 1, of the way."""
        start, end = (_warp(bound, self.scale) for bound in (self.low, self.high))
        value = _unwarp(start + unit * (end - start), self.scale)
        return min(max(value, self.low), self.high)  # rounding may pass the bounds

    def to_unit(self, value: float) -> float:
        """How far along the range ``value`` is, 0 to 1."""
        start, end, here = (_warp(bound, self.scale) for bound in (self.low, self.high, value))
        return (here - start) / (end - start)

    def contains(self, value: Any) -> bool:
        """Whether it is one of these values."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}" + ("" if self.scale == "linear" else f":{self.scale}")


@dataclass(frozen=True)
class Integer:
    """Whole numbers between ``low`` and ``high``, both included.

    Raises:
        UsageError: the range is empty, or starts below 1 on a logarithmic scale.
    """

    low: int
    high: int
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.scale)

    def _edges(self) -> tuple[float, float]:
        # Half a step beyond either end, so that all whole numbers own an interval of their own.
        return _warp(self.low - 0.5, self.scale), _warp(self.high + 0.5, self.scale)

    def from_unit(self, unit: float) -> int:
        """The value at ``unit``, 0 to 1, of the way."""
        start, end = self._edges()
        return min(max(round(_unwarp(start + unit * (end - start), self.scale)), self.low), self.high)

    def to_unit(self, value: int) -> float:
        """How far along the range ``value`` is, 0 to 1."""
        start, end = self._edges()
        return (_warp(value, self.scale) - start) / (end - start)

    def contains(self, value: Any) -> bool:
        """Whether it is one of these values."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low}:{self.high}" + ("" if self.scale == "linear" else f":{self.scale}")


@dataclass(frozen=True)
class Choice:
    """One of some values. Their order means something to searchers that know no other domain than intervals.

    Raises:
        UsageError: there are fewer than two, or one is there twice.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2 or any(value in self.values[:i] for i, value in enumerate(self.values)):
            raise UsageError(f"choices {list(self.values)}: give two or more, each once")

    def from_unit(self, unit: float) -> Any:
        """The value that owns the place ``unit``, 0 to 1; each owns an equal part."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def to_unit(self, value: Any) -> float:
        """The middle of the part that ``value`` owns."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def contains(self, value: Any) -> bool:
        """Whether it is one of these values."""
        return value in self.values

    def __str__(self) -> str:
        return ",".join(map(str, self.values))


Domain = Real | Integer | Choice


def domain_to_json(domain: Domain) -> dict[str, Any]:
    """The domain as plain JSON values."""
    if isinstance(domain, Choice):
        return {"kind": "choice", "values": [list(v) if isinstance(v, tuple) else v for v in domain.values]}
    return {"kind": type(domain).__name__.lower(), "low": domain.low, "high": domain.high, "scale": domain.scale}


def domain_from_json(record: dict[str, Any]) -> Domain:
    """The domain that ``domain_to_json`` wrote."""
    if record["kind"] == "choice":
        return Choice(tuple(tuple(v) if isinstance(v, list) else v for v in record["values"]))
    return {"real": Real, "integer": Integer}[record["kind"]](record["low"], record["high"], record["scale"])


def _check_range(low: float, high: float, scale: str) -> None:
    text = f"range {low}:{high}"
    if scale not in ("linear", "log", "log-complement"):
        raise UsageError(f"{text} has the scale {scale!r}; expected linear, log or log-complement")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"{text} is not finite; give two numbers")
    if low >= high:
        raise UsageError(f"{text} holds nothing to search: its low end is not below its high end")
    if scale == "log" and low <= 0:
        raise UsageError(f"{text} reaches {low:g}, which has no logarithm; give a low end above 0, or leave out log")


def _warp(value: float, scale: str) -> float:
    return value if scale == "linear" else math.log(value) if scale == "log" else -math.log(1 - value)


def _unwarp(value: float, scale: str) -> float:
    return value if scale == "linear" else math.exp(value) if scale == "log" else 1 - math.exp(-value)
