"""A score for each completion from a judge that only compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.evaluate.tournament import fair_preferences
from headstart.judges.judge import Columns, PairJudge, column


@dataclass(frozen=True)
class Pointwise:
    """The log-odds that a completion is preferred to a fixed other one to the same prompt, such as a random sample of
    the reference policy (RSO, Liu et al. 2024, Section 3.2). Both orders are averaged.

    Attributes:
        judge: compares.
        column: of the completions that are compared with.
        least: probabilities are kept this far from 0 and 1, so that scores are finite.
    """

    judge: PairJudge
    column: str = "baseline"
    least: float = 1e-6

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """The log-odds for each completion; not-a-number where the judge gave no answer."""
        baselines = column(columns, self.column)
        preferred = np.asarray(fair_preferences(self.judge, prompts, completions, baselines, columns), np.float64)
        preferred = np.clip(preferred, self.least, 1 - self.least)
        return (np.log(preferred) - np.log1p(-preferred)).tolist()
