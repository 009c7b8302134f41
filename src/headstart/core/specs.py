"""The shape of what a policy sees and does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.core.errors import UsageError


@dataclass(frozen=True)
class Box:
    """A bounded (or unbounded) array.

    Attributes:
        shape: the array's shape.
        low: lower bounds, flattened in C order, one per element (may be -inf).
        high: upper bounds, likewise.
    """

    shape: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    @property
    def bounded(self) -> bool:
        """Whether every bound is finite."""
        return bool(np.all(np.isfinite(self.low)) and np.all(np.isfinite(self.high)))

    @classmethod
    def uniform(cls, shape: tuple[int, ...], low: float, high: float) -> Box:
        """A box with the same bounds for every element."""
        size = int(np.prod(shape))
        return cls(tuple(shape), (float(low),) * size, (float(high),) * size)


@dataclass(frozen=True)
class Discrete:
    """One of ``n`` choices, numbered from 0."""

    n: int


@dataclass(frozen=True)
class Spec:
    """What a world offers: observations and actions. Hashable, so it can be static under jit."""

    observation: Box
    action: Box | Discrete

    @property
    def discrete(self) -> bool:
        """Whether actions are discrete."""
        return isinstance(self.action, Discrete)

    @property
    def observation_size(self) -> int:
        """Length of the flattened observation."""
        return self.observation.size

    @property
    def action_size(self) -> int:
        """Number of action dimensions (Box) or of choices (Discrete)."""
        return self.action.n if isinstance(self.action, Discrete) else self.action.size

    @property
    def shapes(self) -> str:
        """Both shapes in words, for messages."""
        actions = f"{self.action.n} choices" if isinstance(self.action, Discrete) else f"actions {[*self.action.shape]}"
        return f"observations {[*self.observation.shape]} and {actions}"

    @classmethod
    def from_spaces(cls, observation_space: Any, action_space: Any) -> Spec:
        """The spec of Gymnasium spaces.

        Raises:
            UsageError: observations are not a Box, or actions neither Box nor Discrete.
        """
        if not hasattr(observation_space, "low"):
            raise UsageError(
                f"observation space {observation_space} is not a Box; wrap the world with "
                "gymnasium.wrappers.FlattenObservation (or a wrapper of your own) first"
            )
        observation = _box(observation_space)
        if hasattr(action_space, "low"):
            return cls(observation, _box(action_space))
        if hasattr(action_space, "n") and np.ndim(action_space.n) == 0:
            if int(getattr(action_space, "start", 0)) != 0:
                raise UsageError(f"action space {action_space} does not start at 0; wrap it so that it does")
            return cls(observation, Discrete(int(action_space.n)))
        raise UsageError(f"action space {action_space} is neither Box nor Discrete; wrap the world so that it is")


def _box(space: Any) -> Box:
    low = np.asarray(space.low, np.float64).reshape(-1)
    high = np.asarray(space.high, np.float64).reshape(-1)
    return Box(tuple(int(n) for n in space.shape), tuple(low.tolist()), tuple(high.tolist()))


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """The spec as plain JSON values: infinite bounds as null, equal bounds as one number."""

    def box(part: Box) -> dict[str, Any]:
        record: dict[str, Any] = {"shape": list(part.shape)}
        for name, values in (("low", part.low), ("high", part.high)):
            finite = [value if np.isfinite(value) else None for value in values]
            record[name] = finite[0] if len(set(finite)) == 1 else finite
        return record

    action = spec.action
    return {
        "observation": box(spec.observation),
        "action": {"n": action.n} if isinstance(action, Discrete) else box(action),
    }


def spec_from_json(record: dict[str, Any]) -> Spec:
    """The spec that ``spec_to_json`` wrote.

    Raises:
        KeyError, TypeError: it is not such a record.
    """

    def box(part: dict[str, Any]) -> Box:
        shape = tuple(int(n) for n in part["shape"])
        size = int(np.prod(shape))

        def bounds(values: Any, infinite: float) -> tuple[float, ...]:
            values = values if isinstance(values, list) else [values] * size
            return tuple(infinite if value is None else float(value) for value in values)

        return Box(shape, bounds(part["low"], -np.inf), bounds(part["high"], np.inf))

    action = record["action"]
    return Spec(box(record["observation"]), Discrete(int(action["n"])) if "n" in action else box(action))
