"""Rows of prompts, completions and preferences: read, brought to one form, and checked before anything is spent.

The columns are those of TRL's datasets, in plain text or chat messages, so its datasets load unchanged:

=============  ================================  ==========================================================
kind           columns                           may also have
=============  ================================  ==========================================================
``prompt``     prompt                            whatever a judge wants
``completion`` prompt, completion                reward, behavior_logp, weight, completion_ids, truncated
``label``      prompt, completion, label         weight
``pair``       prompt, chosen, rejected          chosen_reward, rejected_reward, margin, preference_prob, …
``scored``     prompt, completions, rewards      sources, behavior_logps, truncated, completion_ids
=============  ================================  ==========================================================

Other columns are kept as they are. Nothing is shortened here; rows that teach nothing are left out and listed.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

from headstart.core.errors import DataError, UsageError

Kind = Literal["prompt", "completion", "label", "pair", "scored"]

REQUIRED: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt",),
    "completion": ("prompt", "completion"),
    "label": ("prompt", "completion", "label"),
    "pair": ("prompt", "chosen", "rejected"),
    "scored": ("prompt", "completions", "rewards"),
}
"""Columns that each kind of row must have."""

ALIASES = {"responses": "completions", "score_chosen": "chosen_reward", "score_rejected": "rejected_reward"}
"""Columns that other projects name differently."""

NUMBERS = ("reward", "behavior_logp", "weight", "margin", "chosen_reward", "rejected_reward", "preference_prob")
"""Columns of one number a row, which must be finite where they are given."""

PER_COMPLETION = ("rewards", "sources", "behavior_logps", "truncated", "completion_ids")
"""Columns of a scored row with one entry for each of its completions."""


@dataclass(frozen=True)
class Checked:
    """Rows that can be learned from, and what became of the others.

    Attributes:
        dataset: the rows, with a ``row_id`` each.
        dropped: ``row_id`` of the rows left out, by reason.
        noted: ``row_id`` of rows that were kept although they may teach nothing, by reason.
    """

    dataset: Dataset
    dropped: dict[str, list[Any]] = field(default_factory=dict)
    noted: dict[str, list[Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{len(self.dataset)} rows"]
        for word, reasons in (("left out", self.dropped), ("kept", self.noted)):
            for reason, rows in reasons.items():
                shown = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
                lines.append(f"{len(rows)} {word}: {reason} (row_id {shown})")
        return "; ".join(lines)


def load_rows(name_or_path: str | Path, split: str | None = None) -> Dataset:
    """Read rows from a file, a saved dataset or a hub.

    Args:
        name_or_path: a .json, .jsonl, .parquet or .csv file; a folder that ``Dataset.save_to_disk`` wrote, or one of
            such files; or a dataset's name on the Hugging Face hub.
        split: which split of a dataset that has several; ``train`` by default.

    Raises:
        UsageError: there is no such file, dataset or split.
        DataError: the file is malformed; the first bad line is named.
    """
    path = Path(name_or_path)
    if path.is_file():
        return _read_file(path)
    if (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
        return _one_split(load_from_disk(str(path)), name_or_path, split)
    if path.exists() and not any(file.suffix in _READERS for file in path.rglob("*")):
        raise UsageError(f"{path} holds no saved dataset and no {', '.join(_READERS)} file")
    if not path.exists() and (path.suffix in _READERS or str(name_or_path).startswith((".", "/", "~"))):
        raise UsageError(f"there is no file {name_or_path}")
    try:
        return _one_split(load_dataset(str(name_or_path)), name_or_path, split)
    except UsageError:
        raise
    except Exception as error:
        where = "the folder cannot be read" if path.exists() else "it is no file here, and no hub dataset was found"
        raise UsageError(f"{name_or_path}: {where} ({type(error).__name__}: {error})") from error


def check_rows(dataset: Dataset, kind: Kind, bad_rows: Literal["drop", "refuse"] = "drop") -> Checked:
    """Bring rows to one form and check each of them.

    Columns known by other names are renamed, pairs of whole texts are split into a common prompt and two completions,
    messages or text alone become a prompt and a completion, and rows without a ``row_id`` are numbered.

    Args:
        dataset: rows of the ``kind``, in plain text or chat messages.
        kind: what the rows should be.
        bad_rows: ``drop`` leaves out rows that cannot be learned from and lists them by reason; ``refuse`` raises at
            the first.

    Raises:
        DataError: a column is missing, a value is of the wrong type, no row is left, or a row is bad and refused.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"unknown kind of rows {kind!r}; known: {', '.join(get_args(Kind))}")
    dataset = _standard_columns(dataset, kind)
    if "row_id" not in dataset.column_names:
        dataset = _with_column(dataset, "row_id", list(range(len(dataset))))
    if len(dataset) == 0:
        raise DataError("there are no rows")
    kept: list[int] = []
    dropped: dict[str, list[Any]] = {}
    noted: dict[str, list[Any]] = {}
    for position, row in enumerate(_each(dataset)):
        try:
            problem = _problem(row, kind)
        except DataError as error:
            raise DataError(f"row {position} (row_id {row['row_id']}): {error}") from None
        if problem is None:
            kept.append(position)
            if kind == "scored" and len(row["rewards"]) > 1 and len(set(row["rewards"])) == 1:
                noted.setdefault("all rewards of the group are equal", []).append(row["row_id"])
        elif bad_rows == "refuse":
            raise DataError(f"row {position} (row_id {row['row_id']}): {problem}; mend or remove it")
        else:
            dropped.setdefault(problem, []).append(row["row_id"])
    checked = Checked(dataset if not dropped else dataset.select(kept), dropped, noted)
    if not kept:
        raise DataError(f"no row of {len(dataset)} can be learned from: {checked}")
    return checked


