"""Choose among recorded runs, by conditions or by SQL, without loading anything heavy."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.runs.index import COLUMNS, RECORD, STAMP, index

_CONDITION = re.compile(r"^\s*(?P<key>[^=!<>\s]+)\s*(?P<operator>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*$", re.DOTALL)
_QUOTED = re.compile(r'"([^"]+)"')
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Condition:
    """One condition on a run.

    Attributes:
        key: a column of the table of runs, ``tag``, a field of the configuration by its dotted name
            (``method.expectile``) or by its last part (``expectile``; the outermost that fits), or a part of the
            provenance (``packages.jax``).
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: a number, or text in which ``*`` and ``?`` stand for anything; case does not matter.
    """

    key: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """A condition such as ``method=iql``, ``discount>=0.99`` or ``world=Hopper*``.

        Raises:
            UsageError: it is no condition, or compares the order of what is no number.
        """
        match = _CONDITION.match(text)
        if match is None:
            raise UsageError(f"{text!r} is no condition; write for example method=iql, expectile>=0.8 or tag!=old")
        condition = cls(**match.groupdict())
        if condition.operator[0] in "<>" and _number(condition.value) is None:
            raise UsageError(f"{text!r} asks for an order, which needs a number; {condition.value!r} is none")
        return condition

    def holds(self, value: Any) -> bool:
        """Whether it holds for a value; for a list (tags), for any of its elements. None fulfils ``!=`` alone."""
        if self.operator == "!=":
            return not Condition(self.key, "=", self.value).holds(value)
        if isinstance(value, list):
            return any(self.holds(element) for element in value)
        wanted, number = _number(self.value), _number(value)
        if wanted is not None and number is not None:
            return {
                "=": number == wanted,
                "<": number < wanted,
                "<=": number <= wanted,
                ">": number > wanted,
                ">=": number >= wanted,
            }[self.operator]
        return self.operator == "=" and value is not None and fnmatch.fnmatch(str(value).lower(), self.value.lower())


def runs_table(folders: Iterable[Path | str], conditions: Sequence[Condition] = ()) -> pl.DataFrame:
    """The runs below some folders for which all conditions hold, oldest first; columns as for ``index``.

    Several ``=`` on one key are alternatives, but for tags, all of which a run needs to have.

    Raises:
        UsageError: a key names nothing that any run has; the nearest are offered.
    """
    return choose(index(folders), conditions)


def choose(table: pl.DataFrame, conditions: Sequence[Condition]) -> pl.DataFrame:
    """Those rows of a table of runs for which all conditions hold; see ``runs_table``."""
    if not conditions:
        return table
    kept, alternatives = pl.repeat(True, table.height, eager=True), dict[str, pl.Series]()
    for condition in conditions:
        holds = _outcomes(condition, _values(table, condition.key))
        if condition.operator == "=" and condition.key not in ("tag", "tags"):
            alternatives[condition.key] = (
                alternatives[condition.key] | holds if condition.key in alternatives else holds
            )
        else:
            kept &= holds
    return table.filter(kept, *alternatives.values())


def with_fields(table: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The table with these keys (as in ``Condition``) as its columns, in this order.

    Raises:
        UsageError: a key names nothing that any run has; the nearest are offered.
    """
    return pl.DataFrame({key: pl.Series(key, _values(table, key), strict=False) for key in keys})


def sql(folders: Iterable[Path | str], query: str) -> pl.DataFrame:
    """The answer to an SQL query about the table ``runs``: ``COLUMNS``, and every field named in double quotes.

    Raises:
        UsageError: the query cannot be run.
    """
    table = index(folders)
    record = table[RECORD]
    asked = sorted(name for name in set(_QUOTED.findall(query)) - set(table.columns) if _named(record, re.escape(name)))
    fields = {name: pl.Series(name, [_plain(_field(text, name)) for text in record], strict=False) for name in asked}
    try:
        return pl.SQLContext(runs=table.drop(RECORD, STAMP).with_columns(**fields)).execute(query, eager=True)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"the query cannot be run: {error}") from error


def _outcomes(condition: Condition, values: Iterable[Any]) -> pl.Series:
    """Whether a condition holds for each value; of equal values only one is asked."""
    known: dict[Any, bool] = {}
    outcomes = []
    for value in values:
        key = (type(value), tuple(value) if isinstance(value, list) else value)
        if key not in known:
            known[key] = condition.holds(value)
        outcomes.append(known[key])
    return pl.Series(outcomes, dtype=pl.Boolean)


def _values(table: pl.DataFrame, key: str) -> list[Any]:
    if not table.height:
        return []
    if key == "tag":
        key = "tags"
    if key in COLUMNS or key == STAMP:
        return table[key].to_list()
    record = table[RECORD]
    if not _named(record, re.escape(key)):
        ending = _named(record, rf"(?:[^\"\\]*\.){re.escape(key)}")
        outermost = [name for name in ending if name.count(".") == min(name.count(".") for name in ending)]
        if len(outermost) > 1:
            raise UsageError(f"{key!r} fits {', '.join(sorted(outermost))}; give one of them")
        if not ending:
            raise unknown("column or field of runs", key, [*COLUMNS, "tag", *_named(record, r"[^\"\\]*")])
        key = outermost[0]
    return [_plain(_field(text, key)) for text in record]


def _named(record: pl.Series, pattern: str) -> set[str]:
    """Names of fields that some record has and that a regular expression fits."""
    found = record.str.extract_all(rf'"{pattern}": ').explode().drop_nulls().unique()
    return {json.loads(name.removesuffix(": ")) for name in found}


def _field(text: str | None, name: str) -> Any:
    """The value of one field of a record, without reading the others."""
    mark = f"{json.dumps(name)}: "
    if text is None or (start := text.find(mark)) < 0:
        return None
    return _DECODER.raw_decode(text, start + len(mark))[0]


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
