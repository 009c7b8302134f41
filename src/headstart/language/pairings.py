"""Which methods can learn from what a plan makes of judged completions, and which judges it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from headstart.core.errors import UsageError
from headstart.data.row_conversion import Rule
from headstart.data.rows import REQUIRED
from headstart.judges.judge import Judge, PairJudge
from headstart.language.method import LanguageMethod, RowKind
from headstart.language.online_plan import Online

_SIDES = ("chosen_from_comparator", "identical", "chosen_reward", "rejected_reward", "margin")
_ALONE = ("reward", "weight", "advantage", "behavior", "forced")
MADE: Mapping[str, tuple[RowKind, tuple[str, ...]]] = {
    **dict.fromkeys((*get_args(Rule), "rejection"), ("pair", _SIDES)),
    "knockout": ("pair", (*_SIDES, "preference_prob")),
    "best": ("completion", ("reward",)),
    "each": ("completion", _ALONE),
}
"""By pairing: the kind of its rows, and the columns of numbers that they have."""


def fitting(method: LanguageMethod) -> list[str]:
    """The pairings whose rows a method can learn from."""
    return [name for name, (kind, has) in MADE.items() if kind == method.rows and set(method.fields) <= set(has)]


def check_pairing(method: LanguageMethod, plan: Online) -> None:
    """Refuse a pairing whose rows a method cannot learn from.

    Raises:
        UsageError: the pairings that fit are named; where there are none, how rows are made in stages.
    """
    fit = fitting(method)
    if plan.pairing in fit:
        return
    columns = dict.fromkeys((*REQUIRED[method.rows], *method.fields))
    wanted = f"{method.name} learns from rows with {', '.join(columns)}"
    if fit:
        raise UsageError(f"{wanted}, which pairing {plan.pairing} does not make; give pairing {' or '.join(fit)}")
    make = "labels" if method.rows == "label" else "…"
    raise UsageError(
        f"{wanted}, which no pairing makes; make them in stages: `headstart lm sample`, `headstart lm judge`,"
        f" `headstart lm rows --make {make}`, then `headstart lm {method.name} --data`"
    )


def check_judge(judge: Any, plan: Online, recorded: bool) -> None:
    """Refuse a judge that cannot say what a plan asks, and recorded rows that cannot stand beside its own.

    Args:
        judge: of the completions.
        plan: what is made of them.
        recorded: whether recorded rows are learned from besides.

    Raises:
        UsageError: the three do not fit.
    """
    if recorded and plan.pairing == "each":
        raise UsageError("recorded rows have no log-probabilities of who drew them, which pairing each needs")
    if plan.pairing == "knockout" and not isinstance(judge, PairJudge):
        raise UsageError("pairing knockout needs a judge that compares two completions (a pairwise judge)")
    if plan.pairing != "knockout" and isinstance(judge, PairJudge) and not isinstance(judge, Judge):
        raise UsageError(f"a judge that only compares completions needs pairing knockout; given {plan.pairing}")
