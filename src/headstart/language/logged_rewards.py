"""Logged completions with rewards, made ready to learn from: what each is worth beyond what the reference would get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from headstart.core.encoding import Encoder
from headstart.core.errors import DataError, UsageError
from headstart.judges.judge import Judge, checked_scores
from headstart.language.sampler import Sampling
from headstart.language.transformers_sampler import TransformersSampler

LEAST = 50


def reference_rewards(
    model: Any, encoder: Encoder, prompts: Sequence[Mapping[str, Any]], judge: Judge, sampling: Sampling, seed: int = 0
) -> list[float]:
    """What the reference gets: the reward of one completion of its own to each prompt, those without one left out.

    Their mean is the simplest estimate of what a prompt is worth (Baheti et al. 2024, arXiv:2305.14718, sec. 2.2,
    regress it on the prompt).

    Raises:
        DataError: the judge scored none.
    """
    ids = [encoder.encode_prompt(row["prompt"]) for row in prompts]
    samples = [group[0] for group in TransformersSampler(model, encoder).sample(ids, 1, sampling, seed)]
    columns = {name: [row[name] for row in prompts] for name in prompts[0] if name != "prompt"}
    texts = [sample.text for sample in samples]
    scores = checked_scores(judge, [row["prompt"] for row in prompts], texts, columns)
    found = [score for score in scores if score is not None]
    if not found:
        raise DataError(f"the judge scored none of the reference's {len(texts)} completions: {scores.reasons}")
    return found


def with_advantages(
    rows: Iterable[Mapping[str, Any]],
    value: float | Sequence[float],
    keep: Literal["positive", "all"] = "positive",
    priority: bool = True,
    least: int = LEAST,
) -> list[dict[str, Any]]:
    """Rows with their ``advantage``, reward less value, for the method ``alol`` (arXiv:2305.14718, sec. 2.2).

    Args:
        rows: with ``prompt``, ``completion`` and ``reward``.
        value: expected reward of the reference, of all prompts or of each row's.
        keep: "positive" drops the rows that are no better than the reference; "all" keeps them.
        priority: also say how often a row is to be drawn: in proportion to its advantage, if that is positive.
        least: fewest rows of positive advantage to go on with.

    Returns:
        The rows kept, with ``advantage`` and, where asked for, ``priority``.

    Raises:
        DataError: a reward is missing or not finite, or too few advantages are positive.
        UsageError: there are not as many values as rows.
    """
    rows = [dict(row) for row in rows]
    for number, row in enumerate(rows):
        if row.get("reward") is None or not np.isfinite(row["reward"]):
            raise DataError(f"row {row.get('row_id', number)} has reward {row.get('reward')}; expected a finite number")
    if not isinstance(value, int | float) and len(value) != len(rows):
        raise UsageError(f"{len(value)} values for {len(rows)} rows: give one for each, or a single one")
    advantages = np.array([float(row["reward"]) for row in rows]) - np.asarray(value, np.float64)
    positive = int((advantages > 0).sum())
    if positive < max(1, least):
        spread = ", ".join(f"{x:.3g}" for x in np.quantile(advantages, [0, 0.25, 0.5, 0.75, 1])) if rows else "none"
        raise DataError(
            f"{positive} of {len(rows)} rows have a positive advantage, and {max(1, least)} are needed: nothing (or too"
            f" little) in the log is better than what the reference does; advantages from least to greatest: {spread}"
        )
    made = [row | {"advantage": float(a)} for row, a in zip(rows, advantages, strict=True)]
    if priority:
        made = [row | {"priority": max(row["advantage"], 0.0)} for row in made]
    return [row for row in made if row["advantage"] > 0] if keep == "positive" else made
