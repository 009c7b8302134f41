"""``headstart bandit``: simulate learners, value them on logged feedback, and put one to work."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

USAGE = """usage: headstart bandit simulate|replay|serve|plan|worlds|learners [options]

  simulate WORLD LEARNER…   regret of learners in a named world
  simulate LEARNER          one that learns in another way, in a world of its own
  replay LOG LEARNER…       what learners, or a policy of your own, would have earned on logged feedback
  serve FOLDER LEARNER      a learner behind HTTP on this machine; survives being killed
  plan                      when to pull arms whose rewards recover while they rest
  worlds                    list the worlds that can be named
  learners [NAME]           list the learners, or one learner's fields

Options of worlds and learners follow the name: bernoulli-gap:arms=20,gap=0.2 or lin-ucb:alpha=0.5.
`headstart bandit simulate --help` and so on tell what each takes."""


def bandit(arguments: Sequence[str]) -> int:
    """Run ``headstart bandit``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if arguments[0] not in COMMANDS:
        from headstart.core.registry import unknown

        raise unknown("bandit command", arguments[0], COMMANDS)
    return COMMANDS[arguments[0]](list(arguments[1:]))


def _parse(options: Any, arguments: list[str], name: str) -> Any:
    import tyro

    kind: Any = Annotated[options, tyro.conf.PositionalRequiredArgs]
    return tyro.cli(kind, args=arguments, prog=f"headstart bandit {name}")


def _learners(texts: Sequence[str]) -> dict[str, Any]:
    from headstart.bandits.registry import make_learner, split_text

    named = {text: split_text(text) for text in texts}
    return {text: make_learner(name, **fields) for text, (name, fields) in named.items()}


@dataclass
class SimulateOptions:
    """Let learners act in a named world and show their regret."""

    world: str
    """Name of the world (`headstart bandit worlds`), its options after a colon."""
    learners: tuple[str, ...]
    """Names of learners (`headstart bandit learners`), their fields after a colon."""
    horizon: int = 10_000
    """Steps."""
    seeds: int = 100
    """How many seeds, numbered from 0; equal ones meet equal luck."""
    points: int = 20
    """Points of the curves to keep."""
    confidence: float = 0.95
    """Of the intervals, which are bootstrapped over seeds."""
    figure: Path | None = None
    """Also draw the curves: a name that ends in .svg or .png."""
    json: bool = False
    """Print the curves as JSON instead of a table."""


