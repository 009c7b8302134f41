"""The page ``evidence/README.md``: every recorded verdict, with its claims, numbers and figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.core.files import write_atomically
from headstart.papers import evidence
from headstart.papers.paper import Paper
from headstart.papers.registry import PAPERS

INTRODUCTION = """# Evidence

Written by `headstart papers prove`, which reruns a paper's experiment, judges its claims by tests that were stated
beforehand, and records every seed's numbers in `<paper>.json`. A claim that does not hold says so, and what was tried.
`headstart papers list` also tells which verdicts are stale, because the code that they rest on has changed since;
`headstart papers show ID` prints settings and departures from the paper.
"""


def page(folder: Path | None = None) -> str:
    """The whole page.

    Args:
        folder: the evidence folder; the checkout's by default.
    """
    folder = folder or evidence.evidence_folder()
    rows = ["| paper | claims that hold | title |", "| --- | --- | --- |"]
    sections = []
    for entry in sorted(PAPERS, key=lambda entry: entry.name):
        record = evidence.read(entry.name, folder)
        if record is None:
            rows.append(f"| {entry.name} | not run | {entry.summary} |")
            continue
        claims = record["claims"]
        verdict = f"{sum(claim['holds'] for claim in claims)} of {len(claims)}"
        rows.append(f"| [{entry.name}](#{entry.name}) | {verdict} | {entry.summary} |")
        sections.append(_section(PAPERS.get(entry.name), record))
    return "\n".join([INTRODUCTION, *rows, "", *sections]).rstrip() + "\n"


def write(folder: Path) -> Path:
    """Write the page into the evidence folder; returns its path."""
    path = folder / "README.md"
    write_atomically(path, page(folder).encode())
    return path


def _section(paper: Paper, record: Mapping[str, Any]) -> str:
    link = f", [arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else ""
    seeds, minutes = len(record["seeds"]), sum(seed["seconds"] for seed in record["seeds"]) / 60
    lines = [
        f"## {paper.id}",
        "",
        f"*{paper.title}* ({paper.authors}, {paper.year}{link}). {paper.summary}",
        "",
        f"![{paper.title}: figure]({paper.id}.svg)",
        "",
        "| claim | verdict | numbers |",
        "| --- | --- | --- |",
    ]
    for claim in record["claims"]:
        verdict = "holds" if claim["holds"] else "**fails**"
        numbers = ", ".join(f"{name} {number(value)}" for name, value in claim["numbers"].items())
        lines.append(f"| {claim['sentence']} | {verdict} | {numbers} |")
    lines += [
        "",
        f"{seeds} seed{'s' if seeds > 1 else ''}, {minutes:.0f} minutes of one core; {record['recorded'][:10]}.",
    ]
    if paper.tried:
        lines += ["", "Tried:", "", *(f"- {line}" for line in paper.tried)]
    return "\n".join([*lines, ""])


def number(value: Any) -> str:
    """A number in three digits; text as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
