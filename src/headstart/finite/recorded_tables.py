"""Records of finite worlds from tables: CSV or Parquet, a row for each step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headstart.core.errors import DataError
from headstart.finite.episodes import Episodes, check_episodes
from headstart.finite.mdp import FiniteSpec
from headstart.finite.transitions import Transitions

STEP = ("observation", "action", "reward", "next_observation")


def read_transitions(path: Path | str, states: int | None = None, actions: int | None = None) -> Transitions:
    """Transitions from a table with the columns ``observation, action, reward, next_observation`` and possibly
    ``termination`` (0 or 1).

    Args:
        path: ``.csv`` or ``.parquet``.
        states: how many there are; None: as many as occur.
        actions: likewise.

    Raises:
        DataError: the file is missing, is no table or lacks a column, or a row cannot be (see ``Transitions.of``).
    """
    table = _read(path, STEP)
    seen = {name: table[name] for name in ("observation", "action", "next_observation")}
    for name, column in seen.items():
        if column.dtype.kind not in "iu":
            raise DataError(f"{path}: the column {name} is of type {column.dtype}; expected whole numbers from 0")
    both = np.concatenate([seen["observation"], seen["next_observation"], [-1]])
    ended = table.get("termination")
    return Transitions.of(
        seen["observation"],
        seen["action"],
        table["reward"],
        seen["next_observation"],
        None if ended is None else ended.astype(bool),
        n_states=int(both.max()) + 1 if states is None else states,
        n_actions=int(max([-1, *seen["action"]])) + 1 if actions is None else actions,
    )


def read_episodes(path: Path | str, spec: FiniteSpec) -> Episodes:
    """Whole episodes of a world from a table with the columns ``episode, step, observation, action, reward,
    next_observation``, in any order of rows; steps are numbered from 0.

    Raises:
        DataError: the file is missing, is no table or lacks a column, an episode has not each step of the horizon once,
            or a row cannot be in this world.
    """
    table = _read(path, ("episode", "step", *STEP))
    order = np.lexsort((table["step"], table["episode"]))
    names, lengths = np.unique(table["episode"], return_counts=True)
    wrong = np.flatnonzero(lengths != spec.horizon)
    if len(wrong):
        raise DataError(
            f"{path}: episode {names[wrong[0]]} has {lengths[wrong[0]]} rows; the world's episodes have {spec.horizon} "
            f"steps ({len(wrong)} of {len(names)} episodes do not)"
        )
    steps = table["step"][order].reshape(-1, spec.horizon)
    wrong = np.flatnonzero((steps != np.arange(spec.horizon)).any(1))
    if len(wrong):
        raise DataError(f"{path}: episode {names[wrong[0]]} has the steps {steps[wrong[0]]}; expected 0 to the last")
    data = Episodes(*(table[name][order].reshape(-1, spec.horizon) for name in STEP))
    data = data._replace(rewards=data.rewards.astype(np.float64))
    check_episodes(data, spec)
    return data


def _read(path: Path | str, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    import polars as pl

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; give a table, .csv or .parquet")
    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as a table (.csv or .parquet): {error}") from error
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}")
    empty = [name for name in needed if table[name].null_count()]
    if empty:
        raise DataError(f"{path} has empty entries in {', '.join(empty)}; every row needs one of each")
    return {name: table[name].to_numpy() for name in table.columns}
