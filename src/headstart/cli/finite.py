"""``headstart finite solve|evaluate|simulate|fit|plan-online|worlds|learners``."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

USAGE = """usage: headstart finite solve|evaluate|simulate|fit|plan-online|worlds|learners [options]

  solve WORLD        the optimal policy and its value
  evaluate WORLD POLICY  what a policy of your own is worth
  simulate LEARNER   let a learner play a world with many seeds, and measure its regret exactly
  fit DATA           a policy from recorded transitions alone, pessimistically
  plan-online WORLD  how many more episodes certify a policy, given recorded ones
  worlds [NAME]      the named worlds, or one's options
  learners [NAME]    the learners, or one's fields

A WORLD is a name (river-swim), a name with options (river-swim:states=10,horizon=40), or a path to .npz with the arrays
transition [states, actions, next] and reward [states, actions] (a leading axis of steps if they change), and horizon
or discount. For example:

  headstart finite solve river-swim
  headstart finite simulate ucbvi --world random:states=8 --episodes 2000 --seeds 50 --out curves.json
"""


def finite(arguments: Sequence[str]) -> int:
    """Run ``headstart finite``."""
    commands = {
        "solve": _solve,
        "evaluate": _evaluate,
        "simulate": _simulate,
        "fit": _fit,
        "plan-online": _plan_online,
        "worlds": _worlds,
        "learners": _learners,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if arguments[0] not in commands:
        from headstart.core.registry import unknown

        raise unknown("finite command", arguments[0], commands)
    return commands[arguments[0]](arguments[1:])


@dataclass
class SolveOptions:
    """Find the optimal policy of a world."""

    world: tyro.conf.Positional[str]
    """A name, a name with options, or a path to .npz."""
    out: Path | None = None
    """Where to write the policy, values and action values, as .npz."""
    json: bool = False
    """Print JSON."""


def _solve(arguments: Sequence[str]) -> int:
    options = tyro.cli(SolveOptions, args=list(arguments), prog="headstart finite solve")
    import numpy as np

    from headstart.finite.coverage import coverability
    from headstart.finite.mdp import FiniteMDP, write_arrays
    from headstart.finite.planning import backward_induction, evaluate_stationary, value_iteration, value_of
    from headstart.finite.registry import make_world

    world = make_world(options.world)
    facts: dict[str, Any] = {"states": world.states, "actions": world.actions}
    if isinstance(world, FiniteMDP):
        solution = backward_induction(world)
        uniform = np.full((world.horizon, world.states, world.actions), 1 / world.actions)
        facts |= {"horizon": world.horizon, "value of random actions": float(value_of(world, uniform))}
        facts["coverability"] = coverability(world)
        values, policy = solution.values[0], solution.policy[0]
    else:
        solution = value_iteration(world, 1e-9)
        uniform = np.full((world.states, world.actions), 1 / world.actions)
        facts["discount"] = world.discount
        facts["value of random actions"] = float(world.initial @ evaluate_stationary(world, uniform))
        values, policy = solution.values, solution.policy
    facts["optimal value"] = float(world.initial @ values)
    if options.out:
        write_arrays(options.out, solution._asdict())
    rows = [
        {"state": state, "value": float(values[state]), "best action": int(policy[state].argmax())}
        for state in range(world.states)
    ]
    if options.json:
        print(json.dumps({"world": options.world} | facts | {"at the start": rows}, indent=2))
        return 0
    from headstart.cli.papers import format_table

    print("\n".join(f"{name}: {value:.6g}" for name, value in facts.items()))
    shown = "" if len(rows) <= 30 else f" (30 of {len(rows)} states; --json or --out for all)"
    print(f"\nat the first step{shown}" if isinstance(world, FiniteMDP) else f"\nat any step{shown}")
    print(format_table(rows[:30]))
    return 0


@dataclass
class SimulateOptions:
    """Which world to play, for how long, and where to write the curves."""

    world: str
    """A name, a name with options, or a path to .npz."""
    episodes: int = 1000
    """Episodes that each seed plays."""
    seeds: int = 20
    """How many seeds to play, numbered from first_seed."""
    first_seed: int = 0
    """Number of the first seed."""
    points: int = 10
    """Points of the curves that are kept."""
    threads: int = 2
    """Parts of the seeds that are played side by side."""
    out: Path | None = None
    """Where to write every seed's curve, as JSON."""


