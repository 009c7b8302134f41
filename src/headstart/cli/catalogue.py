"""``headstart methods`` and ``headstart worlds``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


def methods(arguments: Sequence[str]) -> int:
    """Run ``headstart methods [NAME]``."""
    from headstart.control.registry import METHODS

    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: headstart methods [NAME]\n\nList the methods, or the fields of one and what they mean.")
        return 0
    from rich.console import Console
    from rich.table import Table

    if not arguments:
        table = Table("method", "what it is", box=None)
        for entry in sorted(METHODS, key=lambda entry: entry.name):
            table.add_row(entry.name, entry.summary)
        Console().print(table)
        return 0
    print_fields(METHODS.get(arguments[0]))
    return 0


def print_fields(kind: type) -> None:
    """Print what a dataclass is, its fields, their defaults and what they mean."""
    from rich.console import Console
    from rich.table import Table

    table = Table("field", "default", "meaning", title=(kind.__doc__ or kind.__name__).strip().splitlines()[0])
    for field in dataclasses.fields(kind):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        table.add_row(field.name, str(default), field_help(kind, field.name))
    Console().print(table)


def field_help(kind: type, name: str) -> str:
    """The docstring under a dataclass's field, from the class that declares it."""
    import ast
    import inspect
    import textwrap

    for owner in kind.__mro__:
        if name not in vars(owner).get("__annotations__", {}):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            declared = isinstance(statement, ast.AnnAssign) and getattr(statement.target, "id", "") == name
            if declared and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                return " ".join(str(following.value.value).split())
    return ""


def worlds(arguments: Sequence[str]) -> int:
    """Run ``headstart worlds``."""
    if arguments:
        print("usage: headstart worlds\n\nList the worlds that can be made by name.")
        return 0 if arguments[0] in ("-h", "--help") else 2
    from rich.console import Console
    from rich.table import Table

    from headstart.envs.registry import FUNCTIONAL_WORLDS, list_worlds

    table = Table("world", "what it is", box=None)
    others = []
    for entry in list_worlds():
        if entry.name in FUNCTIONAL_WORLDS:
            table.add_row(entry.name, entry.summary)
        else:
            others.append(entry.name)
    Console().print(table)
    print(f"\nGymnasium ids: {', '.join(others)}\n\nYour own: module:Env (a class, or a function that makes one).")
    return 0
