"""What a judge is, and how its answers are checked so that one bad batch never ends a run.

A judge scores completions; a pairwise judge says which of two it prefers. Both see batches: one prompt, one completion
(without its end token) and one value of each further column a row.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from headstart.core.errors import HeadstartError, UsageError
from headstart.core.registry import unknown

if TYPE_CHECKING:  # the encoder needs torch, most judges do not
    from headstart.core.encoding import Text

Columns = Mapping[str, Sequence[Any]]
"""The rows' further columns by name, one value for each completion that is judged."""


class JudgeError(HeadstartError, RuntimeError):
    """A judge that raised, took too long, or returned something that is not one finite number a completion."""


@runtime_checkable
class Judge(Protocol):
    """Scores completions; a higher score is a better completion."""

    def score(
        self, prompts: Sequence[Text], completions: Sequence[Text], columns: Columns | None = None
    ) -> Sequence[float]:
        """One score for each completion."""
        ...


@runtime_checkable
class PairJudge(Protocol):
    """Compares two completions of a prompt."""

    def prefer(
        self, prompts: Sequence[Text], first: Sequence[Text], second: Sequence[Text], columns: Columns | None = None
    ) -> Sequence[float]:
        """For each row the probability that the first completion is preferred to the second."""
        ...


class Answers(list[float]):
    """What a judge may return that knows why it has no answer for some rows.

    Attributes:
        reasons: why, by the row's position; the answer is not-a-number there.
    """

    def __init__(self, answers: Iterable[float], reasons: dict[int, str]):
        super().__init__(answers)
        self.reasons = reasons


class Checked(list[float | None]):
    """One answer a row, ``None`` where the judge gave none.

    Attributes:
        reasons: why, by the row's position.
    """

    def __init__(self, answers: Iterable[float | None], reasons: dict[int, str]):
        super().__init__(answers)
        self.reasons = reasons


def plain_text(text: Text) -> str:
    """What was said: text as it is, or the contents of messages one after the other."""
    return text if isinstance(text, str) else "\n".join(str(message.get("content") or "") for message in text)


def column(columns: Columns | None, name: str) -> Sequence[Any]:
    """A column that a judge needs.

    Raises:
        UsageError: the rows do not have it; the nearest names are offered.
    """
    if columns is None or name not in columns:
        raise unknown("column", name, columns or (), "The judge needs it beside the prompts and completions.")
    return columns[name]


def row_name(columns: Columns, row: int) -> str:
    """What an error calls a row: its place, from 0, and its ``row_id`` if it has one."""
    return f"row {row} (row_id {columns['row_id'][row]})" if "row_id" in columns else f"row {row}"


def checked_scores(
    judge: Judge,
    prompts: Sequence[Text],
    completions: Sequence[Text],
    columns: Columns | None = None,
    attempts: int = 3,
    timeout: float | None = None,
) -> Checked:
    """Scores of a batch: as many as completions, each a finite number or ``None``.

    A batch whose judging raises, takes too long or has the wrong length is tried again; after ``attempts`` the rows are
    judged one by one, and those that still fail are set aside.

    Args:
        judge: what scores.
        prompts: one for each completion.
        completions: what is scored.
        columns: further columns of the rows.
        attempts: how often the whole batch is tried.
        timeout: seconds that one call may take; None waits for ever. A call that is given up goes on in its thread.

    Returns:
        The scores, and the reasons for those that are missing.

    Raises:
        UsageError: the judge is set up wrongly, such as for a column that the rows do not have.
    """

    def ask(rows: Sequence[int]) -> Sequence[float]:
        return judge.score(_take(prompts, rows), _take(completions, rows), _take_columns(columns, rows))

    return _checked(ask, len(completions), math.isfinite, "a finite number", attempts, timeout)