def _simulate(arguments: Sequence[str]) -> int:
    from headstart.finite.registry import LEARNERS, TRIALS, make_learner, make_world

    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: headstart finite simulate LEARNER --world WORLD [options]\n")
        print(f"learners: {', '.join(LEARNERS.names())}")
        print(f"with a world of their own, so without --world: {', '.join(TRIALS.names())}\n")
        print("`headstart finite simulate LEARNER --help` lists every option, the learner's own fields among them.")
        return 0
    name, *rest = arguments
    if name in TRIALS:
        from headstart.cli.trials import simulate_trial

        return simulate_trial(TRIALS, name, rest, "headstart finite simulate")
    kind = _known(name)
    given = tyro.cli(_parser(kind), args=rest, prog=f"headstart finite simulate {name}")
    options = given.options
    from headstart.core.errors import UsageError
    from headstart.core.files import write_json
    from headstart.finite.mdp import FiniteMDP
    from headstart.finite.simulation import simulate

    world = make_world(options.world)
    if not isinstance(world, FiniteMDP):
        raise UsageError(f"{options.world} is discounted; learners play episodic worlds (give it a horizon)")
    fields = dataclasses.asdict(given.learner)
    if "features" in {field.name for field in dataclasses.fields(kind)}:
        fields["features"] = getattr(world, "features", None)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    learner = make_learner(name, **fields)
    curves = simulate(learner, world, options.episodes, seeds, options.points, options.threads)

    from headstart.cli.papers import format_table
    from headstart.evaluate.statistics import mean, stratified_bootstrap

    regret = stratified_bootstrap(curves.regret[:, None], mean)
    columns = zip(curves.episodes, regret.estimate, regret.low, regret.high, curves.values.mean(0))
    names = ("episodes", "regret", "low", "high", "value")
    rows: list[dict[str, Any]] = [dict(zip(names, (int(first), *map(float, others)))) for first, *others in columns]
    print(f"{name} on {options.world}, {len(curves.regret)} seeds; optimal value {curves.optimal:.4g}\n")
    print(format_table(rows))
    print("\nregret: mean over seeds, with a 95 % bootstrap interval; value: of the policy played last, mean")
    if options.out:
        record = {"learner": name, "fields": dataclasses.asdict(given.learner), "world": options.world}
        record |= {"seeds": list(seeds), "optimal": curves.optimal, "episodes": curves.episodes.tolist()}
        write_json(options.out, record | {"regret": curves.regret.tolist(), "values": curves.values.tolist()})
        print(f"curves written to {options.out}")
    return 0


def _parser(kind: type) -> type:
    """The options of a simulation and the fields of a learner as one dataclass for the command line."""
    from typing import get_type_hints

    from headstart.cli.catalogue import field_help

    hints = get_type_hints(kind)
    fields: list[Any] = [
        (field.name, Annotated[hints[field.name], tyro.conf.arg(help=field_help(kind, field.name))], field.default)
        for field in dataclasses.fields(kind)
        if field.name != "features"
    ]
    flat = tyro.conf.OmitArgPrefixes
    own = dataclasses.make_dataclass("Fields", fields)
    parser = dataclasses.make_dataclass(
        "Simulation", [("options", Annotated[SimulateOptions, flat]), ("learner", Annotated[own, flat])]
    )
    parser.__doc__ = kind.__doc__
    return parser


def _evaluate(arguments: Sequence[str]) -> int:
    from headstart.cli.finite_evaluate import evaluate

    return evaluate(arguments)


def _fit(arguments: Sequence[str]) -> int:
    from headstart.cli.finite_data import fit

    return fit(arguments)


def _plan_online(arguments: Sequence[str]) -> int:
    from headstart.cli.finite_data import plan_online

    return plan_online(arguments)


def _worlds(arguments: Sequence[str]) -> int:
    from headstart.finite.registry import WORLDS, world_options

    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: headstart finite worlds [NAME]\n\nList the named worlds, or one world's options.")
        return 0
    if arguments:
        print(inspect.getdoc(WORLDS.get(arguments[0])))
        defaults = ",".join(f"{name}={default}" for name, default in world_options(arguments[0]).items())
        print(f"\nwith every option at its default: {arguments[0]}:{defaults}")
        return 0
    _list(WORLDS, "world")
    return 0


def _learners(arguments: Sequence[str]) -> int:
    from headstart.finite.registry import LEARNERS, TRIALS

    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: headstart finite learners [NAME]\n\nList the learners, or the fields of one and what they mean.")
        return 0
    if arguments:
        from headstart.cli.catalogue import print_fields

        print_fields(TRIALS.get(arguments[0]) if arguments[0] in TRIALS else _known(arguments[0]))
        return 0
    from headstart.cli.trials import list_trials

    _list(LEARNERS, "learner")
    list_trials(TRIALS, "headstart finite simulate")
    return 0


def _known(name: str) -> type:
    """The class of a learner; an unknown name is compared with those of trials, too."""
    from headstart.core.registry import unknown
    from headstart.finite.registry import LEARNERS, TRIALS

    if name not in LEARNERS:
        raise unknown("learner of finite worlds", name, [*LEARNERS.names(), *TRIALS.names()])
    return LEARNERS.get(name)


def _list(registry: Any, heading: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(heading, "what it is", box=None)
    for entry in sorted(registry, key=lambda entry: entry.name):
        table.add_row(entry.name, entry.summary)
    Console().print(table)
