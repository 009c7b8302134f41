"""Logged text with rewards, from a model and a judge to rows with advantages: the steps of A-LoL before its loss.

The reference answers validation prompts, a judge scores its answers, a value is fitted to them, and each logged row is
worth its reward less that value of its prompt (Baheti et al. 2024, arXiv:2305.14718, section 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headstart.core.encoding import Encoder
from headstart.core.errors import DataError, UsageError
from headstart.judges.judge import Judge, checked_scores, plain_text
from headstart.language.logged_rewards import with_advantages
from headstart.language.prompt_values import PromptValue, ValueTraining, estimate_value
from headstart.language.sampler import Sampler, Sampling

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Valuing:
    """What a logged row is compared with, and which rows are kept."""

    value: Literal["attention", "mean"] = "attention"
    """What a prompt is worth: read off the frozen reference's hidden states by one layer of attention, or the mean
    reward of all validation prompts."""
    keep: Literal["positive", "all"] = "positive"
    """Keep the rows that beat the reference, or all of them."""
    priority: bool = True
    """Draw rows in proportion to their advantage."""
    least_reward: float = 0.0
    """Least reward there can be."""
    largest_reward: float = 1.0
    """Largest reward there can be; the value cannot leave this range."""
    least_rows: int = 50
    """Fewest rows of positive advantage to go on with."""
    value_heads: int = 8
    """Heads of the value's attention."""
    value_epochs: int = 10
    """Passes over the validation prompts; the one with the lowest error on those held out is kept."""
    value_learning_rate: float = 1e-5
    """Of the value; a tiny model needs a hundred times more."""
    value_temperature: float = 0.0
    """Temperature of the reference's answers to the validation prompts; 0 is greedy."""

    def __post_init__(self) -> None:
        if not self.least_reward < self.largest_reward:
            raise UsageError(f"rewards from {self.least_reward} to {self.largest_reward}: the least is to be below")

    def training(self) -> ValueTraining:
        """How the value is fitted."""
        return ValueTraining(heads=self.value_heads, epochs=self.value_epochs, learning_rate=self.value_learning_rate)


@dataclass(frozen=True)
class Valued:
    """Rows with advantages.

    Attributes:
        rows: those kept, with ``advantage`` and, where asked for, ``priority``.
        advantages: of all rows, in their order.
        value: the fitted value; None where the mean reward stands for it.
        mean: mean reward of the reference on the validation prompts.
        overlap: how many validation prompts are also prompts of the rows.
    """

    rows: list[Row]
    advantages: np.ndarray
    value: PromptValue | None
    mean: float
    overlap: int

    def told(self) -> list[str]:
        """What there is to say of it, a line each."""
        positive = int((self.advantages > 0).sum())
        spread = ", ".join(f"{x:.3g}" for x in np.quantile(self.advantages, [0, 0.25, 0.5, 0.75, 1]))
        lines = [
            f"the reference gets {self.mean:.3f} on average on the validation prompts",
            f"{positive} of {len(self.advantages)} rows beat it; {len(self.rows)} are kept",
            f"advantages, from least to greatest by quarters: {spread}",
        ]
        if self.value is not None:
            lines.append(
                f"the value's squared error on held-out prompts: {min(self.value.errors):.4g}"
                f" (of the mean reward: {self.value.error_of_mean:.4g})"
            )
        if self.overlap:
            lines.append(f"warning: {self.overlap} validation prompts are among those of the rows")
        return lines


def answered(
    sampler: Sampler,
    encoder: Encoder,
    prompts: Sequence[Mapping[str, Any]],
    judge: Judge,
    sampling: Sampling,
    seed: int,
) -> list[Row]:
    """One answer of the reference to each prompt with its ``reward``; prompts whose answer the judge would not score
    are left out.
    """
    ids = [encoder.encode_prompt(row["prompt"]) for row in prompts]
    texts = [group[0].text for group in sampler.sample(ids, 1, sampling, seed)]
    columns = {name: [row[name] for row in prompts] for name in prompts[0] if name != "prompt"}
    scores = checked_scores(judge, [row["prompt"] for row in prompts], texts, columns)
    return [
        {"prompt": row["prompt"], "completion": text, "reward": score}
        for row, text, score in zip(prompts, texts, scores, strict=True)
        if score is not None
    ]


def valued(
    model: Any,
    encoder: Encoder,
    rows: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    valuing: Valuing,
    seed: int = 0,
) -> Valued:
    """Logged rows with their advantages over the reference.

    Args:
        model: the reference.
        encoder: of its tokenizer.
        rows: with ``prompt``, ``completion`` and ``reward``.
        validation: with ``prompt`` and the ``reward`` of the reference's own answer (``answered``).
        valuing: how the value is estimated and which rows are kept.
        seed: of the value's fit.

    Raises:
        DataError: no validation prompt, rewards that are missing or outside their range, or too few rows that beat the
            reference.
    """
    if not validation:
        raise DataError("the judge scored none of the reference's answers to the validation prompts")
    limits = (valuing.least_reward, valuing.largest_reward) if valuing.value == "attention" else (-np.inf, np.inf)
    for number, row in enumerate(rows):
        reward = row.get("reward")
        if reward is None or not limits[0] <= reward <= limits[1]:
            raise DataError(
                f"row {row.get('row_id', number)} has reward {reward}; expected one from {limits[0]:g} to"
                f" {limits[1]:g}: rescale the rewards, or give least_reward and largest_reward"
            )
    rewards = [float(row["reward"]) for row in validation]
    mean = float(np.mean(rewards))
    value: PromptValue | None = None
    worth = np.full(len(rows), mean)
    if valuing.value == "attention":
        prompts = [encoder.encode_prompt(row["prompt"]) for row in validation]
        value = estimate_value(model, prompts, rewards, limits, valuing.training(), seed)
        worth = np.array(value([encoder.encode_prompt(row["prompt"]) for row in rows]))
    kept = with_advantages(rows, worth.tolist(), valuing.keep, valuing.priority, valuing.least_rows)
    seen = {plain_text(row["prompt"]) for row in rows}
    overlap = sum(plain_text(row["prompt"]) in seen for row in validation)
    advantages = np.array([float(row["reward"]) for row in rows]) - worth
    return Valued(kept, advantages, value, mean, overlap)


def by_reward(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows whose ``priority`` and ``weight`` are their reward, for what A-LoL is measured against (section 3.1).

    Raises:
        DataError: a reward is missing or below 0, which no row can be drawn with.
    """
    for number, row in enumerate(rows):
        if row.get("reward") is None or not row["reward"] >= 0:
            raise DataError(
                f"row {row.get('row_id', number)} has reward {row.get('reward')}; rows drawn in proportion to their"
                " reward need one of 0 or more (--no-by-reward draws all alike)"
            )
    return [{**row, "priority": float(row["reward"]), "weight": float(row["reward"])} for row in rows]
