"""Problems found in data before anything is learned from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from headstart.core.errors import DataError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.experience import Experience

_LOG = logging.getLogger("headstart")
_BLOCK_BYTES = 16 << 20

ACTION_MARGIN = 1e-5
"""Actions are learned from as if at most this part of their range from a bound, where a squashed policy has none."""

TOLERATED = 0.01
"""Actions beyond a bound by more than this part of the range do not fit the world."""


@dataclass(frozen=True)
class Problem:
    """Something about a dataset that its user should know.

    Attributes:
        severity: "fatal" data cannot be learned from; a "warning" is for judging.
        column: the column it is about, or "" for the whole.
        message: what was found, how much of it and where.
    """

    severity: Literal["fatal", "warning"]
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.column}: {self.message}" if self.column else self.message


def check(
    experience: Experience, spec: Spec | None = None, *, discrete: bool = True, continuous: bool = True
) -> list[Problem]:
    """Everything that is wrong or doubtful, fatal problems first.

    Args:
        experience: the data; read block by block where it lies on disk.
        spec: the world's, if there is one to act in.
        discrete: whether the method takes discrete actions.
        continuous: whether it takes continuous ones.
    """
    if len(experience) == 0:
        return [Problem("fatal", "", "there are no transitions")]
    problems = [Problem("warning", "", note) for note in experience.metadata.get("notes", [])]
    problems += _method_problems(experience.spec, discrete, continuous)
    mismatches = [] if spec is None else _spec_problems(experience.spec, spec)
    problems += mismatches
    problems += _number_problems(experience)
    problems += _action_problems(experience, experience.spec if spec is None or mismatches else spec, spec is not None)
    problems += _reward_problems(experience)
    problems += _episode_problems(experience)
    return sorted(problems, key=lambda problem: problem.severity != "fatal")


def check_for_training(
    experience: Experience, spec: Spec | None = None, *, discrete: bool = True, continuous: bool = True
) -> list[Problem]:
    """Refuse data that cannot be learned from; log and return the warnings about the rest.

    Raises:
        DataError: all fatal problems, one a line.
    """
    problems = check(experience, spec, discrete=discrete, continuous=continuous)
    fatal = [problem for problem in problems if problem.severity == "fatal"]
    if fatal:
        listed = "\n".join(f"  - {problem}" for problem in fatal)
        raise DataError(f"this data cannot be learned from:\n{listed}")
    for problem in problems:
        _LOG.warning("data: %s", problem)
    return problems


def _method_problems(spec: Spec, discrete: bool, continuous: bool) -> list[Problem]:
    if spec.discrete and not discrete:
        message = (
            f"{spec.action_size} discrete choices, but the method takes continuous actions; "
            "use dqn, bc, iql or discrete-cql"
        )
        return [Problem("fatal", "actions", message)]
    if not spec.discrete and not continuous:
        message = f"continuous ({spec.action_size} numbers), but the method takes discrete choices; use iql, sac or td3"
        return [Problem("fatal", "actions", message)]
    return []


def _spec_problems(data: Spec, world: Spec) -> list[Problem]:
    problems = []
    if data.observation.shape != world.observation.shape:
        message = f"of shape {list(data.observation.shape)}, but the world's are {list(world.observation.shape)}"
        problems.append(Problem("fatal", "observations", message))
    if data.discrete != world.discrete:
        names = ("continuous", "discrete")
        message = f"{names[data.discrete]}, but the world's are {names[world.discrete]}"
        problems.append(Problem("fatal", "actions", message))
    elif isinstance(data.action, Box) and isinstance(world.action, Box) and data.action.shape != world.action.shape:
        message = f"of shape {list(data.action.shape)}, but the world's are {list(world.action.shape)}"
        problems.append(Problem("fatal", "actions", message))
    return problems


def _number_problems(experience: Experience) -> list[Problem]:
    problems = []
    for name in ("observations", "actions", "rewards", "next_observations"):
        derived = experience.left_out is not None
        if name == "next_observations" and derived:
            continue  # a column that the file does not have
        bad, rows = _not_finite(experience, name)
        if name == "observations" and derived:
            bad, rows = _with_last_observations(experience, bad, rows)
        if bad:
            listed = ", ".join(map(str, rows))
            problems.append(Problem("fatal", name, f"{bad} numbers are NaN or infinite, first in rows {listed}"))
    return problems


def _not_finite(experience: Experience, name: str, last: bool = False) -> tuple[int, list[int]]:
    """How many numbers of a column are not finite, and the first three rows of the file that hold some.

    With ``last``, only in rows that are followed by one that was left out.
    """
    bad, first = 0, []
    for start, block in _blocks(experience, name):
        wrong = ~np.isfinite(block.reshape(len(block), -1))
        if not wrong.any():
            continue
        here = np.flatnonzero(wrong.any(1))
        rows = _rows_of_file(start + here, experience.left_out)
        if last and experience.left_out is not None:
            chosen = np.isin(rows + 1, experience.left_out)
            here, rows = here[chosen], rows[chosen]
        bad += int(wrong[here].sum())
        first = (first + rows[:3].tolist())[:3]
    return bad, first


def _with_last_observations(experience: Experience, bad: int, rows: list[int]) -> tuple[int, list[int]]:
    """The same of all observations that the file holds: those of rows left out are next observations here."""
    more, before = _not_finite(experience, "next_observations", last=True)
    return bad + more, sorted({*rows, *(row + 1 for row in before)})[:3]


def _rows_of_file(
    rows: Int[np.ndarray, " rows"], left_out: Int[np.ndarray, " left_out"] | None
) -> Int[np.ndarray, " rows"]:
    """Where rows stand in the file that they were read from."""
    if left_out is None:
        return rows
    return rows + np.searchsorted(left_out - np.arange(len(left_out)), rows, side="right")


def _action_problems(experience: Experience, spec: Spec, against_world: bool) -> list[Problem]:
    action = spec.action
    if isinstance(action, Discrete):
        bad = sum(int(((block < 0) | (block >= action.n)).sum()) for _, block in _blocks(experience, "actions"))
        message = f"{bad} choices are not among 0 to {action.n - 1}"
        return [Problem("fatal", "actions", message)] if bad else []
    low, high = np.asarray(action.low), np.asarray(action.high)
    bounded = np.isfinite(low) & np.isfinite(high)
    if not bounded.any():
        return []
    low, high = low[bounded], high[bounded]
    half = np.maximum((high - low) / 2, 1e-12)
    at_bounds, worst, beyond = 0, 0.0, 0
    for _, block in _blocks(experience, "actions"):
        scaled = np.abs((block.reshape(len(block), -1)[:, bounded] - (low + high) / 2) / half)
        at_bounds += int((scaled > 1 - ACTION_MARGIN).sum())
        beyond += int((scaled > 1 + TOLERATED).sum())
        worst = max(worst, float(np.nanmax(scaled)) if scaled.size else 0.0)
    problems = []
    if beyond:
        owner = "the world's" if against_world else "the stated"
        message = f"{beyond} numbers lie outside {owner} bounds, the worst at {worst:.3g} times the half range"
        problems.append(Problem("fatal", "actions", message))
    elif at_bounds:
        message = (
            f"{at_bounds} numbers lie at (or just beyond) the bounds; they are learned from as if "
            f"{ACTION_MARGIN:g} of the half range inside"
        )
        problems.append(Problem("warning", "actions", message))
    return problems


def _reward_problems(experience: Experience) -> list[Problem]:
    low, high = np.inf, -np.inf
    for _, block in _blocks(experience, "rewards"):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    if low != high:
        return []
    ended = "" if any(block.any() for _, block in _blocks(experience, "terminations")) else " and nothing terminates"
    advice = "only imitation (bc) has something to learn" if ended else "only when episodes end makes a difference"
    return [Problem("warning", "rewards", f"all {len(experience)} are {low:g}{ended}: {advice}")]


def _episode_problems(experience: Experience) -> list[Problem]:
    episodes = experience.episodes()
    problems = []
    if not episodes.complete.any():
        message = (
            f"no episode ends: {len(experience)} rows follow one another as a single trajectory; give terminations "
            "or truncations (for D4RL files, the horizon) where they are known"
        )
        problems.append(Problem("warning", "truncations", message))
    elif not episodes.complete[-1] and episodes.order is None:
        message = f"the last episode is cut after {episodes.lengths[-1]} steps; its return is not counted"
        problems.append(Problem("warning", "", message))
    short = int((episodes.lengths[episodes.complete] == 1).sum())
    if short:
        message = f"{short} of {int(episodes.complete.sum())} episodes have a single step"
        problems.append(Problem("warning", "", message))
    broken = _broken_rows(experience) if episodes.order is None else 0
    if broken:
        message = (
            f"{broken} rows within episodes are not followed by the observation they lead to: "
            "ends of episodes are not marked, or the rows are not in order"
        )
        problems.append(Problem("warning", "next_observations", message))
    return problems


def _broken_rows(experience: Experience) -> int:
    """How many rows that do not end an episode lead elsewhere than to the next row."""
    broken = 0
    for start, after in _blocks(experience, "next_observations"):
        stop = min(start + len(after), len(experience) - 1)
        count = stop - start
        going_on = ~(experience.read("terminations", start, stop) | experience.read("truncations", start, stop))
        following = experience.read("observations", start + 1, stop + 1)
        differs = np.any((after[:count] != following).reshape(count, -1), axis=1)
        broken += int((differs & going_on).sum())
    return broken


def _blocks(experience: Experience, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """A column's blocks of rows with the row that each begins at."""
    one = experience.read(name, 0, 1)
    rows = max(1, _BLOCK_BYTES // max(one.nbytes, 1))
    for start in range(0, len(experience), rows):
        yield start, experience.read(name, start, start + rows)
