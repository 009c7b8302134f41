"""Logged feedback: what was shown, what was chosen with which probability, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.bandits.bandit import BanditSpec
from headstart.core.errors import DataError


@dataclass(frozen=True)
class Log:
    """Rows of logged feedback, in the order in which they happened.

    Attributes:
        spec: arms, features and the range of rewards.
        contexts: ``[rows, arms, features]``; ``[rows, 1, features]`` where all arms see the same; 0 features where
            there is no context.
        actions: the arm chosen.
        rewards: what it gave.
        propensities: probability with which it was chosen.
    """

    spec: BanditSpec
    contexts: Float[np.ndarray, "rows arms features"]
    actions: Int[np.ndarray, " rows"]
    rewards: Float[np.ndarray, " rows"]
    propensities: Float[np.ndarray, " rows"]

    @classmethod
    def of(
        cls,
        actions: ArrayLike,
        rewards: ArrayLike,
        propensities: ArrayLike | None = None,
        contexts: ArrayLike | None = None,
        arms: int | None = None,
        reward_low: float = 0.0,
        reward_high: float = 1.0,
    ) -> Log:
        """From columns.

        Args:
            actions: integers from 0.
            rewards: within the declared range.
            propensities: within (0, 1], one a row; or one number for all rows, such as 1 / arms where the logging
                policy drew evenly.
            contexts: ``[rows, features]`` seen by all arms, or ``[rows, arms, features]``; None without context.
            arms: how many there are; by default one more than the largest action.
            reward_low: least possible reward.
            reward_high: largest possible reward.

        Raises:
            DataError: a column is missing or not made of numbers; columns of different lengths, numbers that are not
                finite, an unknown arm, rewards outside the range, or propensities that are zero or above 1; the first
                such row is named.
        """
        if propensities is None:
            raise DataError(
                "propensities are missing: the probability with which each logged action was chosen, in (0, 1]. Give "
                "the column that the logging policy wrote; if it drew evenly, give 1 / arms; if it never drew at "
                "random, no other policy can be valued on this log"
            )
        chosen, received = _column("actions", actions), _column("rewards", rewards)
        rows = len(chosen)
        probability = _column(
            "propensities", np.full(rows, propensities) if np.ndim(propensities) == 0 else propensities
        )
        if not rows:
            raise DataError("the log has no rows")
        shown = np.zeros((rows, 1, 0)) if contexts is None else _numbers("contexts", contexts).astype(np.float32)
        shown = shown[:, None, :] if shown.ndim == 2 else shown
        lengths = {"rewards": len(received), "propensities": len(probability), "contexts": len(shown)}
        wrong = [f"{length} {name}" for name, length in lengths.items() if length != rows]
        if wrong:
            raise DataError(f"{rows} actions, but {', '.join(wrong)}; each row needs one of each")
        _refuse(~np.isfinite(chosen) | (chosen != np.round(chosen)), "action", chosen, "a whole number from 0")
        chosen = chosen.astype(np.int64)
        arms = int(chosen.max()) + 1 if arms is None else arms
        _refuse((chosen < 0) | (chosen >= arms), "action", chosen, f"one of {arms} arms, numbered from 0")
        inside = (received >= reward_low) & (received <= reward_high) & np.isfinite(received)
        _refuse(~inside, "reward", received, f"within the declared range [{reward_low:g}, {reward_high:g}]")
        _refuse(
            ~((probability > 0) & (probability <= 1)),
            "propensity",
            probability,
            "within (0, 1]: the probability with which the logged action was chosen. Without it nothing can be said of "
            "another policy; leave out rows that were not chosen at random",
        )
        if shown.ndim != 3 or shown.shape[1] not in (1, arms):
            raise DataError(
                f"contexts have shape {list(shown.shape)}; expected [rows, features] or [rows, {arms}, features]"
            )
        _refuse(~np.isfinite(shown).reshape(rows, -1).all(1), "context", (), "made of finite numbers")
        spec = BanditSpec(arms, shown.shape[2] or None, float(reward_low), float(reward_high))
        return cls(spec, shown.astype(np.float32), chosen, received, probability)

    def __len__(self) -> int:
        return len(self.actions)

    def select(self, rows: slice | ArrayLike) -> Log:
        """Some of the rows."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        columns = (self.contexts, self.actions, self.rewards, self.propensities)
        return Log(self.spec, *(column[chosen] for column in columns))

    @property
    def seen(self) -> Float[np.ndarray, "rows features"]:
        """Features of the arm that was chosen in each row."""
        return self.contexts[np.arange(len(self)), self.actions if self.contexts.shape[1] > 1 else 0]


