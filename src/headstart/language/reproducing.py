"""Run a recorded language run again from its record alone, and say whether the numbers are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from headstart.core.errors import UsageError
from headstart.language.training import arguments, train
from headstart.runs import provenance
from headstart.runs.comparing import Reproduction, first_difference
from headstart.runs.folder import RunFolder

CLOCK = r"(^|/|_)(seconds|time|per_second)$"
"""Metrics that say how long something took; they need not be equal."""


def reproduce(
    run: Path | str,
    folder: Path | str | None = None,
    *,
    seeds: Sequence[int] | None = None,
    show_progress: bool = True,
) -> Reproduction:
    """Run a recorded run again: the same method, model, rows or prompts, judge, plan, settings and seeds.

    Of a run that did not finish, what it had recorded is compared. Rows are compared too: where those that an iteration
    learned from are not the same, ``circumstances`` names it.

    Args:
        run: the recorded run.
        folder: where the new one is recorded; beside it, with ``-reproduced`` after its name, by default.
        seeds: which of its seeds; all by default.
        show_progress: whether to show progress bars.

    Raises:
        UsageError: there is no such run or seed, the new folder exists, or it learned from a model, rows or a judge in
            the memory of a program, which its record can only name.
    """
    recorded = RunFolder.open(run)
    chosen = [recorded.seed(seed).seed for seed in (recorded.seeds if seeds is None else seeds)]
    if not chosen:
        raise UsageError("no seeds were given")
    place = Path(folder) if folder is not None else recorded.path.with_name(f"{recorded.path.name}-reproduced")
    config = recorded.config
    given = arguments(config, recorded.path)
    again = train(**given, seeds=chosen, folder=place, show_progress=show_progress).folder
    circumstances = [
        f"{name}: {config[name]} on record, {again.config[name]} now"
        for name in config
        if again.config.get(name) != config[name]
    ]
    differences, rows = [], 0
    for seed in chosen:
        before, now = (
            one.seed(seed).metrics().filter(~pl.col("name").str.contains(CLOCK)) for one in (recorded, again)
        )
        if recorded.seed(seed).status().state != "finished":
            now = now.head(before.height)
        rows += before.height
        difference = first_difference(seed, before, now)
        differences += [difference] if difference else []
        other = _other_rows(recorded.seed(seed).path, again.seed(seed).path)
        if other is not None:
            circumstances.append(f"seed {seed}: the rows of iteration {other} are not those that were learned from")
    circumstances += provenance.differences(recorded.provenance, again.provenance)
    return Reproduction(place, rows, differences, circumstances)


def _other_rows(recorded: Path, found: Path) -> int | None:
    """The first iteration whose rows differ, of those that both have."""
    for iteration, path in enumerate(sorted(recorded.glob("iterations/*/rows.parquet"))):
        twin = found / path.relative_to(recorded)
        if twin.exists() and not pl.read_parquet(path).equals(pl.read_parquet(twin)):
            return iteration
    return None
