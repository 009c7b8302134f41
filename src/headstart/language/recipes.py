"""How much each method samples, and what it makes of it, unless a plan says otherwise; and named ways of learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headstart.core.registry import unknown
from headstart.language.online import Online

if TYPE_CHECKING:
    from headstart.language.method import LanguageMethod

_REJECTION = Online(
    iterations=1, completions=64, temperatures=(0.7,), top_k=40, pairing="rejection", steps_per_iteration=200
)
# Four passes over 128 completions in steps of 32, and the constants of Chang et al. 2024 and TRL's PPO.
_PPO = Online(
    iterations=50,
    prompts_per_iteration=128,
    completions=1,
    pairing="each",
    advantage="critic",
    steps_per_iteration=16,
    history="current",
    reward_kl=0.05,
)
_FRESH = Online(
    iterations=400,
    prompts_per_iteration=32,
    completions=2,
    pairing="first_two",
    steps_per_iteration=1,
    history="current",
)
_VPO = Online(completions=2, pairing="first_two", calibrate=True)
_SHARPENING = Online(iterations=1, completions=2, pairing="first_two", steps_per_iteration=200)

_REWARDED = Online(pairing="each", history="current")

PLANS: dict[str, Online] = {
    # One completion of the policy against one of the reference (XPO, Alg. 1).
    "xpo": Online(completions=1, comparator="reference", pairing="first_two", ties="coin"),
    # Both from the policy, which is also the anchor of its iteration (INPO, Alg. 1).
    "inpo": Online(completions=2, pairing="first_two", history="current"),
    "vpo": _VPO,
    # 64 candidates of the initial model, 8 kept, 4 pairs (RSO, section 5).
    "sigmoid-norm": _REJECTION,
    "hinge-norm": _REJECTION,
    "slic": _REJECTION,
    # The best of many is imitated (best-of-n; sharpening with the judge loglik).
    "sft": Online(iterations=1, completions=16, pairing="best", steps_per_iteration=200),
    "sharpening": _SHARPENING,
    "rloo": Online(
        iterations=50,
        prompts_per_iteration=64,
        completions=4,
        pairing="each",
        steps_per_iteration=8,
        history="current",
        reward_kl=0.05,
    ),
    "ppo": _PPO,
    # Every completion, with its reward.
    "weighted-bc": _REWARDED,
    "r-lol": _REWARDED,
    "r-gold": _REWARDED,
}
"""Plans by method; the others use ``Online()``: three iterations of the best against the worst of eight."""


def plan_of(method: str) -> Online:
    """The usual plan of a method."""
    return PLANS.get(method, Online())


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A named way of learning from own completions: a method, some of its constants, a plan and a judge.

    Attributes:
        method: name of the method.
        summary: what it is, in one line.
        plan: how much is sampled, and what is made of it.
        fields: constants of the method that are not its defaults.
        judge: who judges unless another judge is given; None where there is no usual one.
    """

    method: str
    summary: str
    plan: Online
    fields: Mapping[str, Any] = field(default_factory=dict)
    judge: str | None = None

    def make(self, **changes: Any) -> LanguageMethod:
        """The method, with some of its constants changed."""
        from headstart.language.registry import make_method

        return make_method(self.method, **{**self.fields, **changes})


RECIPES: dict[str, Recipe] = {
    "online-dpo": Recipe(
        method="dpo",
        summary="DPO on two fresh completions of each prompt at every step",
        plan=_FRESH,
    ),
    "online-ipo": Recipe(
        method="ipo",
        summary="IPO on two fresh completions of each prompt at every step",
        plan=_FRESH,
    ),
    # Dong et al. 2024, section 3.3: half of eight at temperature 1, half at 0.7, all pairs so far.
    "iterative-dpo": Recipe(
        method="dpo",
        summary="three rounds of best against worst of eight, on all pairs so far (RLHF Workflow)",
        plan=Online(temperatures=(1.0, 0.7)),
    ),
    "online-vpo": Recipe(
        method="vpo",
        summary="optimism: completions of the reference lose likelihood",
        plan=_VPO,
        fields={"mode": "online", "calibration": "calibration"},
    ),
    "rso": Recipe(
        method="sigmoid-norm",
        summary="pairs of 8 completions that rejection sampling keeps of 64",
        plan=_REJECTION,
    ),
    # Chang et al. 2024, table 5; a reset for every prompt.
    "dr-po": Recipe(
        method="ppo",
        summary="PPO whose completions go on from prefixes of recorded answers (--reset-column)",
        plan=Online(**{**vars(_PPO), "reset_fraction": 1.0}),
    ),
    "best-of-n": Recipe(
        method="sft",
        summary="imitation of the best of 16 completions by a judge",
        plan=PLANS["sft"],
    ),
    # Huang et al. 2024, appendix A: the likeliest of 50, drawn at temperature 1.
    "sft-sharpening": Recipe(
        method="sft",
        summary="imitation of the likeliest of 50 own completions",
        plan=Online(iterations=1, completions=50, pairing="best", steps_per_iteration=200),
        fields={"normalization": "sum"},
        judge="loglik",
    ),
    # Appendix D; its candidates are drawn before the training, as many for each prompt as it takes.
    "adaptive-sharpening": Recipe(
        method="sft",
        summary="imitation of the likeliest of as many own completions as it takes",
        plan=Online(iterations=1, pairing="best"),
        fields={"normalization": "sum"},
    ),
    "rlhf-sharpening": Recipe(
        method="sharpening",
        summary="regression on own likelihood, on pairs of the initial model",
        plan=_SHARPENING,
        judge="loglik",
    ),
    # Appendix J: one completion of the policy, one of the initial model, whose likelihood is lowered. alpha is
    # beta / (R_max + V_max) of their theory for 20 nats in all.
    "exploratory-sharpening": Recipe(
        method="sharpening",
        summary="the same on all pairs so far of the policy and the initial model, with optimism",
        plan=Online(completions=1, comparator="reference", pairing="first_two"),
        fields={"alpha": 0.005},
        judge="loglik",
    ),
}
"""Ways that are more than a method and its usual plan, by name."""


def find_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        UsageError: there is none of that name; the nearest are offered.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]
