"""Any Python function as a judge."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from headstart.core.errors import UsageError
from headstart.core.registry import load_attribute
from headstart.judges.judge import Columns, Judge, PairJudge, column


class FunctionJudge:
    """A function that scores, by the names of its parameters.

    It takes ``completions`` (a list) and returns as many numbers, or takes one ``completion`` and returns one. Further
    parameters are filled by name: ``prompts`` or ``prompt``, ``columns`` (all of them), any column of the rows; and
    ``**`` takes the columns that are left, as reward functions of TRL do.

    Raises:
        UsageError: it has neither a parameter ``completions`` nor ``completion``.
    """

    def __init__(self, function: Callable[..., Any]):
        parameters = inspect.signature(function).parameters
        if ("completions" in parameters) == ("completion" in parameters):
            raise UsageError(
                f"{getattr(function, '__name__', function)!s} takes {', '.join(parameters) or 'nothing'}; a judge takes"
                " either completions (a list, returning a list of numbers) or completion (returning a number)"
            )
        self.function = function
        self.batched = "completions" in parameters
        self.takes_rest = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self.optional = {name for name, p in parameters.items() if p.default is not p.empty}
        self.names = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """One number for each completion.

        Raises:
            UsageError: a parameter is no column of the rows.
        """
        given = columns or {}
        values = {"prompts": prompts, "prompt": prompts, "completions": completions, "completion": completions}
        chosen = {}
        for name in self.names:
            if name in values:
                chosen[name] = values[name]
            elif name in given:
                chosen[name] = given[name]
            elif name not in self.optional and name != "columns":
                chosen[name] = column(columns, name)
        if self.takes_rest:
            rest = {"prompts" if self.batched else "prompt": prompts, **given}
            chosen = {**rest, **chosen}
        if self.batched:
            if "columns" in self.names:
                chosen["columns"] = given
            return list(self.function(**chosen))
        scores = []
        for row in range(len(completions)):
            one = {name: value[row] for name, value in chosen.items()}
            if "columns" in self.names:
                one["columns"] = {name: value[row] for name, value in given.items()}
            scores.append(self.function(**one))
        return scores

    def check_columns(self, columns: Columns) -> None:
        """Refuse rows without a column that a parameter names, before anything is drawn to be judged."""
        own = {"prompts", "prompt", "completions", "completion", "columns", *self.optional}
        for name in self.names:
            if name not in own:
                column(columns, name)


def function_judge(path: str) -> Judge | PairJudge:
    """The judge at ``module:name``: a judge, a class of one that needs no arguments, or a function that scores.

    Raises:
        UsageError: it is none of them, or cannot be imported.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # a judge of one's own is a module here; a console script does not look there
    found = load_attribute(path)
    if inspect.isclass(found):
        found = found()
    return as_judge(found, path)


def as_judge(found: Any, name: str = "judge") -> Judge | PairJudge:
    """A judge as it is, or a function that scores as one.

    Args:
        found: an object with ``score`` or ``prefer``, or a function as ``FunctionJudge`` takes it.
        name: what the error calls it.

    Raises:
        UsageError: it is none of them.
    """
    if inspect.isclass(found):
        raise UsageError(f"{name} is the class {found.__name__}; give an object of it")
    if isinstance(found, Judge | PairJudge):
        return found
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}; expected a function, or an object with score or prefer")
    return FunctionJudge(found)
