"""What is said of completions that the judge did not tell apart, where their rows are made all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.language.online_plan import Online


def constant_rewards(groups: Sequence[Mapping[str, Any]], plan: Online) -> tuple[str, bool] | None:
    """A line on prompts whose completions all got one reward, in place of an iteration that is silently empty.

    Args:
        groups: prompts with ``rewards``, one for each completion.
        plan: what is made of them; pairings of two leave ties out and say so themselves.

    Returns:
        The line, and whether it is worth interrupting for; None where there is nothing to say.
    """
    if plan.pairing not in ("best", "each"):
        return None
    several = [group["rewards"] for group in groups if len(group["rewards"]) > 1]
    constant = sum(len(set(rewards)) == 1 for rewards in several)
    if constant:
        effect = "the first of them is imitated" if plan.pairing == "best" else "they are no better than each other"
        line = f"{constant} of {len(groups)} prompts have one reward for all their completions: {effect}"
        return line, plan.pairing == "best" or constant == len(groups)
    found = {reward for group in groups for reward in group["rewards"]}
    if len(groups) > 1 and len(found) == 1:
        return f"all {len(groups)} completions have the reward {found.pop():g}: none is better than another", True
    return None
