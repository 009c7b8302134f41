"""Recorded outcomes of the papers' experiments: one JSON file and one figure a paper, in ``evidence/``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart.core.errors import DataError, UsageError
from headstart.core.files import read_json, write_json
from headstart.papers.digest import code_digest
from headstart.papers.paper import Paper, Result
from headstart.papers.registry import module_of
from headstart.runs import provenance

FORMAT = 1
"""Version of the evidence files."""


def evidence_folder() -> Path:
    """Where evidence is kept: in the checkout that this code runs from, else ``evidence/`` of the current folder.

    Raises:
        UsageError: there is neither.
    """
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src" / "headstart").is_dir():
        return checkout / "evidence"
    here = Path.cwd() / "evidence"
    if here.is_dir():
        return here
    raise UsageError(
        f"evidence is kept in a checkout of headstart, but this installation ({checkout}) is none and {here} does not "
        "exist; make that folder, or run from a checkout"
    )


def write(paper: Paper, results: Sequence[dict[str, Any]], digest: str, folder: Path) -> dict[str, Any]:
    """Judge the results, draw them, and record both.

    Args:
        paper: the paper.
        results: for each seed ``seed``, ``seconds`` and ``numbers``.
        digest: of the code that made them.
        folder: the evidence folder.

    Returns:
        What was written to ``<id>.json``.
    """
    numbers = [result["numbers"] for result in results]
    verdicts = paper.verdicts(numbers)
    facts = provenance.collect()
    record = {
        "format": FORMAT,
        "paper": paper.id,
        "verdict": "holds" if all(verdict.holds for verdict in verdicts) else "fails",
        "claims": [asdict(claim) | asdict(verdict) for claim, verdict in zip(paper.claims, verdicts, strict=True)],
        "table": paper.table(numbers),
        "settings": dict(paper.settings),
        "code": {"digest": digest, **facts["code"]},
        "recorded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "packages": facts["packages"],
        "python": facts["python"],
        "machine": {name: value for name, value in facts["machine"].items() if name != "host"},
        "seeds": list(results),
    }
    for claim in record["claims"]:
        del claim["claim"]
    folder.mkdir(exist_ok=True)
    paper.draw(numbers, folder / f"{paper.id}.svg")
    write_json(folder / f"{paper.id}.json", record)
    return record


def read(paper: str, folder: Path | None = None) -> dict[str, Any] | None:
    """What was recorded for a paper; None where nothing was.

    Raises:
        DataError: the file is damaged.
    """
    try:
        path = (folder or evidence_folder()) / f"{paper}.json"
    except UsageError:
        return None
    if not path.exists():
        return None
    try:
        record = read_json(path)
        if record["format"] != FORMAT or record["verdict"] not in ("holds", "fails"):
            raise ValueError(f"format {record['format']}, verdict {record['verdict']!r}")
        return record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a readable evidence file: {error!r}; prove the paper again") from error


def status(paper: str, record: dict[str, Any] | None) -> str:
    """ "holds", "fails", "stale" (the code has changed since) or "not run"."""
    if record is None:
        return "not run"
    return record["verdict"] if record["code"]["digest"] == code_digest(module_of(paper)) else "stale"


def redraw(paper: Paper, folder: Path | None = None) -> Path:
    """Draw the figure again from the recorded numbers.

    Raises:
        UsageError: nothing is recorded.
    """
    folder = folder or evidence_folder()
    record = read(paper.id, folder)
    if record is None:
        raise UsageError(f"nothing is recorded for {paper.id}; `headstart papers prove {paper.id}` runs it")
    results: list[Result] = [result["numbers"] for result in record["seeds"]]
    paper.draw(results, folder / f"{paper.id}.svg")
    return folder / f"{paper.id}.svg"
