"""The control methods by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from headstart.core.registry import Registry, unknown

if TYPE_CHECKING:
    from headstart.control.method import Method

METHODS = Registry("method")

_AT = "headstart.control"
METHODS.add("sac", f"{_AT}.sac:SAC", "soft actor-critic: the online workhorse")
METHODS.add("iql", f"{_AT}.iql:IQL", "implicit Q-learning: never queries actions outside the data")
METHODS.add("rlpd", f"{_AT}.rlpd:RLPD", "SAC on half recorded data, with a large ensemble and many updates a step")
METHODS.add("wsrl", f"{_AT}.wsrl:WSRL", "Cal-QL offline, then a warm-up and RLPD online without the data")
METHODS.add("cql", f"{_AT}.cql:CQL", "conservative Q-learning: pushes values of unseen actions down")
METHODS.add("discrete-cql", f"{_AT}.cql:DiscreteCQL", "double DQN that pushes values of unseen choices down")
METHODS.add("cal-ql", f"{_AT}.cal_ql:CalQL", "CQL calibrated by recorded returns, for going online afterwards")
METHODS.add("sac-n", f"{_AT}.sac_n:SACN", "SAC made pessimistic by the least of many critics")
METHODS.add("edac", f"{_AT}.sac_n:EDAC", "SAC-N with critics kept from agreeing, so that few suffice")
METHODS.add("ppo", f"{_AT}.ppo:PPO", "proximal policy optimisation, from fresh rollouts alone")
METHODS.add("ppo-discrete", f"{_AT}.ppo:DiscretePPO", "PPO with the usual settings for discrete actions")
METHODS.add("bc", f"{_AT}.bc:BC", "behavioural cloning: do what the data did")
METHODS.add("filtered-bc", f"{_AT}.bc:FilteredBC", "behavioural cloning of the best episodes (10% BC)")
METHODS.add("td3", f"{_AT}.td3:TD3", "twin delayed deterministic policy gradient, for learning online")
METHODS.add("td3-bc", f"{_AT}.td3_bc:TD3BC", "TD3 whose policy also stays near the data")
METHODS.add("rebrac", f"{_AT}.rebrac:ReBRAC", "TD3+BC with separate penalties, deeper networks and large batches")
METHODS.add("xql", f"{_AT}.xql:XQL", "IQL with a soft maximum (Gumbel regression) in place of the expectile")
METHODS.add("dqn", f"{_AT}.dqn:DQN", "double deep Q-network, for discrete actions")
METHODS.add("qr-dqn", f"{_AT}.qr_dqn:QRDQN", "DQN that learns quantiles of the return")
METHODS.add("spr-ucb", f"{_AT}.spr_ucb:SPRUCB", "categorical DQN that predicts itself, with a bonus for the new")
METHODS.add("rem", f"{_AT}.rem:REM", "DQN on random mixtures of many heads")
METHODS.add("bcq", f"{_AT}.bcq:BCQ", "DQN among the choices that the data makes likely enough")
METHODS.add("crr", f"{_AT}.crr:CRR", "cloning of recorded choices that beat the policy's own, for discrete actions")
METHODS.add("bve", f"{_AT}.behavior_value:BVE", "values of the behaviour in the data (SARSA), acted on greedily")
METHODS.add("mce", f"{_AT}.behavior_value:MCE", "regression on recorded returns, acted on greedily")


def make_method(name: str, **fields: Any) -> Method:
    """A method by name, with some of its fields set.

    Raises:
        UsageError: the method or a field is unknown; the nearest names are offered.
    """
    kind = METHODS.get(name)
    known = [field.name for field in dataclasses.fields(kind)]
    for field in fields:
        if field not in known:
            raise unknown(f"field of {name}", field, known, f"`headstart methods {name}` explains them.")
    return kind(**fields)
