"""Runs of other libraries, brought into the form of our own, so that everything here lists, filters and plots them.

What is read: monitor files of Stable-Baselines3 (``*.monitor.csv``); TensorBoard event files, those of CleanRL among
them, whose folders are named ``world__name__seed__time``; runs that Weights & Biases recorded offline
(``offline-run-*/run-*.wandb``), and tables that it exports (CSV with a column ``Step`` and columns ``run - metric``).
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from headstart.core.errors import DataError, UsageError
from headstart.runs.event_file import read_scalars
from headstart.runs.folder import RunFolder
from headstart.runs.index import tag
from headstart.runs.metrics import SCHEMA
from headstart.runs.wandb_file import read_wandb

RETURNS = ("charts/episodic_return", "rollout/ep_rew_mean", "eval/mean_reward")
"""Names that other libraries have for the return of an episode."""
NAME, WORLD = ("exp_name", "algo", "algorithm"), ("env_id", "env", "env_name", "environment", "task")
"""Where configurations usually say what was run, and where."""
CLEANRL = re.compile(r"^(?P<world>.+?)__(?P<name>.+?)__(?P<seed>\d+)__(?P<time>\d+)$")


@dataclass(frozen=True)
class ForeignRun:
    """One run of another library.

    Attributes:
        source: file or folder that it was read from.
        library: which library wrote it, as far as can be told.
        name: of its method or experiment.
        world: of its world.
        seed: its seed.
        metrics: in the columns of our metrics; ``episode/return`` is there under that name too.
        config: what else is known.
        tags: its tags.
        problem: what is wrong with its record; "" where nothing is.
    """

    source: Path
    library: str
    name: str
    world: str
    seed: int
    metrics: pl.DataFrame
    config: Mapping[str, Any]
    tags: Sequence[str] = ()
    problem: str = ""


def read_foreign(path: Path | str, name: str | None = None, world: str | None = None) -> list[ForeignRun]:
    """Every run of another library in a file, or below a folder.

    Args:
        path: where.
        name: what to call their method, in place of what the files say.
        world: likewise their world.

    Raises:
        UsageError: there is nothing that is known.
        DataError: a file is damaged.
    """
    path = Path(path)
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    files = list({file.resolve(): file for file in found}.values())  # W&B links to its latest run
    runs: list[ForeignRun] = []
    events: dict[Path, list[Path]] = {}
    for file in files:
        if file.name.endswith("monitor.csv"):
            runs.append(_monitor(file))
        elif "tfevents" in file.name:
            events.setdefault(file.parent, []).append(file)
        elif file.suffix == ".csv" and _is_wandb(file):
            runs += _wandb(file)
        elif file.suffix == ".wandb":
            runs.append(_wandb_offline(file))
    runs += [_tensorboard(folder, parts) for folder, parts in events.items()]
    if not runs:
        raise UsageError(
            f"{path} holds nothing that is known: monitor.csv files of Stable-Baselines3, TensorBoard event files, or "
            "offline runs and exported tables of Weights & Biases"
        )
    given = {key: value for key, value in (("name", name), ("world", world)) if value is not None}
    return [ForeignRun(**{**vars(run), **given}) for run in runs]


def add_foreign(runs: Iterable[ForeignRun], folder: Path | str) -> list[Path]:
    """Record foreign runs in a folder of runs; returns the folders made. A run that is there already is left alone.

    One whose record has a problem counts as stopped, and its notes say why.
    """
    made = []
    for run in runs:
        words = (run.library, run.name, run.world, str(run.seed), run.source.stem)
        place = Path(folder) / re.sub(r"[^\w.-]+", "-", "-".join(words))
        if place.exists():
            continue
        config = {
            "method": {"name": run.name},
            "world": {"name": run.world},
            "data": None,
            "library": run.library,
            "source": str(run.source),
            "foreign": dict(run.config),
        }
        with RunFolder.create(place, config, [run.seed]).seed(run.seed).record() as recorder:
            for row in run.metrics.iter_rows(named=True):
                recorder.log(row["updates"], row["environment_steps"], row["phase"], {row["name"]: row["value"]})
            if run.problem:
                recorder.note([run.problem])
                recorder.stop()
        if run.tags:
            tag(place, run.tags)
        made.append(place)
    return made


def _table(names: Sequence[str], values: Sequence[float], steps: Sequence[int], times: Sequence[float]) -> pl.DataFrame:
    count = len(values)
    columns = {
        "name": names,
        "value": values,
        "phase": ["online"] * count,
        "updates": [0] * count,
        "environment_steps": steps,
        "time": times,
    }
    table = pl.DataFrame(columns, schema=SCHEMA)
    known = table.filter(pl.col("name").is_in(RETURNS)).with_columns(pl.lit("episode/return").alias("name"))
    return pl.concat([table, known]).sort("environment_steps", maintain_order=True)


def _monitor(file: Path) -> ForeignRun:
    lines = file.read_text(errors="replace").splitlines()
    try:
        header = json.loads(lines[0].removeprefix("#"))
        rows = list(csv.DictReader(lines[1:]))
        returns, lengths, times = ([float(row[key]) for row in rows] for key in ("r", "l", "t"))
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is not a monitor file of Stable-Baselines3: {error!r}") from error
    steps = pl.Series(lengths).cum_sum().cast(pl.Int64).to_list()
    table = _table(["episode/return"] * len(rows), returns, steps, times)
    world = str(header.get("env_id", "unknown"))
    return ForeignRun(file, "stable-baselines3", file.parent.name or "unknown", world, _seed_in(file), table, header)


def _tensorboard(folder: Path, files: Sequence[Path]) -> ForeignRun:
    scalars = [scalar for file in files for scalar in read_scalars(file)]
    start = min((scalar.wall_time for scalar in scalars), default=0.0)
    table = _table(
        [scalar.name for scalar in scalars],
        [scalar.value for scalar in scalars],
        [scalar.step for scalar in scalars],
        [scalar.wall_time - start for scalar in scalars],
    )
    named = CLEANRL.match(folder.name)
    if named is not None:
        return ForeignRun(folder, "cleanrl", named["name"], named["world"], int(named["seed"]), table, {})
    return ForeignRun(folder, "tensorboard", folder.name, "unknown", _seed_in(folder), table, {})


def _is_wandb(file: Path) -> bool:
    with open(file, errors="replace") as stream:
        header = next(csv.reader(stream), [])
    return bool(header) and header[0] in ("Step", "global_step", "Relative Time (Process)") and " - " in "".join(header)


def _wandb(file: Path) -> list[ForeignRun]:
    rows = list(csv.reader(io.StringIO(file.read_text(errors="replace"))))
    header, found = rows[0], {}
    for column, title in enumerate(header[1:], 1):
        run, _, metric = title.rpartition(" - ")
        if not metric.endswith(("__MIN", "__MAX")) and metric not in ("_step", "_wandb"):
            found.setdefault(run, []).append((column, metric))
    runs = []
    for run, columns in found.items():
        names, values, steps = [], [], []
        for row in rows[1:]:
            for column, metric in columns:
                if column < len(row) and row[column] not in ("", "NaN"):
                    try:
                        values.append(float(row[column]))
                        steps.append(int(float(row[0])))
                    except ValueError as error:
                        raise DataError(f"{file}: {row[column]!r} under {header[column]!r} is no number") from error
                    names.append(metric)
        named = CLEANRL.match(run)
        name, world, seed = (named["name"], named["world"], int(named["seed"])) if named else (run, "unknown", 0)
        table = _table(names, values, steps, [0.0] * len(values))
        runs.append(ForeignRun(file.with_name(f"{run}.csv"), "wandb", name, world, seed, table, {"table": str(file)}))
    return runs


def _wandb_offline(file: Path) -> ForeignRun:
    run = read_wandb(file)
    rows = [(name, value, logged) for logged in run.history for name, value in logged.values.items()]
    steps = [logged.values.get("global_step", math.nan) for _, _, logged in rows]
    table = _table(
        [name for name, _, _ in rows],
        [value for _, value, _ in rows],
        [int(own) if math.isfinite(own) else logged.step for own, (_, _, logged) in zip(steps, rows, strict=True)],
        [logged.seconds for _, _, logged in rows],
    )
    name, world = (next((run.config[key] for key in keys if key in run.config), None) for keys in (NAME, WORLD))
    seed = run.config.get("seed")
    named = CLEANRL.match(run.name)
    if named is not None:
        name, world, seed = named["name"], named["world"], int(named["seed"])
    facts = {"id": run.id, "project": run.project, "exit_code": run.exit_code, "truncated": run.truncated}
    problem = f"{file} ends in the middle of a record; what is whole was read" if run.truncated else ""
    return ForeignRun(
        file,
        "wandb",
        str(name or run.name or run.id),
        str(world or "unknown"),
        seed if isinstance(seed, int) else _seed_in(file),
        table,
        _finite(run.config) | {"wandb": facts},
        run.tags,
        problem,
    )


def _finite(value: Any) -> Any:
    """Numbers that JSON has no form for, as text."""
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _seed_in(path: Path) -> int:
    found = re.search(r"seed[-_]?(\d+)", str(path))
    return int(found[1]) if found else 0