def _simulate(arguments: list[str]) -> int:
    from headstart.bandits.registry import TRIALS

    if arguments and arguments[0] in TRIALS:
        from headstart.cli.trials import simulate_trial

        return simulate_trial(TRIALS, arguments[0], arguments[1:], "headstart bandit simulate")
    options = _parse(SimulateOptions, arguments, "simulate")
    from headstart.bandits.registry import make_world, split_text
    from headstart.bandits.simulation import simulate
    from headstart.core.errors import UsageError
    from headstart.evaluate.statistics import mean, stratified_bootstrap

    if not options.learners:
        raise UsageError("name at least one learner; `headstart bandit learners` lists them")
    if not 0 < options.confidence < 1:
        raise UsageError(f"confidence must lie strictly between 0 and 1; given {options.confidence:g}")
    name, fields = split_text(options.world)
    world = make_world(name, **fields)
    rows: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    for text, learner in _learners(options.learners).items():
        curves = simulate(learner, world, options.horizon, options.seeds, options.points)
        estimate, low, high = stratified_bootstrap(curves.regret[:, None], mean, 2000, options.confidence)
        drawn[text] = curves
        rows[text] = {
            "steps": curves.steps.tolist(),
            "regret": estimate.tolist(),
            "low": [None if value != value else value for value in low.tolist()],
            "high": [None if value != value else value for value in high.tolist()],
            "reward": curves.reward.mean(0).tolist(),
        }
    if options.figure is not None:
        _draw(options.figure, options.world, drawn)
    if options.json:
        print(json.dumps({"world": options.world, "seeds": options.seeds, "learners": rows}, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{options.world}: regret after {options.horizon:,} steps, {options.seeds} seeds", box=None)
    for heading in ("learner", "regret", f"{options.confidence:.0%} interval", "half way", "mean reward"):
        table.add_column(heading, justify="left" if heading == "learner" else "right")
    for text, row in sorted(rows.items(), key=lambda item: item[1]["regret"][-1]):
        ends = "one seed" if row["low"][-1] is None else f"{row['low'][-1]:,.1f} to {row['high'][-1]:,.1f}"
        half = row["regret"][(len(row["steps"]) - 1) // 2]
        table.add_row(
            text, f"{row['regret'][-1]:,.1f}", ends, f"{half:,.1f}", f"{row['reward'][-1] / options.horizon:.4f}"
        )
    Console().print(table)
    return 0


def _draw(path: Path, world: str, drawn: dict[str, Any]) -> None:
    from headstart.papers import figures

    with figures.figure(path, title=f"Regret in {world}", width=6.0) as axes:
        for index, (text, curves) in enumerate(drawn.items()):
            figures.curve(axes, curves.steps, curves.regret, text, index)
        axes.set_xlabel("steps")
        axes.set_ylabel("regret")
        axes.legend()


@dataclass
class ReplayOptions:
    """Value learners, or a policy of your own, on logged feedback.

    A learner is led through the log; in each row its probabilities of the arms, learned from the rows before, are
    weighted against the logged propensity.
    """

    log: str
    """A .csv or .parquet with columns action, reward, propensity and feature…; the folder of `headstart bandit serve`;
    or open-bandit:behaviour=random,campaign=all."""
    learners: tuple[str, ...]
    """Names of learners, their fields after a colon."""
    policy: Path | None = None
    """Also value this policy: an .npy, .csv or .parquet of probabilities, the log's rows by one column an arm."""
    features: tuple[str, ...] | None = None
    """Columns that make up the context; by default those whose names begin with feature."""
    arms: int | None = None
    """How many arms there are; by default one more than the largest action."""
    reward_low: float = 0.0
    """Least possible reward."""
    reward_high: float = 1.0
    """Largest possible reward."""
    confidence: float = 0.95
    """Of the intervals."""
    resamples: int = 0
    """Bootstrap the intervals from so many resamples; 0 takes the normal approximation."""
    json: bool = False
    """Print JSON instead of a table."""


def _replay(arguments: list[str]) -> int:
    options = _parse(ReplayOptions, arguments, "replay")
    from headstart.bandits import off_policy
    from headstart.bandits.log import read_log, read_policy
    from headstart.bandits.registry import LOGS, make_log, split_text
    from headstart.bandits.replay import replay

    name, fields = split_text(options.log)
    if name in LOGS and not Path(options.log).exists():
        log = make_log(name, **fields)
    else:
        log = read_log(options.log, options.features, options.arms, options.reward_low, options.reward_high)
    settings = {"confidence": options.confidence, "resamples": options.resamples}
    logged = off_policy.logged_value(log, **settings)
    learners = _learners(options.learners)
    policies = {} if options.policy is None else {str(options.policy): read_policy(options.policy)}
    policies |= {text: replay(learner, log) for text, learner in learners.items()}
    rows = {text: _estimates(log, policy, settings) for text, policy in policies.items()}
    if options.json:
        print(json.dumps({"rows": len(log), "logged": logged._asdict(), "policies": rows}, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    title = f"{len(log):,} rows, {log.spec.arms} arms: mean reward, with {options.confidence:.0%} intervals"
    table = Table(title=title, box=None)
    for heading in ("policy", "inverse propensity", "self-normalised", "doubly robust", "effective rows"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    table.add_row("what was logged", _interval(logged._asdict()), "", "", f"{len(log):,}")
    for text, row in rows.items():
        size = row["inverse propensity"]["effective_rows"]
        table.add_row(text, *(_interval(estimate) for estimate in row.values()), f"{size:,.0f}")
    Console().print(table)
    return 0


def _estimates(log: Any, policy: Any, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    from headstart.bandits import off_policy

    predictions = off_policy.predicted_rewards(log)
    return {
        "inverse propensity": off_policy.inverse_propensity(log, policy, **settings)._asdict(),
        "self-normalised": off_policy.self_normalised(log, policy, **settings)._asdict(),
        "doubly robust": off_policy.doubly_robust(log, policy, predictions, **settings)._asdict(),
    }


def _interval(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.4g} ({estimate['low']:.4g} to {estimate['high']:.4g})"


@dataclass
class ServeOptions:
    """Put a learner to work behind HTTP, on this machine only. GET / explains it, GET /openapi.json describes it.

    Every acknowledged choice and reward is in FOLDER/journal.jsonl and survives a kill; the same command goes on from
    there.
    """

    folder: Path
    """Where the journal is, or will be."""
    learner: str | None = None
    """Name of the learner, its fields after a colon; needed the first time."""
    arms: int | None = None
    """How many arms there are; needed the first time."""
    features: int | None = None
    """Length of each arm's feature vector; none without context."""
    reward_low: float = 0.0
    """Least possible reward; -inf where unbounded."""
    reward_high: float = 1.0
    """Largest possible reward; inf where unbounded."""
    seed: int | None = None
    """All randomness comes from it; 0 by default."""
    port: int = 8000
    """On which to listen; 0 takes any that is free."""


def _serve(arguments: list[str]) -> int:
    if len(arguments) > 1 and not arguments[1].startswith("-"):  # the learner may be given without a flag
        arguments = [arguments[0], "--learner", *arguments[1:]]
    options = _parse(ServeOptions, arguments, "serve")
    import jax

    from headstart.bandits.bandit import BanditSpec
    from headstart.bandits.durable import DurableAgent
    from headstart.bandits.serving import serve
    from headstart.core.compilation import keep_compiled_programs
    from headstart.core.errors import UsageError

    keep_compiled_programs()
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # every result is wanted at once: wake no thread for it
    learner = None if options.learner is None else _learners([options.learner])[options.learner]
    if learner is not None and options.arms is None:
        raise UsageError("say how many arms there are: --arms 10; and --features 5 if each has a feature vector")
    spec = None
    if options.arms is not None:
        spec = BanditSpec(options.arms, options.features, options.reward_low, options.reward_high)
    durable = DurableAgent(options.folder, learner, spec, options.seed)
    done = durable.agent
    print(f"{done.decisions:,} decisions and {done.observations:,} rewards so far in {options.folder}", file=sys.stderr)
    serve(durable, options.port, lambda address: print(f"serving on {address}", flush=True))
    return 0


def _plan(arguments: list[str]) -> int:
    from headstart.cli.bandit_plan import plan

    return plan(arguments)


def _list_worlds(arguments: list[str]) -> int:
    import inspect

    from headstart.bandits.registry import LOGS, WORLDS
    from headstart.core.registry import Registry

    def show(title: str, registry: Registry) -> None:
        table = Table(title, "what it is", "options", box=None)
        for entry in sorted(registry, key=lambda entry: entry.name):
            options = inspect.signature(registry.get(entry.name)).parameters.values()
            table.add_row(entry.name, entry.summary, ", ".join(f"{one.name}={one.default}" for one in options))
        Console().print(table)

    if arguments:
        print("usage: headstart bandit worlds\n\nList the worlds and logs that can be named.")
        return 0 if arguments[0] in ("-h", "--help") else 2
    from rich.console import Console
    from rich.table import Table

    show("world", WORLDS)
    print()
    show("log", LOGS)
    return 0


def _list_learners(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: headstart bandit learners [NAME]\n\nList the learners, or the fields of one and what they mean.")
        return 0
    from headstart.bandits.registry import LEARNERS, TRIALS

    if arguments:
        from headstart.cli.catalogue import print_fields

        print_fields((TRIALS if arguments[0] in TRIALS else LEARNERS).get(arguments[0]))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("learner", "what it is", box=None)
    for entry in sorted(LEARNERS, key=lambda entry: entry.name):
        table.add_row(entry.name, entry.summary)
    Console().print(table)
    from headstart.cli.trials import list_trials

    list_trials(TRIALS, "headstart bandit simulate")
    return 0


COMMANDS = {
    "simulate": _simulate,
    "replay": _replay,
    "serve": _serve,
    "plan": _plan,
    "worlds": _list_worlds,
    "learners": _list_learners,
}
"""What ``headstart bandit`` can do."""
