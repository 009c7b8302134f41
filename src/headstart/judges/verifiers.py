"""Judges that know the right answer: equal text, equal number, a pattern. A score is 1.0 or 0.0."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headstart.core.errors import UsageError
from headstart.judges.judge import Columns, column, plain_text, row_name

_MARKED = (
    re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE),
    re.compile(r"####[ \t]*([^\n]+)"),
)
_STATED = re.compile(r"answer(?:\s+is|\s*[:=])[ \t]*([^\n]+)", re.IGNORECASE)
_DIGITS = r"(?:(?<![\w)])[-+−])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(rf"({_DIGITS})(?:\s*/\s*({_DIGITS}))?")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")


def marked_answer(text: str) -> str | None:
    r"""The last answer that is marked as one, by ``\boxed{…}``, ``<answer>…</answer>``, ``#### …`` or
    ``answer is …`` (also ``answer: …``); None where there is no mark.
    """
    found: list[tuple[int, str]] = []
    start = text.rfind("\\boxed{")
    if start >= 0 and (inside := _braced(text, start + len("\\boxed"))) is not None:
        found.append((start, inside))
    for pattern in _MARKED:
        found += [(match.start(), match.group(1)) for match in pattern.finditer(text)]
    for match in _STATED.finditer(text):
        found.append((match.start(), re.split(r"[.;](?:\s|$)", match.group(1))[0]))
    return max(found)[1].strip().strip("$*").strip() if found else None


def last_number(text: str) -> float | None:
    """The last number of a text: digits with or without thousands' commas, decimals, exponents, or a fraction a/b."""
    matches = list(_NUMBER.finditer(_LATEX_FRACTION.sub(r"\1/\2", text)))
    if not matches:
        return None
    above, below = (1.0 if part is None else _as_number(part) for part in matches[-1].groups())
    return above / below if above is not None and below else None


@dataclass(frozen=True)
class Exact:
    """1.0 where the marked answer, or else the whole completion, equals the column's text; outer spaces do not count.

    Attributes:
        column: of the right answers.
        ignore_case: whether upper and lower case are the same.
    """

    column: str
    ignore_case: bool = False

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """1.0 or 0.0 for each completion."""
        return [
            float(self._plain(completion) == self._plain(answer))
            for completion, answer in zip(completions, column(columns, self.column))
        ]

    def check_columns(self, columns: Columns) -> None:
        """Refuse rows without the column, before anything is drawn to be judged."""
        column(columns, self.column)

    def _plain(self, value: Any) -> str:
        text = plain_text(value) if isinstance(value, str | list | tuple) else str(value)
        marked = marked_answer(text)
        text = (text if marked is None else marked).strip()
        return text.casefold() if self.ignore_case else text


@dataclass(frozen=True)
class Numeric:
    """1.0 where the completion's number is the column's: that of its marked answer, or else the last one.

    Attributes:
        column: of the right numbers; text is read as the completions are.
        relative: tolerance as a share of the right number.
        absolute: tolerance in its units, added to it.
    """

    column: str
    relative: float = 1e-6
    absolute: float = 1e-9

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """1.0 or 0.0 for each completion.

        Raises:
            UsageError: an answer holds no number.
        """
        scores = []
        for completion, answer in zip(completions, column(columns, self.column)):
            right = self._right(answer)
            given = _number(plain_text(completion))
            near = given is not None and abs(given - right) <= self.absolute + self.relative * abs(right)
            scores.append(float(near))
        return scores

    def check_columns(self, columns: Columns) -> None:
        """Refuse rows without the column or without a number in it, before anything is drawn to be judged."""
        for row, answer in enumerate(column(columns, self.column)):
            self._right(answer, f"{row_name(columns, row)}: ")

    def _right(self, answer: Any, where: str = "") -> float:
        right = _number(str(answer))
        if right is None:
            raise UsageError(f"{where}column {self.column!r} holds {answer!r}, in which there is no number")
        return right


@dataclass(frozen=True)
class Regex:
    """1.0 where the pattern is found in the completion.

    Attributes:
        pattern: a regular expression of Python.
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise UsageError(f"{self.pattern!r} is not a regular expression: {error}") from error

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """1.0 or 0.0 for each completion."""
        compiled = re.compile(self.pattern)
        return [float(compiled.search(plain_text(completion)) is not None) for completion in completions]


def _number(text: str) -> float | None:
    marked = marked_answer(text)
    found = None if marked is None else last_number(marked)
    return last_number(text) if found is None else found


def _as_number(text: str) -> float | None:
    value = float(text.replace(",", "").replace("−", "-"))
    return value if math.isfinite(value) else None


def _braced(text: str, start: int) -> str | None:
    """What stands in the braces that open at ``start``."""
    depth = 0
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start + 1 : end]
    return None
