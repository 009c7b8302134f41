"""Run a recorded run again from its record alone, and say whether the numbers are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart.control.training import parts_of, train_seeds
from headstart.core.errors import UsageError
from headstart.runs import provenance
from headstart.runs.comparing import Reproduction, first_difference
from headstart.runs.folder import RunFolder


def reproduce(
    run: Path | str,
    folder: Path | str | None = None,
    *,
    seeds: Sequence[int] | None = None,
    workers: int | None = None,
    show_progress: bool = True,
) -> Reproduction:
    """Run a recorded run again: the same configuration, data (checked by their digest) and seeds.

    Of a run that did not finish, what it had recorded is compared.

    Args:
        run: the recorded run.
        folder: where the new one is recorded; beside it, with ``-reproduced`` after its name, by default.
        seeds: which of its seeds; all by default.
        workers: as for ``train``.
        show_progress: whether to show progress bars.

    Raises:
        UsageError: there is no such run or seed, the new folder exists, its data have changed, or it was given a world
            or data as objects, which no record holds.
    """
    recorded = RunFolder.open(run)
    chosen = [recorded.seed(seed).seed for seed in (recorded.seeds if seeds is None else seeds)]
    place = Path(folder) if folder is not None else recorded.path.with_name(f"{recorded.path.name}-reproduced")
    if not chosen:
        raise UsageError("no seeds were given")
    parts = parts_of(recorded)
    again = RunFolder.create(place, recorded.config, chosen)
    train_seeds(again, chosen, parts, True, workers, show_progress)
    differences, rows = [], 0
    for seed in chosen:
        before, now = (folder.seed(seed).metrics() for folder in (recorded, again))
        if recorded.seed(seed).status().state != "finished":
            now = now.head(before.height)
        rows += before.height
        difference = first_difference(seed, before, now)
        differences += [difference] if difference else []
    circumstances = provenance.differences(recorded.provenance, again.provenance)
    return Reproduction(place, rows, differences, circumstances)
