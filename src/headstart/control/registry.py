"""The control methods by name."""

from headstart.core.registry import Registry

METHODS = Registry("method")

_AT = "headstart.control"
METHODS.add("sac", f"{_AT}.sac:SAC", "soft actor-critic: the online workhorse")
METHODS.add("iql", f"{_AT}.iql:IQL", "implicit Q-learning: never queries actions outside the data")
METHODS.add("rlpd", f"{_AT}.rlpd:RLPD", "SAC on half recorded data, with a large ensemble and many updates a step")
METHODS.add("wsrl", f"{_AT}.wsrl:WSRL", "Cal-QL offline, then a warm-up and RLPD online without the data")
METHODS.add("cql", f"{_AT}.cql:CQL", "conservative Q-learning: pushes values of unseen actions down")
METHODS.add("cal-ql", f"{_AT}.cal_ql:CalQL", "CQL calibrated by recorded returns, for going online afterwards")
METHODS.add("sac-n", f"{_AT}.sac_n:SACN", "SAC made pessimistic by the least of many critics")
METHODS.add("edac", f"{_AT}.sac_n:EDAC", "SAC-N with critics kept from agreeing, so that few suffice")
METHODS.add("ppo", f"{_AT}.ppo:PPO", "proximal policy optimisation, from fresh rollouts alone")
METHODS.add("ppo-discrete", f"{_AT}.ppo:DiscretePPO", "PPO with the usual settings for discrete actions")
