"""What judges that are models could not read: texts cut to fit their context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.judges.group_judges import AgainstOthers
from headstart.judges.preference_model import PreferenceModel
from headstart.judges.reward_model import RewardModel


def cut_note(judge: Any) -> str:
    """What a judge has cut since it was loaded, in words; empty if nothing, or if it is no model here."""
    if isinstance(judge, AgainstOthers):
        judge = judge.judge
    if isinstance(judge, RewardModel):
        cut = judge.encoder.truncations
        return f"{cut}, to fit the judge's context" if cut.prompts or cut.completions else ""
    if isinstance(judge, PreferenceModel) and judge.truncated:
        return (
            f"{judge.truncated} readings of a pair (an order is one) cut to fit the judge's context: the prompt on the"
            " left, then both answers on the right"
        )
    return ""


def cut_pairs(judge: RewardModel | PreferenceModel, pairs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many of some pairs lose a part to the context of the judge that reads them, by what is lost.

    Each is looked at once, however often training reads it; the judge's own counters are left as they were.
    """
    found: dict[str, int] = {}
    for pair in pairs:
        for lost in _lost(judge, pair):
            found[lost] = found.get(lost, 0) + 1
    return found


def _lost(judge: RewardModel | PreferenceModel, pair: Mapping[str, Any]) -> set[str]:
    if isinstance(judge, PreferenceModel):
        before = judge.truncated
        judge.encode(pair["prompt"], pair["chosen"], pair["rejected"])
        cut, judge.truncated = judge.truncated > before, before
        return {"prompt on the left, then both answers on the right"} if cut else set()
    counted, lost = judge.encoder.truncations, set()
    kept = (counted.prompts, counted.completions, counted.rows)
    for side in ("chosen", "rejected"):
        prompts, completions = counted.prompts, counted.completions
        judge.encode(pair["prompt"], pair[side])
        if counted.prompts > prompts:
            lost.add("prompt on the left")
        if counted.completions > completions:
            lost.add(f"{side} on the right")
    counted.prompts, counted.completions, counted.rows = kept
    return lost
