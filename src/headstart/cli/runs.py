"""``headstart runs``: list, filter, query, tag and share recorded runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


@dataclass
class ListOptions:
    """List recorded runs.

    Six commands do something with them, each with its own --help. `headstart runs pack RUN…` writes runs into one
    file, `verify FILE` checks such a file, `add FILE` merges it (equal runs once, conflicting ones not at all),
    `import PATH` brings in runs of other libraries, `export RUN… --to SINK` gives metrics to TensorBoard or Weights &
    Biases, and `tag RUN --tags WORD…` adds tags.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Where to look, at any depth."""
    where: tuple[str, ...] = ()
    """Conditions, all of which have to hold: method=iql world='Hopper*' expectile>=0.8 tag=baseline commit=9bc6*. Any
    field of the configuration will do; the same key several times with = gives alternatives."""
    columns: tuple[str, ...] = ()
    """Columns to print: those of --format csv, or any field of the configuration."""
    sort: str | None = None
    """Column to sort by; a minus before it for the largest first."""
    limit: int | None = None
    """Print no more than this many."""
    sql: str | None = None
    """A query about the table `runs`, its fields as columns ("method.discount" in quotes), in place of the above."""
    conflicts: bool = False
    """Show runs of one configuration, seeds and code whose numbers differ."""
    format: Literal["table", "json", "csv"] = "table"
    """How to print."""


def runs(arguments: Sequence[str]) -> int:
    """Run ``headstart runs``."""
    commands = {"pack": _pack, "verify": _verify, "add": _add, "import": _import, "export": _export, "tag": _tag}
    if arguments and arguments[0] in commands:
        return commands[arguments[0]](list(arguments[1:]))
    options = tyro.cli(ListOptions, args=list(arguments), prog="headstart runs")
    from headstart.core.errors import UsageError

    missing = [str(folder) for folder in options.folders if not folder.is_dir()]
    if missing and options.folders != (Path("runs"),):
        raise UsageError(f"no folder {', '.join(missing)}; give folders that hold runs")
    if options.conflicts:
        return _conflicts(options.folders)
    table = _chosen(options)
    if options.format == "json":
        print(table.write_json())
    elif options.format == "csv":
        lists = [name for name, kind in table.schema.items() if kind.is_nested()]
        print(table.with_columns(table[name].list.join(" ") for name in lists).write_csv(), end="")
    elif not table.height:
        print("no runs found; `headstart train` makes one", file=sys.stderr)
    else:
        _print(table, plain=bool(options.sql or options.columns))
    return 0


def _chosen(options: ListOptions) -> Any:
    from headstart.runs.index import RECORD, STAMP
    from headstart.runs.query import Condition, runs_table, sql, with_fields

    if options.sql is not None:
        return sql(options.folders, options.sql)
    table = runs_table(options.folders, [Condition.parse(text) for text in options.where])
    if options.sort is not None:
        key = options.sort.removeprefix("-")
        order = with_fields(table, [key])[key].arg_sort(descending=options.sort.startswith("-"), nulls_last=True)
        table = table[order]
    table = table.head(options.limit) if options.limit is not None else table
    return with_fields(table, options.columns) if options.columns else table.drop(RECORD, STAMP)


def _print(table: Any, plain: bool) -> None:
    from headstart.cli.tables import Column, lines_of, window

    width = window()
    if plain:
        columns = [Column(name, least=10) for name in table.columns]
        lines, _ = lines_of(columns, [[_cell(value) for value in row] for row in table.iter_rows()], width)
        print("\n".join(lines))
        return
    rows = [_summary(row) for row in table.iter_rows(named=True)]
    problems = [row["problem"] or "" for row in table.iter_rows(named=True)]
    print("\n".join(_listing(rows, problems, width)))


def _summary(row: dict[str, Any]) -> list[str]:
    cells = [row["path"], row["method"], row["world"], row["data"], row["state"], row["seeds"]]
    cells += [row["environment_steps"], row["updates"], row["last_return"], row["last_score"]]
    begun = row["created"] and time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created"]))
    return [*map(_cell, cells), begun or ""]


def _listing(rows: list[list[str]], problems: list[str], width: int | None) -> list[str]:
    """Lines about runs: in a window what went wrong stands below its run, else at the end of its line."""
    from headstart.cli.tables import Column, cut, lines_of, one_line

    columns = [
        Column("run", least=24, keep="end"),
        Column("method", least=8),
        Column("world", rank=2, least=11),
        Column("data", rank=5, least=12),
        Column("state"),
        Column("seeds", rank=7, side="right"),
        Column("steps", rank=4, side="right"),
        Column("updates", rank=8, side="right"),
        Column("return", rank=1, side="right"),
        Column("score", rank=3, side="right"),
        Column("begun", rank=6),
    ]
    if width is None:
        columns, rows = [*columns, Column("problem")], [[*row, why] for row, why in zip(rows, problems, strict=True)]
        return lines_of(columns, rows, None)[0]
    (heading, *lines), missing = lines_of(columns, rows, width)
    told = [heading]
    for line, problem in zip(lines, problems, strict=True):
        told += [line, cut(f"  {one_line(problem)}", width)] if problem else [line]
    if missing:
        told.append(f"not shown, for want of room: {', '.join(missing)}; a wider window or --format csv has them")
    return told


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _conflicts(folders: Sequence[Path]) -> int:
    from headstart.runs.pack import conflicts

    found = conflicts(folders)
    for paths in found:
        print("the same configuration, seeds and code, other numbers: " + ", ".join(map(str, paths)))
    if not found:
        print("no conflicts")
    return 1 if found else 0


@dataclass
class PackOptions:
    """Write runs into one file, with a digest of everything in it."""

    runs: tuple[Path, ...]
    """Folders of the runs."""
    out: Path = Path("runs.zip")
    """The file to write."""
    checkpoints: bool = False
    """Pack what they learned too, not only what they recorded."""


@dataclass
class AddOptions:
    """Merge packed runs into a folder; nothing there is overwritten."""

    file: Path
    """The packed file."""
    to: Path = Path("runs")
    """Folder of runs to merge them into."""


@dataclass
class VerifyOptions:
    """Check that a packed file is what was packed."""

    file: Path
    """The packed file."""


@dataclass
class ImportOptions:
    """Bring in runs of Stable-Baselines3 (monitor files), CleanRL (TensorBoard) or Weights & Biases (offline, CSV)."""

    path: Path
    """A file, or a folder that is searched."""
    to: Path = Path("runs")
    """Folder of runs to record them in."""
    name: str | None = None
    """What to call their method, in place of what the files say."""
    world: str | None = None
    """What to call their world, in place of what the files say."""


@dataclass
class ExportOptions:
    """Give what runs have recorded to TensorBoard or Weights & Biases: what these were not given yet."""

    runs: tuple[Path, ...]
    """Folders of the runs."""
    to: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)
    """Where: event files in the runs' own folders, or Weights & Biases."""


