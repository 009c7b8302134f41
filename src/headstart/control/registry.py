"""The control methods by name."""

from headstart.core.registry import Registry

METHODS = Registry("method")

_AT = "headstart.control"
METHODS.add("sac", f"{_AT}.sac:SAC", "soft actor-critic: the online workhorse")
METHODS.add("iql", f"{_AT}.iql:IQL", "implicit Q-learning: never queries actions outside the data")
