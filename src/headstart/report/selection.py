"""The little language in which runs are chosen and grouped for a comparison (after openrlbenchmark's ``rlops``).

``--filters`` is followed by texts. The first may be a header, ``?metric=evaluation/return&xaxis=updates&world=world&
name=method``: which metric, against what, and which fields of a run hold its world and its name. Every other text is
one arm: ``wsrl?tag=v1&discount=0.99&seed=1&seed=2&cl=WSRL`` takes the runs of that name for which all conditions hold;
the same key twice means either, but for tags, which all have to be there; ``cl`` is the legend. ``*`` and ``?`` stand
for anything; written %2A and %3F (and & as %26) they are themselves.

Command lines made for ``rlops`` work too: ``ceik`` and ``cen`` name the fields of world and name, ``global_step`` and
``_runtime`` are axes, ``we`` and ``wpn`` are conditions on ``entity`` and ``project``; ``.value`` after a field is
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.runs.histories import histories
from headstart.runs.index import STAMP, index
from headstart.runs.query import Condition, choose, with_fields

HEADER = {"metric": "evaluation/return", "xaxis": "environment_steps", "world": "world", "name": "method"}
"""What a header may say, and what holds where it does not."""
OTHER_NAMES = {"ceik": "world", "cen": "name"}
"""The names that openrlbenchmark has for two of them."""
WHOSE = {"we": "entity", "wpn": "project"}
"""What else its headers ask for, of every arm."""
AXES = ("environment_steps", "updates", "time")
OTHER_AXES = {"global_step": "environment_steps", "_runtime": "time"}
"""The names that openrlbenchmark has for two of those."""
UNFIT = ["running", "damaged"]
"""States of runs that are left out."""


@dataclass(frozen=True)
class Arm:
    """One line of a comparison.

    Attributes:
        label: its name in the legend.
        curves: for each world, one pair of x and values a seed.
        skipped: runs left out, and why.
    """

    label: str
    curves: dict[str, list[tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]]]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """One ``--filters``: a header and its arms.

    Attributes:
        header: metric, x axis, and the fields that hold world and name.
        arms: for each its name, its conditions, its seeds (none: all) and its label.
    """

    header: dict[str, str]
    arms: tuple[tuple[str, tuple[Condition, ...], tuple[int, ...], str], ...]

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Filters:
        """From the texts that follow ``--filters``.

        Raises:
            UsageError: a key of the header or an axis is unknown, or there is no arm.
        """
        texts, header, shared = list(texts), dict(HEADER), []
        if texts and texts[0].startswith("?"):
            for key, value in _pairs(texts.pop(0)[1:]):
                key = OTHER_NAMES.get(key, key)
                if key in WHOSE:
                    shared.append(Condition(WHOSE[key], "=", _pattern(value)))
                    continue
                if key not in HEADER:
                    raise unknown("key of a header", key, [*HEADER, *OTHER_NAMES, *WHOSE])
                header[key] = unquote(value) if key == "metric" else unquote(value).removesuffix(".value")
        header["xaxis"] = OTHER_AXES.get(header["xaxis"], header["xaxis"])
        if header["xaxis"] not in AXES:
            raise unknown("x axis", header["xaxis"], AXES)
        arms = []
        for text in texts:
            name, _, rest = text.partition("?")
            label, conditions, seeds = unquote(name), [*shared], []
            for key, value in _pairs(rest):
                key = key.removesuffix(".value")
                if key == "cl":
                    label = unquote(value)
                elif key == "seed":
                    seeds.append(int(value) if value.isdigit() else _no_seed(value))
                else:
                    conditions.append(Condition(key, "=", _pattern(value)))
            arms.append((_pattern(name), tuple(conditions), tuple(seeds), label))
        return cls(header, tuple(arms))


def select(folders: Sequence[Path | str], filters: Filters, worlds: Sequence[str] = ()) -> list[Arm]:
    """The arms that some filters ask for, their curves read. Without arms, one for every name that there is.

    Args:
        folders: where the runs are.
        filters: what to take.
        worlds: only these, in this order; all that occur by default.

    Raises:
        UsageError: an arm has no run at all, or none in one of the worlds asked for; or no run has the metric.
    """
    header = filters.header
    everything = index(folders)
    if not everything.height:
        raise UsageError(f"there are no runs in {', '.join(map(str, folders))}")
    arms = filters.arms or _every_name(everything, header["name"])
    chosen = []
    for name, conditions, seeds, label in arms:
        table = choose(everything, [Condition(header["name"], "=", name), *conditions])
        named = with_fields(table, ["path", header["world"], "state", STAMP])
        named.columns = ["path", "world", "state", STAMP]
        if not named.height:
            raise UsageError(f"no run is chosen by {label!r}; `headstart runs` lists what there is")
        missing = [world for world in worlds if world not in set(named["world"])]
        if missing:
            raise UsageError(f"{label!r} has no run in {', '.join(missing)}; it has in {_listed(named['world'])}")
        chosen.append((label, named.filter(pl.col("world").is_in(list(worlds))) if worlds else named, seeds))
    usable = pl.concat([runs for _, runs, _ in chosen]).filter(~pl.col("state").is_in(UNFIT)).unique("path")
    axis: Any = header["xaxis"]
    curves = _curves(usable, header["metric"], axis)
    return [_arm(label, runs, seeds, curves, header["metric"]) for label, runs, seeds in chosen]


def _curves(runs: pl.DataFrame, metric: str, axis: Any) -> dict[str, list[tuple[int, np.ndarray, np.ndarray]]]:
    """For the path of each run that has the metric: seed, x and values of each seed; of equal x the last counts."""
    logged = histories(runs, metric, axis).sort("path", "seed")
    ends = np.cumsum(logged["x"].list.len().to_numpy(), dtype=np.int64)
    x, values = (logged[name].explode().to_numpy() for name in ("x", "value"))
    rises = np.append(np.diff(x) > 0, True)
    rises[ends - 1] = True
    in_order = np.logical_and.reduceat(rises, np.insert(ends[:-1], 0, 0)) if len(ends) else rises
    found: dict[str, list[Any]] = {}
    columns = (logged["path"], logged["seed"], np.split(x, ends[:-1]), np.split(values, ends[:-1]), in_order)
    for path, seed, one, other, fine in zip(*columns, strict=True):
        found.setdefault(path, []).append((seed, *((one, other) if fine else _put_in_order(one, other))))
    return found


def _put_in_order(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x, kind="stable")
    last = order[np.append(np.diff(x[order]) > 0, True)]
    return x[last], values[last]


def _arm(label: str, runs: pl.DataFrame, seeds: tuple[int, ...], found: dict[str, list[Any]], metric: str) -> Arm:
    curves: dict[str, list[Any]] = {}
    skipped, lacking = [], []
    for path, world, state in runs.sort("world", "path").select("path", "world", "state").iter_rows():
        kept = [(x, values) for seed, x, values in found.get(path, ()) if not seeds or seed in seeds]
        if state in UNFIT:
            skipped.append(f"{path}: {state}")
        elif kept:
            curves.setdefault(str(world), []).extend(kept)
        else:
            lacking.append(f"{path}: has no {metric}")
    if not curves:
        raise UsageError(f"{label!r}: no run that has ended logged {metric}")
    return Arm(label, curves, (*skipped, *sorted(lacking)))


def _every_name(table: pl.DataFrame, field: str) -> list[Any]:
    names = with_fields(table, [field])[field].drop_nulls().unique().sort()
    return [(re.sub(r"[\[*?]", r"[\g<0>]", str(name)), (), (), str(name)) for name in names]


def _pairs(text: str) -> list[tuple[str, str]]:
    """Keys and values between ``&``, the values still encoded."""
    pairs = [part.partition("=") for part in text.split("&") if part]
    return [(unquote(key), value.replace("+", " ")) for key, _, value in pairs]


def _pattern(text: str) -> str:
    """Decoded, so that wildcards that were encoded, and brackets, stand for themselves alone."""
    return unquote(re.sub(r"\[|%5b|%2a|%3f", lambda found: f"[{unquote(found[0])}]", text, flags=re.IGNORECASE))


def _listed(values: pl.Series) -> str:
    return ", ".join(sorted({str(value) for value in values}))


def _no_seed(value: str) -> int:
    raise UsageError(f"seed={value}: a seed is a whole number")
