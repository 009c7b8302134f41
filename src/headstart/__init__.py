"""Learn decisions from the data you already have, then from the world.

>>> import headstart as hs
>>> method = hs.make_method("iql", expectile=0.8)
>>> run = hs.train(method, data="hopper-medium", world="Hopper-v5", offline_steps=250_000, seeds=4)
>>> actions = run.policy()(observations)

Names are imported when they are first used, so ``import headstart`` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.control.plan import offline, online, warmup
    from headstart.control.policy import Policy, load_policy
    from headstart.control.registry import METHODS, make_method
    from headstart.control.trainer import Settings
    from headstart.control.training import Run, resume, train
    from headstart.core.errors import HeadstartError
    from headstart.data.describe import describe
    from headstart.data.experience import Experience
    from headstart.data.registry import load as load_data
    from headstart.envs.registry import make as make_worlds
    from headstart.report.page import write_page as write_report

__version__ = "0.1.0"

_PLACES = {
    "Experience": "data.experience:Experience",
    "HeadstartError": "core.errors:HeadstartError",
    "METHODS": "control.registry:METHODS",
    "Policy": "control.policy:Policy",
    "Run": "control.training:Run",
    "Settings": "control.trainer:Settings",
    "describe": "data.describe:describe",
    "load_data": "data.registry:load",
    "load_policy": "control.policy:load_policy",
    "make_method": "control.registry:make_method",
    "make_worlds": "envs.registry:make",
    "offline": "control.plan:offline",
    "online": "control.plan:online",
    "resume": "control.training:resume",
    "train": "control.training:train",
    "warmup": "control.plan:warmup",
    "write_report": "report.page:write_page",
}

__all__ = [
    "METHODS",
    "Experience",
    "HeadstartError",
    "Policy",
    "Run",
    "Settings",
    "describe",
    "load_data",
    "load_policy",
    "make_method",
    "make_worlds",
    "offline",
    "online",
    "resume",
    "train",
    "warmup",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(importlib.import_module(f"headstart.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
