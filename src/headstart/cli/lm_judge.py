"""``headstart lm judge`` and ``headstart lm compare``."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro


@dataclass(kw_only=True)
class JudgeOptions:
    """Judge completions, groups of completions or pairs. A killed command goes on where it was."""

    data: str
    """Rows with prompt and completion, completions, or chosen and rejected: a file, a saved dataset or a name."""
    judge: str
    """exact:COLUMN, numeric:COLUMN, regex:PATTERN, tests:COLUMN, reward:PATH, pairwise:PATH, remote:URL#MODEL, or
    module:function."""
    out: Path
    """File to write, .jsonl or .parquet: the rows with the judge's answers."""
    batch_size: int = 64
    """Completions handed to the judge at a time."""
    attempts: int = 3
    """How often a batch that fails is tried before its rows are judged one by one."""
    timeout: float | None = None
    """Seconds that one batch may take; no limit by default."""
    json: bool = False
    """Print the summary as JSON."""
    quiet: bool = False
    """Show no progress bars."""


@dataclass(kw_only=True)
class CompareOptions:
    """Win rate of one file of completions over another, with its interval, and with length held equal."""

    first: tyro.conf.Positional[str]
    """Rows with prompt and completion(s): the system that should win."""
    second: tyro.conf.Positional[str]
    """Rows of the other system, to the same prompts."""
    judge: str
    """As for `headstart lm judge`; a judge that compares is asked in both orders, one that scores for each answer."""
    out: Path | None = None
    """File to write, .jsonl or .parquet: every comparison."""
    confidence: float = 0.95
    """Of the intervals."""
    seed: int = 0
    """Of their resampling."""
    batch_size: int = 64
    """Comparisons handed to the judge at a time."""
    attempts: int = 3
    """How often a batch that fails is tried before its rows are judged one by one."""
    timeout: float | None = None
    """Seconds that one batch may take; no limit by default."""
    json: bool = False
    """Print the summary as JSON."""
    quiet: bool = False
    """Show no progress bars."""


def judge(arguments: Sequence[str]) -> int:
    """Run ``headstart lm judge``."""
    options = tyro.cli(JudgeOptions, args=list(arguments), prog="headstart lm judge")
    from headstart.judges.judge import JudgeError
    from headstart.judges.judging import judge_rows, reasons_in_words
    from headstart.judges.registry import make_judge

    _check_target(options.out)
    rows = _rows(options.data)
    made = make_judge(options.judge)
    journal = options.out.with_name(f".{options.out.name}.answers")
    with _plain_warnings():
        judged = judge_rows(made, rows, journal, options.judge, _judging(options))
    if not judged.answers:
        raise JudgeError(f"the judge answered none of {judged.asked}: {next(iter(judged.failures), 'nothing asked')}")
    _tell_of_cuts(made)
    _write(options.out, judged.rows)
    journal.unlink(missing_ok=True)
    summary = _summary(judged)
    if options.json:
        print(json.dumps({"judge": options.judge, **summary, "failures": judged.failures}, indent=2))
        return 0
    print(f"{summary['answers']} of {judged.asked} judged by {options.judge}")
    interval = f" (95 % {summary['low']:.4g} to {summary['high']:.4g})" if summary["low"] is not None else ""
    print(f"mean {summary['mean']:.4g}{interval}, from {summary['least']:g} to {summary['most']:g}")
    if summary["length_correlation"] is not None:
        print(f"correlation with length: {summary['length_correlation']:.2f}")
    print(*reasons_in_words(judged.failures), sep="\n", end="\n" if judged.failures else "")
    print(f"written to {options.out}")
    return 0


def compare(arguments: Sequence[str]) -> int:
    """Run ``headstart lm compare``."""
    options = tyro.cli(CompareOptions, args=list(arguments), prog="headstart lm compare")
    from headstart.core.files import cache_folder
    from headstart.judges.comparing import compare_rows
    from headstart.judges.judging import reasons_in_words
    from headstart.judges.registry import make_judge

    if options.out is not None:
        _check_target(options.out)
    first, second = _rows(options.first), _rows(options.second)
    made = make_judge(options.judge)
    named = hashlib.sha256(json.dumps([options.first, options.second, options.judge]).encode()).hexdigest()[:20]
    journal = cache_folder() / "judges" / f"comparison-{named}.answers"
    journal.parent.mkdir(parents=True, exist_ok=True)
    with _plain_warnings():
        found = compare_rows(
            made, first, second, journal, options.judge, _judging(options), options.confidence, options.seed
        )
    _tell_of_cuts(made)
    if options.out is not None:
        _write(options.out, found.rows)
    journal.unlink(missing_ok=True)
    if options.json:
        record = asdict(found)
        record.pop("rows")
        for name in ("win_rate", "length_controlled"):
            record[name] = {
                bound: None if math.isnan(value) else value for bound, value in getattr(found, name)._asdict().items()
            }
        print(json.dumps(record, indent=2))
        return 0
    print(f"win rate of {options.first} over {options.second}: {_in_percent(found.win_rate)}")
    print(f"with length held equal: {_in_percent(found.length_controlled)}")
    print(f"{found.wins} wins, {found.ties} ties, {found.losses} losses on {found.prompts} prompts")
    print(f"mean length: {found.lengths[0]:.1f} and {found.lengths[1]:.1f} characters")
    if any(found.unmatched):
        print(f"left out: {found.unmatched[0]} prompts that only the first answered, {found.unmatched[1]} the second")
    print(*reasons_in_words(found.failures), sep="\n", end="\n" if found.failures else "")
    return 0


def _rows(name: str) -> list[dict[str, Any]]:
    from headstart.data.rows import load_rows

    return load_rows(name).to_list()


def _tell_of_cuts(judge: Any) -> None:
    from headstart.judges.truncation import cut_note

    note = cut_note(judge)
    if note:
        print(note, file=sys.stderr)


def _judging(options: JudgeOptions | CompareOptions) -> Any:
    from headstart.judges.judging import Judging

    return Judging(options.batch_size, options.attempts, options.timeout, not options.quiet)


def _check_target(path: Path) -> None:
    from headstart.core.errors import UsageError

    if path.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"{path} ends in {path.suffix or 'no suffix'}; expected .jsonl or .parquet")
    if path.exists():
        raise UsageError(f"{path} exists; give another name, or move it away")
    path.parent.mkdir(parents=True, exist_ok=True)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    from headstart.core.files import write_atomically

    if path.suffix == ".jsonl":
        write_atomically(path, "".join(json.dumps(row, default=str) + "\n" for row in rows).encode())
    else:
        import io

        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        write_atomically(path, buffer.getvalue())


def _summary(judged: Any) -> dict[str, Any]:
    from headstart.core.errors import DataError
    from headstart.evaluate.correlation import pearson
    from headstart.evaluate.statistics import mean, stratified_bootstrap

    found = stratified_bootstrap(judged.answers, mean, n=2000)
    try:
        correlation = pearson(judged.answers, judged.lengths)
    except DataError:  # few answers, or all alike
        correlation = None
    known = len(judged.answers) > 1
    return {
        "asked": judged.asked,
        "answers": len(judged.answers),
        "mean": float(found.estimate),
        "low": float(found.low) if known else None,
        "high": float(found.high) if known else None,
        "least": min(judged.answers),
        "most": max(judged.answers),
        "length_correlation": correlation,
    }


def _in_percent(interval: Any) -> str:
    return f"{interval.estimate:.1%} ({interval.low:.1%} to {interval.high:.1%})"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line each."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *rest, **more: print(f"warning: {message}", file=sys.stderr)
        yield
