"""``headstart data``: describe, build, convert and list datasets."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

USAGE = """usage: headstart data info|build|convert|list [options]

  info NAME|PATH     what a dataset is like: episodes, returns, coverage, problems, methods that suit it
  build NAME         record a dataset by its recipe
  convert FROM TO    between our folders, D4RL's HDF5, Parquet and Minari
  list               every dataset with a name, and how to get it

`headstart data info --help` and so on tell what each takes."""


def data(arguments: Sequence[str]) -> int:
    """Run ``headstart data``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if arguments[0] not in COMMANDS:
        from headstart.core.registry import unknown

        raise unknown("data command", arguments[0], COMMANDS)
    return COMMANDS[arguments[0]](list(arguments[1:]))


def _parse(options: Any, arguments: list[str], name: str) -> Any:
    import tyro

    kind: Any = Annotated[options, tyro.conf.PositionalRequiredArgs]
    return tyro.cli(kind, args=arguments, prog=f"headstart data {name}")


@dataclass
class InfoOptions:
    """Describe a dataset."""

    dataset: str
    """Name (`headstart data list`), minari:ID, or path to a file or folder."""
    reference: str | None = None
    """Dataset that coverage is relative to; best one of equal size that an online learner collected."""
    expert_return: float | None = None
    """Mean return that counts as quality 1; by default the world's reference, where there is one."""
    random_return: float | None = None
    """Mean return that counts as quality 0; by default the world's reference, where there is one."""
    figure: Path | None = None
    """Also draw returns and coverage: a name that ends in .svg, .png or .pdf."""
    json: bool = False
    """Print JSON instead of tables."""


def _info(arguments: list[str]) -> int:
    options = _parse(InfoOptions, arguments, "info")
    from headstart.data.check import check
    from headstart.data.describe import describe, recommend
    from headstart.data.registry import load

    experience = load(options.dataset)
    expert, random = options.expert_return, options.random_return
    if expert is None and random is None:
        random, expert = _reference_returns(options.dataset, experience.metadata)
    problems = check(experience)
    reference = load(options.reference) if options.reference else None
    description = describe(experience, reference, expert, random)
    advice = recommend(description)
    if options.figure is not None:
        from headstart.report.data_figures import draw_dataset

        draw_dataset(experience, options.figure, str(experience.metadata.get("name") or options.dataset))
        print(f"figure written to {options.figure}", file=sys.stderr)
    if options.json:
        record = {
            "dataset": options.dataset,
            "metadata": experience.metadata,
            "description": asdict(description),
            "problems": [asdict(problem) for problem in problems],
            "recommendation": asdict(advice),
        }
        print(json.dumps(record, indent=2))
        return 0
    _print_info(options.dataset, experience, description, problems, advice)
    return 0


def _reference_returns(name: str, metadata: dict[str, Any]) -> tuple[float | None, float | None]:
    from headstart.evaluate.scores import find_reference

    found = find_reference(str(metadata.get("world") or "")) or find_reference(name)
    return (None, None) if found is None else (found.low, found.high)


