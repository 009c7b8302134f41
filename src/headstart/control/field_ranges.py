"""The ranges of fields that methods share, checked before anything is spent."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from headstart.control.method import Method
from headstart.core.errors import UsageError

_STEP_SIZE: tuple[str, Callable[[Any], bool]] = ("a finite number, 0 or more", lambda value: 0 <= value < math.inf)
_COUNT: tuple[str, Callable[[Any], bool]] = ("1 or more", lambda value: value >= 1)

RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "discount": ("0 to 1", lambda value: 0 <= value <= 1),
    "target_rate": ("above 0, at most 1", lambda value: 0 < value <= 1),
    "batch_size": _COUNT,
    "n_step": _COUNT,
    "target_period": _COUNT,
    "critics": _COUNT,
    "hidden": ("widths of 1 or more", lambda widths: all(width >= 1 for width in widths)),
    "learning_rate": _STEP_SIZE,
    "actor_learning_rate": _STEP_SIZE,
    "temperature_learning_rate": _STEP_SIZE,
}
"""Fields by name: what is expected, and whether a value is that."""


def check_fields(method: Method) -> None:
    """Refuse a method, or a method within it, with a shared field that makes no sense.

    Raises:
        UsageError: with the field, its value and what was expected.
    """
    for field in dataclasses.fields(method):
        value = getattr(method, field.name)
        if isinstance(value, Method):
            check_fields(value)
        elif field.name in RANGES and value is not None:
            expected, fits = RANGES[field.name]
            if not fits(value):
                raise UsageError(f"{field.name} of {method.name} is {value}; expected {expected}")
