"""Trials, which ``headstart finite simulate`` and ``headstart bandit simulate`` run when given a trial's name alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from headstart.core.registry import Registry


@dataclass
class TrialOptions:
    """How many seeds to try, and how to show what came of it."""

    seeds: int = 5
    """How many, numbered from first_seed; each has a world of its own."""
    first_seed: int = 0
    """Number of the first seed."""
    confidence: float = 0.95
    """Of the intervals, which are bootstrapped over seeds."""
    out: Path | None = None
    """Also write every seed's numbers, as JSON."""
    json: bool = False
    """Print JSON instead of a table."""


def simulate_trial(trials: Registry, name: str, arguments: Sequence[str], prog: str) -> int:
    """Run a trial for some seeds and print its numbers with intervals."""
    import json

    import numpy as np

    from headstart.cli.papers import format_table
    from headstart.core.errors import UsageError
    from headstart.core.files import write_json
    from headstart.core.progress import progress
    from headstart.evaluate.statistics import mean, stratified_bootstrap

    kind = trials.get(name)
    given = tyro.cli(_parser(kind), args=list(arguments), prog=f"{prog} {name}")
    options, fields = given.options, dataclasses.asdict(given.trial)
    if options.seeds < 1:
        raise UsageError(f"seeds is {options.seeds}; expected at least 1")
    if not 0 < options.confidence < 1:
        raise UsageError(f"confidence must lie strictly between 0 and 1; given {options.confidence:g}")
    trial, results = kind(**fields), []
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with progress(name, options.seeds) as bar:
        for done, seed in enumerate(seeds, 1):
            results.append(trial.run(seed))
            bar.update(done, "")
    rows: list[dict[str, Any]] = []
    for measure in results[0]:
        values = np.array([result[measure] for result in results], np.float64)
        estimate, low, high = stratified_bootstrap(values, mean, 2000, options.confidence)
        rows.append({"measure": measure, "mean": float(estimate), "low": float(low), "high": float(high)})
    record = {"learner": name, "options": fields, "seeds": list(seeds), "results": results}
    if options.out:
        write_json(options.out, record)
    if options.json:
        print(json.dumps(record | {"summary": [_finite(row) for row in rows]}, indent=2))
        return 0
    print(f"{name}: {(kind.__doc__ or '').strip().splitlines()[0]}\n")
    print(format_table([_finite(row) for row in rows]))
    interval = f"mean over {options.seeds} seeds, with a {options.confidence:.0%} bootstrap interval"
    print(f"\n{interval if options.seeds > 1 else 'one seed: no interval'}")
    return 0


def list_trials(trials: Registry, command: str) -> None:
    """Print the trials there are."""
    from rich.console import Console
    from rich.table import Table

    table = Table("with a world of its own", "what it is", box=None)
    for entry in sorted(trials, key=lambda entry: entry.name):
        table.add_row(entry.name, entry.summary)
    print(f"\nThese learn in other ways than reward by reward; `{command} NAME` runs one:\n")
    Console().print(table)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in row.items()}


def _parser(kind: type) -> type:
    """The options of a run and the fields of a trial as one dataclass for the command line."""
    from headstart.cli.catalogue import field_help

    hints = get_type_hints(kind)
    fields: list[Any] = [
        (field.name, Annotated[hints[field.name], tyro.conf.arg(help=field_help(kind, field.name))], field.default)
        for field in dataclasses.fields(kind)
    ]
    flat = tyro.conf.OmitArgPrefixes
    own = dataclasses.make_dataclass("Fields", fields)
    parser = dataclasses.make_dataclass(
        "Options", [("options", Annotated[TrialOptions, flat]), ("trial", Annotated[own, flat])]
    )
    parser.__doc__ = kind.__doc__
    return parser
