"""The language methods by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from headstart.core.errors import UsageError
from headstart.core.registry import Registry, unknown

if TYPE_CHECKING:
    from headstart.language.method import LanguageMethod

METHODS = Registry("language method")

_AT = "headstart.language"
METHODS.add("sft", f"{_AT}.sft:SFT", "supervised fine-tuning on completions")
METHODS.add("weighted-bc", f"{_AT}.sft:WeightedBC", "supervised fine-tuning with a weight for each row")
METHODS.add("bo2", f"{_AT}.sft:BestOfTwo", "supervised fine-tuning on the preferred answer of each pair")
METHODS.add("dpo", f"{_AT}.dpo:DPO", "direct preference optimisation; conservative or robust with label_smoothing")
METHODS.add("ln-dpo", f"{_AT}.dpo:LengthNormalizedDPO", "DPO on log-ratios averaged over tokens")
METHODS.add("ipo", f"{_AT}.ipo:IPO", "regression of the pairs' gap on a fixed target")
METHODS.add("slic", f"{_AT}.rso:SLiC", "a hinge on log-probabilities, without reference")
METHODS.add("hinge-norm", f"{_AT}.rso:HingeNorm", "RSO's hinge on log-ratios")
METHODS.add("sigmoid-norm", f"{_AT}.rso:SigmoidNorm", "RSO's sigmoid loss on log-ratios")
METHODS.add("kto", f"{_AT}.kto:KTO", "learns from single completions with thumbs up or down")
METHODS.add("orpo", f"{_AT}.orpo:ORPO", "fine-tuning and odds ratio in one stage, without reference")
METHODS.add("simpo", f"{_AT}.simpo:SimPO", "average log-probabilities with a margin, without reference")
METHODS.add("alol", f"{_AT}.alol:ALoL", "logged text with rewards: advantage-weighted, ratio capped, four variants")
METHODS.add("r-lol", f"{_AT}.alol:RLoL", "A-LoL with rewards in place of advantages")
METHODS.add("r-gold", f"{_AT}.alol:RGOLD", "reward-weighted cross-entropy that counts likely tokens for more")
METHODS.add("inpo", f"{_AT}.inpo:INPO", "mirror descent towards the Nash policy of any preference")
METHODS.add("xpo", f"{_AT}.xpo:XPO", "online DPO with optimism against the comparator's completions")
METHODS.add("vpo", f"{_AT}.vpo:VPO", "DPO with a value term: optimism online, pessimism offline")
METHODS.add("hypo", f"{_AT}.hypo:HyPO", "DPO on recorded pairs with a KL penalty on own completions")
METHODS.add("sharpening", f"{_AT}.sharpening:Sharpening", "regression on the model's own judgement of its answers")
METHODS.add("ppo", f"{_AT}.policy_gradient:PPO", "proximal policy optimisation, with a critic unless told otherwise")
METHODS.add("rloo", f"{_AT}.policy_gradient:REINFORCE", "REINFORCE with the other samples of a prompt as baseline")


def make_method(name: str, **fields: Any) -> LanguageMethod:
    """A method by name, with some of its fields set.

    Raises:
        UsageError: the method or a field is unknown (the nearest names are offered), or a field without default is
            missing.
    """
    kind = METHODS.get(name)
    known = dataclasses.fields(kind)
    for field in fields:
        if field not in {one.name for one in known}:
            raise unknown(f"field of {name}", field, [one.name for one in known])
    unset = [one.name for one in known if one.default is dataclasses.MISSING and one.name not in fields]
    if unset:
        raise UsageError(f"{name} needs {', '.join(unset)}: {'they have' if len(unset) > 1 else 'it has'} no default")
    return kind(**fields)
