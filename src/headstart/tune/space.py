"""Search spaces: which fields of a method are searched, and over which values."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from headstart.core.domain import Choice, Domain, Integer, Real, domain_from_json, domain_to_json
from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.tune.standard_ranges import REPLAY_ONLY, STANDARD_RANGES

Configuration = dict[str, Any]
"""A value for each searched field."""


@dataclass(frozen=True)
class Space:
    """Named domains, together the unit cube.

    Attributes:
        domains: what each name may be, in a fixed order.

    Raises:
        UsageError: there are none.
    """

    domains: Mapping[str, Domain]

    def __post_init__(self) -> None:
        if not self.domains:
            raise UsageError("the search space is empty; name fields to search, such as learning_rate=1e-5:1e-2:log")

    def __len__(self) -> int:
        return len(self.domains)

    def from_unit(self, point: Sequence[float] | Float[np.ndarray, " names"]) -> Configuration:
        """The configuration at a point of the unit cube."""
        return {name: domain.from_unit(float(u)) for (name, domain), u in zip(self.domains.items(), point, strict=True)}

    def to_unit(self, configuration: Configuration) -> Float[np.ndarray, " names"]:
        """A point of the unit cube that stands for the configuration."""
        return np.array([domain.to_unit(configuration[name]) for name, domain in self.domains.items()])

    def sample(self, generator: np.random.Generator) -> Configuration:
        """A configuration drawn uniformly, on the domains' own scales."""
        return self.from_unit(generator.uniform(size=len(self)))

    def clipped(self, values: Mapping[str, Any]) -> Configuration:
        """The configuration nearest to some values: numbers are moved into their range; of choices, the first."""
        found = {}
        for name, domain in self.domains.items():
            value = values[name]
            if isinstance(domain, Choice) or not isinstance(value, int | float):
                found[name] = value if domain.contains(value) else domain.from_unit(0.0)
            else:
                found[name] = min(max(value, domain.low), domain.high)
        return found

    def to_json(self) -> dict[str, Any]:
        """The space as plain JSON values."""
        return {name: domain_to_json(domain) for name, domain in self.domains.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Space:
        """The space that ``to_json`` wrote."""
        return cls({name: domain_from_json(domain) for name, domain in record.items()})


def space_of(method: Any, asked: Sequence[str] = ()) -> Space:
    """The search space of a method.

    Args:
        method: a dataclass with default values, or its class. The metadata of a field may say what it is searched over
            (``{"search": Real(…)}``, or None for never); for others the table of standard ranges does.
        asked: by default everything that has a domain is searched. Given entries, only what they name: ``FIELD``,
            ``FIELD=LOW:HIGH``, ``FIELD=LOW:HIGH:log`` (or ``log-complement``) or ``FIELD=A,B,C``.

    Raises:
        UsageError: an entry names no field (the nearest are offered), cannot be read, does not fit the field's type,
            or is an impossible range.
    """
    fields = {field.name: field for field in dataclasses.fields(method)}
    kinds = typing.get_type_hints(method if isinstance(method, type) else type(method))
    own = {name: field.metadata.get("search", STANDARD_RANGES.get(name)) for name, field in fields.items()}
    own = {name: domain for name, domain in own.items() if domain is not None and _is_number(kinds[name])}
    if not asked:
        useless = REPLAY_ONLY if getattr(method, "on_policy", False) else ()
        return Space({name: domain for name, domain in own.items() if name not in useless})
    chosen: dict[str, Domain] = {}
    for entry in asked:
        name, given, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if name not in fields:
            raise unknown("field to search", name, fields)
        if name in chosen:
            raise UsageError(f"field {name} is given twice; give it once")
        if given:
            chosen[name] = parse_domain(name, text, kinds[name])
        elif name in own:
            chosen[name] = own[name]
        else:
            raise UsageError(f"no range is known for {name}; give one, such as {name}=LOW:HIGH or {name}=A,B,C")
    return Space(chosen)


def parse_domain(name: str, text: str, kind: Any) -> Domain:
    """The domain that ``LOW:HIGH[:SCALE]`` or ``A,B,C`` describes, for a field of some type.

    Raises:
        UsageError: it cannot be read, or values are not of the type.
    """
    if ":" in text and "," not in text:
        low, high, *given = text.split(":")
        scale: list[Any] = given
        if len(scale) > 1:
            raise UsageError(f"{name}={text}: write a range as LOW:HIGH or LOW:HIGH:log")
        make = Integer if _plain(kind) is int else Real if _plain(kind) is float else None
        if make is None:
            raise UsageError(f"{name}={text}: {name} is not a number; list its values, {name}=A,B,C")
        bounds = [_value(name, bound, kind) for bound in (low, high)]
        try:
            return make(*bounds, *scale)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
    return Choice(tuple(_value(name, part, kind) for part in text.split(",")))


def _value(name: str, text: str, kind: Any) -> Any:
    text, plain = text.strip(), _plain(kind)
    try:
        if plain is bool:
            return {"true": True, "false": False}[text.lower()]
        if plain in (int, float):
            return plain(text)
        if typing.get_origin(plain) is Literal:
            return dict(zip(typing.get_args(plain), typing.get_args(plain)))[text]
        if typing.get_origin(plain) is tuple:
            return tuple(int(width) for width in text.split("x"))
    except (ValueError, KeyError) as error:
        raise UsageError(f"{name}: {text!r} is not a value of the type {kind}") from error
    return text


def _plain(kind: Any) -> Any:
    """The type itself where it may also be None."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _is_number(kind: Any) -> bool:
    return kind in (int, float)