def split_implicit_prompt(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    """Prompt, chosen and rejected completion of two whole texts or conversations that begin alike.

    The prompt is the longest common start: whole messages; or whole words, the space before the first word that
    differs belonging to the completions. It is empty where the two differ from the start.
    """
    common = 0
    for left, right in zip(chosen, rejected):
        if left != right:
            break
        common += 1
    if isinstance(chosen, str) and common < min(len(chosen), len(rejected)):
        cut = common
        while cut > 0 and not chosen[cut - 1].isspace():  # back to the start of the word
            cut -= 1
        if cut > 0:
            common = cut - 1 if chosen[cut - 1] == " " else cut
    return chosen[:common], chosen[common:], rejected[common:]


def _read_file(path: Path) -> Dataset:
    if path.suffix not in _READERS:
        raise UsageError(f"{path} ends in {path.suffix or 'no suffix'}; rows are read from {', '.join(_READERS)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; at least one row was expected")
    try:
        return _READERS[path.suffix](str(path))
    except Exception as error:
        line = _malformed_line(path) if path.suffix == ".jsonl" else ""
        raise DataError(f"{path} cannot be read as rows: {line or error.__cause__ or error}") from error


_READERS: dict[str, Any] = {
    ".json": Dataset.from_json,
    ".jsonl": Dataset.from_json,
    ".parquet": Dataset.from_parquet,
    ".csv": Dataset.from_csv,
}


def _malformed_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return f"line {number} is not an object of columns"
            except json.JSONDecodeError as error:
                return f"line {number} is not JSON ({error.msg})"
    return ""


def _one_split(found: Any, name: str | Path, split: str | None) -> Dataset:
    if not isinstance(found, DatasetDict):
        return found
    wanted = split or ("train" if "train" in found else next(iter(found)) if len(found) == 1 else None)
    if wanted not in found:
        raise UsageError(f"{name} has the splits {', '.join(map(str, found))}; choose one of them, given {split!r}")
    return found[wanted]


def _each(dataset: Iterable[Any]) -> Iterator[dict[str, Any]]:
    yield from map(dict, dataset)


def _with_column(dataset: Any, name: str, values: Sequence[Any]) -> Dataset:
    return dataset.add_column(name, values)


def _standard_columns(dataset: Dataset, kind: str) -> Dataset:
    names = {old: new for old, new in ALIASES.items() if old in dataset.column_names}
    dataset = dataset.rename_columns({old: new for old, new in names.items() if new not in dataset.column_names})
    columns = dataset.column_names
    if kind == "pair" and "prompt" not in columns and {"chosen", "rejected"} <= set(columns):
        dataset = dataset.map(_with_implicit_prompt)
    if kind in ("completion", "prompt") and "prompt" not in columns and "messages" in columns:
        dataset = dataset.map(_last_turn, remove_columns=["messages"])
    elif kind == "completion" and "prompt" not in columns and "text" in columns:
        dataset = dataset.rename_column("text", "completion")
        dataset = _with_column(dataset, "prompt", [""] * len(dataset))
    _require_columns(dataset.column_names, kind)
    return dataset


def _with_implicit_prompt(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["chosen"] is None or row["rejected"] is None:
        return {"prompt": None, "chosen": row["chosen"], "rejected": row["rejected"]}
    prompt, chosen, rejected = split_implicit_prompt(row["chosen"], row["rejected"])
    return {"prompt": prompt or None, "chosen": chosen, "rejected": rejected}


def _last_turn(row: Mapping[str, Any]) -> dict[str, Any]:
    messages = row["messages"] or []
    answered = bool(messages) and messages[-1].get("role") == "assistant"
    cut = len(messages) - 1 if answered else len(messages)
    return {"prompt": messages[:cut], "completion": messages[cut:]}


def _require_columns(columns: Sequence[str], kind: str) -> None:
    for wanted in REQUIRED[kind]:
        if wanted in columns:
            continue
        message = f"rows of kind {kind!r} need a column {wanted!r}; there are {', '.join(map(repr, columns))}"
        near = difflib.get_close_matches(wanted, columns, n=2, cutoff=0.6)
        others = [other for other in reversed(REQUIRED) if set(REQUIRED[other]) <= set(columns)]
        if near:
            message += f"; if {' or '.join(map(repr, near))} is meant, rename it"
        elif "labels" in columns and "completions" in columns:
            message += "; these rows label the steps of one answer, which is another format"
        elif others:
            message += f"; they are rows of kind {others[0]!r} (headstart.data.row_conversion turns some into others)"
        raise DataError(message)


def _problem(row: Mapping[str, Any], kind: str) -> str | None:
    """Why a row cannot be learned from; raises where it is malformed."""
    if row["prompt"] is None:
        return "no prompt, or no start that both sides share"
    conversational = _is_conversation(row["prompt"], "prompt")
    for name in NUMBERS:
        if row.get(name) is not None and not _finite(row[name], name):
            return f"{name} is not a finite number"
    if row.get("preference_prob") is not None and not 0 <= row["preference_prob"] <= 1:
        return "preference_prob is outside [0, 1]"
    if kind == "pair":
        return _side(row, "chosen", conversational) or _side(row, "rejected", conversational) or _same_sides(row)
    if kind in ("completion", "label"):
        if kind == "label" and row["label"] is None:
            return "label is missing"
        if kind == "label" and row["label"] not in (0, 1):
            raise DataError(f"label is {row['label']!r}, expected true or false")
        return _side(row, "completion", conversational)
    return _group_problem(row, conversational) if kind == "scored" else None


def _side(row: Mapping[str, Any], name: str, conversational: bool) -> str | None:
    value = row[name]
    if value is None:
        return f"{name} is missing"
    if _is_conversation(value, name) and not conversational:
        raise DataError(f"{name} is chat messages and the prompt plain text; give both in one form")
    ids = row.get("completion_ids" if name == "completion" else f"{name}_ids")
    return f"{name} is empty" if _empty(value) and not ids else None


def _same_sides(row: Mapping[str, Any]) -> str | None:
    same = row["chosen"] == row["rejected"] and row.get("chosen_ids") == row.get("rejected_ids")
    return "chosen equals rejected" if same else None


def _group_problem(row: Mapping[str, Any], conversational: bool) -> str | None:
    completions, rewards = row["completions"], row["rewards"]
    if not completions or rewards is None:
        return "no completions or no rewards"
    for name in PER_COMPLETION:
        values = row.get(name)
        if values is not None and len(values) != len(completions):
            raise DataError(f"{name} has {len(values)} entries for {len(completions)} completions")
    for completion in completions:
        if completion is None:
            return "a completion is missing"
        if _is_conversation(completion, "completions") and not conversational:
            raise DataError("completions are chat messages and the prompt plain text; give both in one form")
    if not all(reward is not None and _finite(reward, "rewards") for reward in rewards):
        return "a reward is not a finite number"
    return None


def _is_conversation(value: Any, name: str) -> bool:
    if isinstance(value, str):
        return False
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise DataError(f"{name} is {_short(value)}, expected text or a list of messages")
    for message in value:
        if not isinstance(message.get("role"), str) or "content" not in message:
            raise DataError(f"{name} has the message {_short(message)}, expected one with role and content")
    return True


def _empty(value: Any) -> bool:
    return not value if isinstance(value, str) else not any(message.get("content") for message in value)


def _finite(value: Any, name: str) -> bool:
    if not isinstance(value, int | float):
        raise DataError(f"{name} is {_short(value)}, expected a number")
    return math.isfinite(value)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