def _print_info(name: str, experience: Any, description: Any, problems: Sequence[Any], advice: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    spec, metadata = experience.spec, experience.metadata
    table = Table(title=f"{name}: {description.n_transitions:,} transitions", show_header=False, title_justify="left")
    actions = f"{spec.action_size} choices" if spec.discrete else f"{list(spec.action.shape)}"
    table.add_row("world", str(metadata.get("world") or "not stated"))
    table.add_row("behaviour", str(metadata.get("summary") or "not stated"))
    table.add_row("observations, actions", f"{list(spec.observation.shape)}, {actions}")
    unfinished = f", and {description.n_incomplete} unfinished" if description.n_incomplete else ""
    table.add_row("episodes", f"{description.n_trajectories:,} complete{unfinished}")
    ends = f"{description.n_terminations:,} by termination, {description.n_truncations:,} cut"
    table.add_row("episodes ended", ends)
    table.add_row("return", f"mean {description.mean_return:,.1f}; {_quantiles(description.returns)}")
    table.add_row("length", _quantiles(description.lengths))
    low, high = description.rewards
    table.add_row("rewards", f"{low:g} to {high:g}; the commonest in {description.reward_sparsity:.0%} of transitions")
    table.add_row("observed numbers", f"{min(description.observation_low):g} to {max(description.observation_high):g}")
    if spec.discrete:
        table.add_row("choices taken", ", ".join(f"{count:,.0f}" for count in description.action_low))
    else:
        table.add_row("actions", f"{min(description.action_low):g} to {max(description.action_high):g}")
    quality = "needs expert and random returns" if description.tq is None else f"{description.tq:.3f}"
    table.add_row("trajectory quality (TQ)", quality)
    relative = "relative to a dataset given as --reference" if description.saco is None else f"{description.saco:.3f}"
    table.add_row("coverage (SACo)", f"{relative}; {description.n_unique:,} unique state-action pairs")
    console.print(table)
    console.print(_histogram(experience.returns()), highlight=False)
    for problem in problems:
        colour = "red" if problem.severity == "fatal" else "yellow"
        console.print(f"[{colour}]{problem.severity}[/{colour}] {problem}")
    for note in description.notes:
        console.print(f"note: {note}")
    console.print(f"methods to try: {', '.join(advice.methods)}. {advice.text}")


def _quantiles(values: Sequence[float]) -> str:
    least, _, quarter, median, three_quarters, _, most = (f"{value:,.1f}" for value in values)
    return f"{least} to {most}, quartiles {quarter}, {median}, {three_quarters}"


def _histogram(returns: Any, bins: int = 12, width: int = 40) -> str:
    """Episode returns as lines of text, one a bin."""
    import numpy as np

    if returns.min() == returns.max():
        return f"every episode returned {returns[0]:,.1f}"
    counts, edges = np.histogram(returns, bins)
    bars = ("█" * max(round(width * count / counts.max()), int(count > 0)) for count in counts)
    lines = [f"{edge:>12,.1f} {bar} {count}" for edge, bar, count in zip(edges, bars, counts)]
    return "\n".join(["episodes by return, from:", *lines])


@dataclass
class BuildOptions:
    """Record a dataset by its recipe, into the cache or a folder of your own."""

    name: str
    """Name of the recipe (`headstart data list`)."""
    transitions: int | None = None
    """How many; the recipe's own number by default."""
    seed: int = 0
    """All randomness of the recording comes from it."""
    out: Path | None = None
    """Folder to write; the cache by default, from where it is read by name."""
    quiet: bool = False
    """Show no progress bars."""


def _build(arguments: list[str]) -> int:
    options = _parse(BuildOptions, arguments, "build")
    from headstart.control.recipes.catalogue import find_recipe
    from headstart.core.compilation import keep_compiled_programs

    recipe = find_recipe(options.name)
    keep_compiled_programs()
    if not recipe.ready():
        print(f"{recipe.name}: {recipe.cost}; what is done is kept if you stop it", file=sys.stderr)
    folder = recipe.build(options.transitions, options.seed, options.out, show_progress=not options.quiet)
    print(f"dataset in {folder}")
    print(f"next: headstart data info {options.name if options.out is None else folder}", file=sys.stderr)
    return 0


@dataclass
class ConvertOptions:
    """Write a dataset in another format; an existing target is refused."""

    source: str
    """Name or path of the dataset, or minari:ID."""
    target: str
    """Path ending in .hdf5 (D4RL) or .parquet; minari:ID or minari:./FOLDER; any other path for a folder of ours."""


def _convert(arguments: list[str]) -> int:
    options = _parse(ConvertOptions, arguments, "convert")
    from headstart.data.registry import convert

    convert(options.source, options.target)
    print(f"written to {options.target}")
    return 0


@dataclass
class ListOptions:
    """List every dataset with a name."""

    match: str = "*"
    """Show names that match; * and ? stand for anything."""
    json: bool = False
    """Print JSON instead of a table."""


def _list(arguments: list[str]) -> int:
    options = _parse(ListOptions, arguments, "list")
    from fnmatch import fnmatch

    from headstart.control.recipes.catalogue import NOT_BUILT, RECIPES, recorded_files
    from headstart.data.registry import list_datasets

    rows: list[dict[str, Any]] = []
    for dataset in list_datasets():
        if not fnmatch(dataset.name, options.match):
            continue
        recipe = RECIPES.get(dataset.name)
        state = {"catalogue": "recipe" if recipe else "elsewhere"}.get(dataset.source, dataset.source)
        how = recipe.summary if recipe else dataset.how
        if state == "recipe" and recipe and not recipe.ready():
            how += f" ({recipe.cost})"
        reason = None
        if state == "elsewhere":
            how, reason = f"read as {recorded_files(dataset.name)}", NOT_BUILT[dataset.family]
        rows.append({**asdict(dataset), "state": state, "about": how, "not_built": reason})
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    if not rows:
        print(f"no dataset's name matches {options.match!r}", file=sys.stderr)
        return 0
    from headstart.cli.tables import window

    print("\n".join(_listing(rows, window())))
    for family in dict.fromkeys(row["family"] for row in rows if row["not_built"]):
        print(f"{family} is not built here: {NOT_BUILT[family]}.")
    return 0


def _listing(rows: Sequence[dict[str, Any]], width: int | None) -> list[str]:
    """A line for every dataset, and what to do where something is cut."""
    from headstart.cli.tables import Column, lines_of

    columns = [
        Column("name"),
        Column("state"),
        Column("transitions", rank=1, side="right"),
        Column("MB", rank=2, side="right"),
        Column("about", least=36),
    ]
    cells = [
        [
            row["name"],
            row["state"],
            "" if row["rows"] is None else f"{row['rows']:,}",
            "" if row["megabytes"] is None else f"{row['megabytes']:,.1f}",
            row["about"],
        ]
        for row in rows
    ]
    lines, missing = lines_of(columns, cells, width)
    if missing or any(line.endswith("…") for line in lines):
        lines.append("cut to the window; `headstart data list | cat` shows all of it")
    return lines


COMMANDS = {"info": _info, "build": _build, "convert": _convert, "list": _list}
"""What ``headstart data`` can do."""
