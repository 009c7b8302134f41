"""``headstart finite evaluate``: what a policy of the user's own is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro


@dataclass
class EvaluateOptions:
    """Value a policy exactly, and say how well recorded or other data would cover it."""

    world: tyro.conf.Positional[str]
    """A name, a name with options, or a path to .npz."""
    policy: tyro.conf.Positional[Path]
    """.npy with probabilities [horizon, states, actions] ([states, actions] in a discounted world), or an .npz with
    the array policy, such as `headstart finite solve --out` writes."""
    data: Path | None = None
    """Also say how well recorded episodes cover it: CSV or Parquet with the columns episode, step, observation, action,
    reward, next_observation."""
    json: bool = False
    """Print JSON."""


def evaluate(arguments: Sequence[str]) -> int:
    """Run ``headstart finite evaluate``."""
    options = tyro.cli(EvaluateOptions, args=list(arguments), prog="headstart finite evaluate")
    from headstart.core.errors import UsageError
    from headstart.finite import policies
    from headstart.finite.coverage import concentrability
    from headstart.finite.episodes import count
    from headstart.finite.mdp import FiniteMDP
    from headstart.finite.recorded_tables import read_episodes
    from headstart.finite.registry import make_world

    world = make_world(options.world)
    policy = policies.read_policy(options.policy, world)
    report = policies.evaluate(world, policy)
    facts: dict[str, Any] = {"value": report.value, "optimal value": report.optimal}
    facts["suboptimality"] = report.optimal - report.value
    if options.data is not None:
        if not isinstance(world, FiniteMDP):
            raise UsageError(f"{options.world} is discounted; --data are episodes, which need a horizon")
        data = read_episodes(options.data, world.spec)
        facts["recorded episodes"] = len(data.actions)
        facts["concentrability"] = concentrability(world, policy, count(data, world.spec).visits / len(data.actions))
    if options.json:
        infinite = {name: None if value == float("inf") else value for name, value in facts.items()}
        print(json.dumps({"world": options.world} | infinite, indent=2))
        return 0
    print("\n".join(f"{name}: {value:.6g}" for name, value in facts.items()))
    if facts.get("concentrability") == float("inf"):
        print("the policy goes where the recorded episodes never went")
    return 0