def _column(name: str, values: ArrayLike | None) -> Float[np.ndarray, " rows"]:
    column = _numbers(name, values)
    if column.ndim != 1:
        raise DataError(f"{name} have the shape {list(column.shape)}; expected one number a row")
    return column


def _numbers(name: str, values: ArrayLike | None) -> np.ndarray:
    if values is None:
        raise DataError(f"{name} are missing; every row needs one")
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers: {error}; encode them as numbers first") from error


def _refuse(wrong: ArrayLike, name: str, values: Any, expected: str) -> None:
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        given = f" ({values[first]})" if len(values) > first else ""
        raise DataError(
            f"{np.count_nonzero(wrong)} rows have a {name} that is not {expected}; the first is row {first}{given}"
        )


def read_log(
    path: Path | str,
    features: Sequence[str] | None = None,
    arms: int | None = None,
    reward_low: float = 0.0,
    reward_high: float = 1.0,
) -> Log:
    """Read a log: CSV or Parquet with the columns action, reward and propensity, or a journal of the service.

    Args:
        path: a file that ends in .csv or .parquet; or the folder that ``headstart bandit serve`` wrote, or its
            journal, from which decisions without a reward are left out.
        features: columns that make up the context, seen by all arms; by default those whose names begin with feature.
        arms: how many there are; by default one more than the largest action. A journal knows.
        reward_low: least possible reward. A journal knows.
        reward_high: largest possible reward. A journal knows.

    Raises:
        DataError: the file or a column is missing, or as for ``Log.of``.
    """
    path = Path(path)
    path = path / "journal.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path} does not exist; give a .csv or .parquet file, or the folder of a service")
    if path.suffix == ".jsonl":
        return _read_journal(path)
    import polars as pl

    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    columns = [name for name in table.columns if name.startswith("feature")] if features is None else list(features)
    for name in ("action", "reward", "propensity", *columns):
        if name not in table.columns:
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(table.columns[:12])}")
        if not table[name].dtype.is_numeric():
            raise DataError(f"column {name!r} of {path} holds {table[name].dtype}, not numbers; encode it first")
    actions, rewards, propensities = (table[name].to_numpy() for name in ("action", "reward", "propensity"))
    contexts = table.select(columns).to_numpy() if columns else None
    return Log.of(actions, rewards, propensities, contexts, arms, reward_low, reward_high)


def _read_journal(path: Path) -> Log:
    records = [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    if not records or "spec" not in records[0]:
        raise DataError(f"{path} is not a journal of `headstart bandit serve`")
    spec = records[0]["spec"]
    choices = {record["choose"]: record for record in records if "choose" in record}
    rows = [(choices[record["observe"]], record["reward"]) for record in records if "observe" in record]
    contexts = [choice["context"] for choice, _ in rows] if spec["features"] else None
    low, high = spec["reward_low"], spec["reward_high"]
    return Log.of(
        [choice["action"] for choice, _ in rows],
        [reward for _, reward in rows],
        [choice["propensity"] for choice, _ in rows],
        contexts,
        spec["arms"],
        -np.inf if low is None else low,
        np.inf if high is None else high,
    )


def read_policy(path: Path | str) -> Float[np.ndarray, "rows arms"]:
    """A policy's probabilities from an .npy, or a .csv or .parquet with one column an arm.

    Raises:
        DataError: the file is missing or is not a table of numbers.
    """
    import polars as pl

    path = Path(path)
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), np.float64)
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
        return table.to_numpy().astype(np.float64)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as a policy: {error}") from error