def checked_preferences(
    judge: PairJudge,
    prompts: Sequence[Text],
    first: Sequence[Text],
    second: Sequence[Text],
    columns: Columns | None = None,
    attempts: int = 3,
    timeout: float | None = None,
) -> Checked:
    """Probabilities that the first completions are preferred, each in [0, 1] or ``None``; as ``checked_scores``."""

    def ask(rows: Sequence[int]) -> Sequence[float]:
        return judge.prefer(_take(prompts, rows), _take(first, rows), _take(second, rows), _take_columns(columns, rows))

    return _checked(ask, len(first), lambda value: 0 <= value <= 1, "a probability", attempts, timeout)


class Forgiving:
    """A pairwise judge whose failures are answers that are not-a-number, with the reason, in place of errors.

    Args:
        judge: compares.
        attempts: how often a whole batch is tried before its rows are asked one by one.
        timeout: seconds that one call may take; None waits for ever.
    """

    def __init__(self, judge: PairJudge, attempts: int = 3, timeout: float | None = None):
        self.judge, self.attempts, self.timeout = judge, attempts, timeout
        self.averages_orders = getattr(judge, "averages_orders", False)

    def prefer(
        self, prompts: Sequence[Text], first: Sequence[Text], second: Sequence[Text], columns: Columns | None = None
    ) -> Answers:
        """The judge's own answers, and not-a-number where it gives none."""
        found = checked_preferences(self.judge, prompts, first, second, columns, self.attempts, self.timeout)
        return Answers([math.nan if answer is None else answer for answer in found], found.reasons)


def _checked(
    ask: Callable[[Sequence[int]], Sequence[float]],
    count: int,
    valid: Callable[[float], bool],
    wanted: str,
    attempts: int,
    timeout: float | None,
) -> Checked:
    if count == 0:
        return Checked([], {})
    for _ in range(attempts):
        try:
            found = _answers(ask, range(count), timeout)
        except UsageError:  # the judge itself is set up wrongly
            raise
        except Exception:
            continue
        wrong = {row: f"the judge gave {value}, not {wanted}" for row, value in enumerate(found) if not valid(value)}
        reasons = {row: found.reasons.get(row, reason) for row, reason in wrong.items()}
        return Checked([None if row in reasons else value for row, value in enumerate(found)], reasons)
    answers: list[float | None] = [None] * count
    reasons: dict[int, str] = {}
    waited = 0
    for row in range(count):
        if waited >= attempts:  # the judge hangs: do not wait for every row
            reasons[row] = f"not asked: the judge took over {timeout:g} s {waited} times in succession"
            continue
        try:
            found = _answers(ask, [row], timeout)
        except Exception as error:
            reasons[row] = str(error) if isinstance(error, HeadstartError) else f"{type(error).__name__}: {error}"
            waited = waited + 1 if isinstance(error, _TimeoutError) else 0
            continue
        waited = 0
        if valid(found[0]):
            answers[row] = found[0]
        else:
            reasons[row] = found.reasons.get(0, f"the judge gave {found[0]}, not {wanted}")
    return Checked(answers, reasons)


class _TimeoutError(JudgeError):
    pass


def _answers(ask: Callable[[Sequence[int]], Sequence[float]], rows: Sequence[int], timeout: float | None) -> Answers:
    found = ask(rows) if timeout is None else _within(lambda: ask(rows), timeout)
    if len(found) != len(rows):
        raise JudgeError(f"the judge gave {len(found)} answers for {len(rows)} rows")
    reasons = found.reasons if isinstance(found, Answers) else {}
    return Answers([math.nan if value is None else float(value) for value in found], reasons)


def _within(call: Callable[[], Any], seconds: float) -> Any:
    """The result of a call that may take so long; a thread that is given up dies with the process."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = call()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _TimeoutError(f"the judge took over {seconds:g} s")
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _take(values: Sequence[Any], rows: Sequence[int]) -> list[Any]:
    return [values[row] for row in rows]


def _take_columns(columns: Columns | None, rows: Sequence[int]) -> dict[str, list[Any]] | None:
    return None if columns is None else {name: _take(values, rows) for name, values in columns.items()}
