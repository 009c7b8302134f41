"""How much each method samples, and what it makes of it, unless a plan says otherwise."""

from __future__ import annotations

from headstart.language.online import Online

_REJECTION = Online(
    iterations=1, completions=64, temperatures=(0.7,), top_k=40, pairing="rejection", steps_per_iteration=200
)

PLANS: dict[str, Online] = {
    # One completion of the policy against one of the reference (XPO, Alg. 1).
    "xpo": Online(completions=1, comparator="reference", pairing="first_two"),
    # Both from the policy, which is also the anchor of its iteration (INPO, Alg. 1).
    "inpo": Online(completions=2, pairing="first_two", history="current"),
    "vpo": Online(completions=2, pairing="first_two", calibrate=True),
    # 64 candidates of the initial model, 8 kept, 4 pairs (RSO, section 5).
    "sigmoid-norm": _REJECTION,
    "hinge-norm": _REJECTION,
    "slic": _REJECTION,
    # The best of many is imitated (best-of-n; sharpening with the judge loglik).
    "sft": Online(iterations=1, completions=16, pairing="best", steps_per_iteration=200),
    "sharpening": Online(iterations=1, completions=2, pairing="first_two", steps_per_iteration=200),
    "rloo": Online(
        iterations=50,
        prompts_per_iteration=64,
        completions=4,
        pairing="each",
        steps_per_iteration=8,
        history="current",
        reward_kl=0.05,
    ),
    "ppo": Online(
        iterations=50,
        prompts_per_iteration=64,
        completions=4,
        pairing="each",
        steps_per_iteration=16,
        history="current",
        reward_kl=0.05,
    ),
}
"""Plans by method; the others use ``Online()``: three iterations of the best against the worst of eight."""


def plan_of(method: str) -> Online:
    """The usual plan of a method."""
    return PLANS.get(method, Online())
