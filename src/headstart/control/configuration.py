"""Methods to and from plain JSON, so that a run can be resumed, exported and reported from its record alone."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from headstart.control.method import Method
from headstart.control.registry import METHODS
from headstart.core.errors import UsageError


def method_to_json(method: Method) -> dict[str, Any]:
    """The method's name and fields; fields that are methods themselves likewise."""
    fields = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    plain = {name: method_to_json(value) if isinstance(value, Method) else value for name, value in fields.items()}
    kind = type(method)
    own = method.name in METHODS and METHODS.get(method.name) is kind
    return {"name": method.name if own else f"{kind.__module__}:{kind.__qualname__}", **plain}


def method_from_json(record: dict[str, Any]) -> Method:
    """The method that ``method_to_json`` wrote.

    Raises:
        UsageError: it is a class of the user's own whose module has not been imported (a run's record never makes
            this library import code), or the fields are not those of the method.
    """
    fields = dict(record)
    kind = _method_class(fields.pop("name"))
    known = {field.name for field in dataclasses.fields(kind)}
    strange = sorted(set(fields) - known)
    if strange:
        raise UsageError(f"{kind.__name__} has no fields {', '.join(strange)}; the run is of another version")
    plain = {}
    for name, value in fields.items():
        if isinstance(value, dict) and "name" in value:
            value = method_from_json(value)
        plain[name] = tuple(value) if isinstance(value, list) else value
    return kind(**plain)


def _method_class(name: str) -> type[Method]:
    if ":" not in name:
        return METHODS.get(name)
    module, _, attribute = name.partition(":")
    found = getattr(sys.modules.get(module), attribute, None)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise UsageError(f"the run's method is {name}, which is not part of headstart; import {module} first")
    return found
