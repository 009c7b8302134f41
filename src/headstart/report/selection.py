"""The little language in which runs are chosen and grouped for a comparison (after openrlbenchmark's ``rlops``).

``--filters`` is followed by texts. The first may be a header, ``?metric=evaluation/return&xaxis=updates&world=world&
name=method``: which metric, against what, and which fields of a run hold its world and its name. Every other text is
one arm: ``wsrl?tag=v1&discount=0.99&seed=1&seed=2&cl=WSRL`` takes the runs of that name for which all conditions hold;
the same key twice means either, but for tags, which all have to be there; ``cl`` is the legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import numpy as np
import polars as pl
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.runs.histories import XAxis, histories
from headstart.runs.query import Condition, runs_table, with_fields

HEADER = {"metric": "evaluation/return", "xaxis": "environment_steps", "world": "world", "name": "method"}
"""What a header may say, and what holds where it does not."""
OTHER_NAMES = {"ceik": "world", "cen": "name"}
"""The names that openrlbenchmark has for two of them."""
AXES = ("environment_steps", "updates", "time")


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
        texts, header = list(texts), dict(HEADER)
        if texts and texts[0].startswith("?"):
            for key, value in _pairs(texts.pop(0)[1:]):
                key = OTHER_NAMES.get(key, key)
                if key not in HEADER:
                    raise unknown("key of a header", key, [*HEADER, *OTHER_NAMES])
                header[key] = value
        if header["xaxis"] not in AXES:
            raise unknown("x axis", header["xaxis"], AXES)
        arms = []
        for text in texts:
            name, _, rest = text.partition("?")
            label, conditions, seeds = unquote(name), [], []
            for key, value in _pairs(rest):
                if key == "cl":
                    label = value
                elif key == "seed":
                    seeds.append(int(value) if value.isdigit() else _no_seed(value))
                else:
                    conditions.append(Condition(key, "=", value))
            arms.append((unquote(name), tuple(conditions), tuple(seeds), label))
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
    everything = runs_table(folders)
    if not everything.height:
        raise UsageError(f"there are no runs in {', '.join(map(str, folders))}")
    arms = filters.arms or _every_name(everything, header["name"])
    chosen = []
    for name, conditions, seeds, label in arms:
        table = runs_table(folders, [Condition(header["name"], "=", name), *conditions])
        named = with_fields(table, ["path", header["world"], "state"])
        named.columns = ["path", "world", "state"]
        if not named.height:
            raise UsageError(f"no run is chosen by {label!r}; `headstart runs` lists what there is")
        missing = [world for world in worlds if world not in set(named["world"])]
        if missing:
            raise UsageError(f"{label!r} has no run in {', '.join(missing)}; it has in {_listed(named['world'])}")
        chosen.append((label, named.filter(pl.col("world").is_in(list(worlds))) if worlds else named, seeds))
    return [_read(label, runs, seeds, header) for label, runs, seeds in chosen]


def _read(label: str, runs: pl.DataFrame, seeds: tuple[int, ...], header: dict[str, str]) -> Arm:
    usable = runs.filter(~pl.col("state").is_in(["running", "damaged"]))
    skipped = [f"{path}: {state}" for path, _, state in runs.rows() if state in ("running", "damaged")]
    axis: Any = header["xaxis"]
    read: XAxis = axis
    table = histories(usable["path"].to_list(), header["metric"], read).join(usable, on="path", maintain_order="left")
    if seeds:
        table = table.filter(pl.col("seed").is_in(list(seeds)))
    lacking = sorted(set(usable["path"]) - set(table["path"]))
    curves: dict[str, list[Any]] = {}
    for (world, *_), rows in table.group_by("world", "path", "seed", maintain_order=True):
        last = rows.unique("x", keep="last", maintain_order=True).sort("x")
        curves.setdefault(str(world), []).append((last["x"].to_numpy(), last["value"].to_numpy()))
    if not curves:
        raise UsageError(f"{label!r}: no run that has ended logged {header['metric']}")
    return Arm(label, curves, (*skipped, *(f"{path}: has no {header['metric']}" for path in lacking)))


def _every_name(table: pl.DataFrame, field: str) -> list[Any]:
    names = with_fields(table, [field])[field].drop_nulls().unique().sort()
    return [(str(name), (), (), str(name)) for name in names]


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _listed(values: pl.Series) -> str:
    return ", ".join(sorted({str(value) for value in values}))


def _no_seed(value: str) -> int:
    raise UsageError(f"seed={value}: a seed is a whole number")