@dataclass
class TagOptions:
    """Add tags to a run, and print those it has."""

    run: Path
    """Folder of the run."""
    tags: tuple[str, ...] = ()
    """Words to add."""
    remove: tuple[str, ...] = ()
    """Words to take away."""


def _parse(options: Any, arguments: list[str], name: str) -> Any:
    kind: Any = Annotated[options, tyro.conf.PositionalRequiredArgs]
    return tyro.cli(kind, args=arguments, prog=f"headstart runs {name}")


def _pack(arguments: list[str]) -> int:
    options = _parse(PackOptions, arguments, "pack")
    from headstart.runs.pack import pack

    print(f"{len(options.runs)} runs packed into {pack(options.runs, options.out, options.checkpoints)}")
    return 0


def _verify(arguments: list[str]) -> int:
    options = _parse(VerifyOptions, arguments, "verify")
    from headstart.runs.pack import verify

    names = verify(options.file)
    print(f"{options.file} is what was packed: {', '.join(names)}")
    return 0


def _add(arguments: list[str]) -> int:
    options = _parse(AddOptions, arguments, "add")
    from headstart.runs.pack import add

    outcomes = add(options.file, options.to)
    said = {"added": "added as", "present": "is there already:", "conflict": "left out, other numbers than"}
    for one in outcomes:
        print(f"{one.name} {said[one.outcome]} {one.path}")
    return 1 if any(one.outcome == "conflict" for one in outcomes) else 0


def _import(arguments: list[str]) -> int:
    options = _parse(ImportOptions, arguments, "import")
    from headstart.runs.foreign import add_foreign, read_foreign

    found = read_foreign(options.path, options.name, options.world)
    made = add_foreign(found, options.to)
    for run in found:
        if run.problem:
            print(f"warning: {run.problem}", file=sys.stderr)
    for path in made:
        print(path)
    print(f"{len(made)} run{'s' * (len(made) != 1)} brought in, {len(found) - len(made)} there already")
    return 0


def _export(arguments: list[str]) -> int:
    options = _parse(ExportOptions, arguments, "export")
    from headstart.core.errors import UsageError
    from headstart.runs.folder import RunFolder
    from headstart.runs.sinks import Mirror, check

    if not options.runs or not options.to:
        raise UsageError("give the folders of the runs, and after --to where their metrics are to go")
    check(list(options.to))
    for run in [RunFolder.open(path) for path in options.runs]:
        mirror = Mirror(run, list(options.to))
        count = mirror.send()
        mirror.close()
        print(f"{run.path}: {count} numbers given to {', '.join(options.to)}")
    return 0


def _tag(arguments: list[str]) -> int:
    options = _parse(TagOptions, arguments, "tag")
    from headstart.runs.index import tag

    print(" ".join(tag(options.run, options.tags, options.remove)))
    return 0
