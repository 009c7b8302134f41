"""``headstart papers list|show|prove|draw``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tyro

USAGE = """usage: headstart papers list|show|prove|draw [options]

  list         every paper, and whether its claims hold here
  show ID      a paper's claims, tests, settings, latest evidence, and where the experiment departs from the paper
  prove ID…    run a paper's experiment, print the numbers its claims are judged by, and record them in evidence/
  draw ID…     draw the figure again from the recorded numbers

`headstart papers prove --help` tells what it takes.
"""


def papers(arguments: Sequence[str]) -> int:
    """Run ``headstart papers``."""
    commands = {"list": _list, "show": _show, "prove": _prove, "draw": _draw}
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if arguments[0] not in commands:
        from headstart.core.registry import unknown

        raise unknown("papers command", arguments[0], commands)
    return commands[arguments[0]](arguments[1:])


def _list(arguments: Sequence[str]) -> int:
    from headstart.papers import evidence
    from headstart.papers.registry import PAPERS

    if arguments:
        print("usage: headstart papers list\n\nList the papers, and whether their claims hold here.")
        return 0 if arguments[0] in ("-h", "--help") else 2
    rows = []
    for entry in PAPERS:
        record = evidence.read(entry.name)
        verdict = evidence.status(entry.name, record)
        if record is not None:
            holding, claims = sum(claim["holds"] for claim in record["claims"]), len(record["claims"])
            verdict += f" ({holding} of {claims} claims {'held' if verdict == 'stale' else 'hold'})"
        rows.append({"paper": entry.name, "verdict": verdict, "title": entry.summary})
    print(format_table(rows))
    return 0


@dataclass
class ShowOptions:
    """Show a paper's claims, tests, settings and latest evidence."""

    id: tyro.conf.Positional[str]
    """The paper (`headstart papers list`)."""


def _show(arguments: Sequence[str]) -> int:
    options = tyro.cli(ShowOptions, args=list(arguments), prog="headstart papers show")
    from headstart.papers import evidence
    from headstart.papers.registry import PAPERS

    paper = PAPERS.get(options.id)
    record = evidence.read(paper.id)
    status = evidence.status(paper.id, record)
    source = f"{paper.authors} ({paper.year})" + (f", arXiv {paper.arxiv}" if paper.arxiv else "")
    print(f"{paper.id}: {paper.title}\n{source}\n\n{paper.summary}\n\nverdict: {status}")
    print(f"seeds: {', '.join(map(str, paper.seeds))}\n\nsettings")
    for name, value in paper.settings.items():
        print(f"  {name}: {value}")
    recorded = {claim["name"]: claim for claim in record["claims"]} if record else {}
    for claim in paper.claims:
        print(f"\nclaim {claim.name}: {claim.sentence}\n  test: {claim.test}")
        if claim.name in recorded:
            print(f"  {_verdict(recorded[claim.name]['holds'], recorded[claim.name]['numbers'])}")
    if record:
        print(f"\nevidence of {record['recorded']}, {len(record['seeds'])} seeds\n{format_table(record['table'])}")
    if status == "stale":
        print("\nThe code that these numbers rest on has changed since they were recorded.")
    for heading, lines in (("departures from the paper", paper.deviations), ("tried", paper.tried)):
        if lines:
            print(f"\n{heading}")
            print("\n".join(f"  - {line}" for line in lines))
    return 0


@dataclass
class ProveOptions:
    """Run papers' experiments and judge their claims; the exit status is 1 if one does not hold."""

    ids: tyro.conf.Positional[tuple[str, ...]] = ()
    """The papers (`headstart papers list`)."""
    all: bool = False
    """Every paper."""
    quick: bool = False
    """The smallest run that goes through every part; nothing is recorded or judged."""
    workers: int | None = None
    """Seeds that run at the same time; one for each core by default."""
    quiet: bool = False
    """Show no progress bars."""


def _prove(arguments: Sequence[str]) -> int:
    options = tyro.cli(ProveOptions, args=list(arguments), prog="headstart papers prove")
    from headstart.core.errors import UsageError
    from headstart.papers.proving import prove
    from headstart.papers.registry import PAPERS

    names = PAPERS.names() if options.all else options.ids
    if not names:
        raise UsageError(f"name a paper to prove ({', '.join(PAPERS.names())}), or give --all")
    for name in names:
        PAPERS.get(name)
    failed = []
    for name in names:
        proof = prove(name, options.quick, options.workers, not options.quiet)
        print(f"{name} ({proof.seconds:.0f} s in all)\n{format_table(proof.table)}")
        if options.quick:
            print("a quick run shows that every part works; its numbers decide nothing\n")
            continue
        for verdict in proof.verdicts:
            print(f"  {verdict.claim}: {_verdict(verdict.holds, verdict.numbers)}")
        failed += [] if proof.holds else [name]
        print(f"evidence written to {proof.evidence}\n")
    if failed:
        print(f"not holding: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _draw(arguments: Sequence[str]) -> int:
    from headstart.papers.evidence import redraw
    from headstart.papers.registry import PAPERS

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: headstart papers draw ID…\n\nDraw the figures again from the recorded numbers.")
        return 0 if arguments else 2
    for name in arguments:
        print(f"figure written to {redraw(PAPERS.get(name))}")
    return 0


def _verdict(holds: bool, numbers: Mapping[str, float]) -> str:
    from headstart.papers.page import number

    text = ", ".join(f"{name} {number(value)}" for name, value in numbers.items())
    word = "holds" if holds else "fails"
    if sys.stdout.isatty():
        word = f"\033[{32 if holds else 31};1m{word}\033[0m"
    return f"{word} ({text})" if text else word


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as lines of text, a column a key, numbers aligned to the right; a row need not have every key."""
    if not rows:
        return ""
    from headstart.papers.page import number

    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[number(row.get(name, "")) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    right = [any(isinstance(row.get(name), int | float) for row in rows) for name in names]
    lines = [names, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  " + "  ".join(text.rjust(w) if r else text.ljust(w) for text, w, r in zip(line, widths, right)).rstrip()
        for line in lines
    )
