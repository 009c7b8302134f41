"""Where good completions lie under a model, which decides how a preference method should get its data.

Where the best completions are likely ones already, recorded pairs or plain imitation do; where they are in the tail, it
takes fresh samples and a loss that pushes bad ones down (Tajwar et al. 2024, arXiv:2404.14367).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from headstart.core.errors import DataError

INSIDE, TAIL = 0.5, 0.25
"""Median places of the best completion from which it counts as likely, and below which as unlikely."""


@dataclass(frozen=True)
class Diagnosis:
    """Where the best of a model's completions lie among all it writes to the same prompt, by likelihood.

    Attributes:
        prompts: how many told something: those whose rewards are not all equal.
        place: median over prompts of the share of completions that are less likely than the best-rewarded ones; 0 is
            the end of the tail, 1 the mode, 0.5 what chance gives.
        correlation: mean over prompts of the rank correlation of reward and log-probability.
        gain: mean over prompts of the best reward less the mean reward: what there is to learn from such samples.
        advice: what to try.
    """

    prompts: int
    place: float
    correlation: float
    gain: float
    advice: str


def diagnose(rows: Sequence[Mapping[str, Any]]) -> Diagnosis:
    """Read off where the reward lies under a model.

    Args:
        rows: of each prompt ``completions`` that the model drew at temperature 1, with ``rewards`` and
            ``model_log_probabilities`` of their tokens; cut ones (``truncated``) do not count.

    Raises:
        DataError: a column is missing, or no prompt has completions with different rewards.
    """
    places, correlations, gains = [], [], []
    for number, row in enumerate(rows):
        missing = [name for name in ("rewards", "model_log_probabilities") if row.get(name) is None]
        if missing:
            raise DataError(
                f"row {row.get('row_id', number)} has no {' and no '.join(missing)}: draw with `headstart lm sample -n"
                " 8` and judge with `headstart lm judge`"
            )
        cut = row.get("truncated") or [False] * len(row["rewards"])
        told = [i for i, (reward, left) in enumerate(zip(row["rewards"], cut)) if not left and reward is not None]
        rewards = np.array([row["rewards"][i] for i in told], np.float64)
        if len(rewards) < 2 or np.ptp(rewards) == 0:
            continue
        likelihoods = np.array([sum(row["model_log_probabilities"][i]) for i in told], np.float64)
        ranks = (rankdata(likelihoods) - 1) / (len(told) - 1)
        places.append(ranks[rewards == rewards.max()].mean())
        spread = np.ptp(likelihoods) > 0
        correlations.append(np.corrcoef(rankdata(rewards), rankdata(likelihoods))[0, 1] if spread else 0.0)
        gains.append(rewards.max() - rewards.mean())
    if not places:
        raise DataError("no prompt has completions with different rewards: draw more of each, or use a finer judge")
    place = float(np.median(places))
    return Diagnosis(len(places), place, float(np.mean(correlations)), float(np.mean(gains)), _advice(place))


def _advice(place: float) -> str:
    if place >= INSIDE:
        return (
            "the best completions are likely ones: dpo on recorded pairs, or imitation of the best (best-of-n), should"
            " do; fresh samples add little"
        )
    if place < TAIL:
        return (
            "the best completions are in the tail: sample afresh and push bad ones down (online-dpo, online-ipo,"
            " iterative-dpo, rloo); imitation and recorded pairs will be slow"
        )
    return (
        "the best completions are neither likely nor rare: sample afresh from time to time (iterative-dpo); several"
        " steps on the same samples do little harm with a clipped or regularised loss (ppo, online-ipo)"
    )
