"""``headstart finite fit|plan-online``: what recorded data are good for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass
class FitOptions:
    """Learn a policy from recorded transitions alone, pessimistically (VI-LCB).

    Prints each state's action and a lower estimate of its value.
    """

    data: tyro.conf.Positional[Path]
    """CSV or Parquet with the columns observation, action, reward (in [0, 1]), next_observation and possibly
    termination."""
    discount: float = 0.99
    """In [0, 1)."""
    states: int | None = None
    """How many there are; as many as occur by default."""
    actions: int | None = None
    """How many there are; as many as occur by default."""
    width: Literal["hoeffding", "bernstein"] = "hoeffding"
    """Form of the confidence width."""
    penalty_scale: float = 0.1
    """Factor on it; 0 trusts the data as they are."""
    out: Path | None = None
    """Where to write policy and lower values, as .npz."""
    json: bool = False
    """Print JSON."""


def fit(arguments: Sequence[str]) -> int:
    """Run ``headstart finite fit``."""
    options = tyro.cli(FitOptions, args=list(arguments), prog="headstart finite fit")
    from headstart.finite.mdp import write_arrays
    from headstart.finite.recorded_tables import read_transitions
    from headstart.finite.vi_lcb import VILCB

    learner = VILCB(options.discount, options.penalty_scale, options.width)
    data = read_transitions(options.data, options.states, options.actions)
    plan = learner.fit(data)
    if options.out:
        write_arrays(options.out, {"policy": plan.policy, "lower_value": plan.lower_value})
    visits = data.counts().visits
    rows = [
        {
            "state": state,
            "action": int(plan.policy[state].argmax()) if visits[state].any() else None,
            "at least worth": float(plan.lower_value[state]),
            "times seen": int(visits[state].sum()),
        }
        for state in range(data.spec[0])
    ]
    states, actions = data.spec
    facts = {
        "transitions": len(data),
        "states": states,
        "actions": actions,
        "share of states seen": plan.coverage.item(),
    }
    if options.json:
        print(json.dumps(facts | {"plan": rows}, indent=2))
        return 0
    from headstart.cli.papers import format_table

    print("\n".join(f"{name}: {value:g}" for name, value in facts.items()))
    print("\n" + format_table(rows[:30]))
    return 0


@dataclass
class PlanOnlineOptions:
    """How many more episodes are needed to certify a policy, and at which steps the recorded ones leave holes.

    The world is a model of the real one, known or supposed. Policies are told apart as FTPedel does.
    """

    world: tyro.conf.Positional[str]
    """A name, a name with options, or a path to .npz."""
    data: Path | None = None
    """Recorded episodes: CSV or Parquet with the columns episode, step, observation, action, reward, next_observation.
    Without them, what starting from nothing takes."""
    epsilon: float = 0.1
    """How much worse than the best the certified policy may be, in reward of an episode."""
    beta: float = 4.0
    """Squared width of confidence, as FTPedel's."""
    policies: Path | None = None
    """The policies in question, .npy with probabilities [policies, horizon, states, actions]; by default the best one
    and random deterministic ones."""
    sample: int = 100
    """How many random ones."""
    seed: int = 0
    """Of those."""
    json: bool = False
    """Print JSON."""


def plan_online(arguments: Sequence[str]) -> int:
    """Run ``headstart finite plan-online``."""
    options = tyro.cli(PlanOnlineOptions, args=list(arguments), prog="headstart finite plan-online")
    import numpy as np

    from headstart.core.errors import DataError, UsageError
    from headstart.finite.episodes import count
    from headstart.finite.experiment_design import min_online_episodes
    from headstart.finite.mdp import FiniteMDP
    from headstart.finite.planning import backward_induction
    from headstart.finite.recorded_tables import read_episodes
    from headstart.finite.registry import make_world

    world = make_world(options.world)
    if not isinstance(world, FiniteMDP):
        raise UsageError(f"{options.world} is discounted; episodes need a horizon")
    shape = (world.horizon, world.states, world.actions)
    if options.policies is not None:
        try:
            policies = np.load(options.policies, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{options.policies} cannot be read as an array (.npy): {error}") from error
    else:
        generator = np.random.default_rng(options.seed)
        drawn = np.eye(world.actions)[generator.integers(world.actions, size=(options.sample, *shape[:2]))]
        policies = np.concatenate([np.asarray(backward_induction(world).policy)[None], drawn])
    visits, recorded = np.zeros(shape), 0
    if options.data is not None:
        data = read_episodes(options.data, world.spec)
        visits, recorded = count(data, world.spec).visits, len(data.actions)
    need = min_online_episodes(world, policies, visits, options.epsilon, options.beta)
    by_step = [round(float(episodes), 1) for episodes in need.by_step]
    if options.json:
        facts = {"recorded": recorded, "policies": len(policies), "episodes": need.episodes, "by step": by_step}
        print(json.dumps(facts, indent=2))
        return 0
    print(f"{recorded:,} episodes recorded, {len(policies)} policies in question")
    print(f"episodes still needed for a policy certified to {options.epsilon:g}: {need.episodes:,.0f}")
    print("for what is unknown at each step:", ", ".join(f"{episodes:,.0f}" for episodes in by_step))
    return 0
