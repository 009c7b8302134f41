"""``headstart train`` and ``headstart resume``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

if TYPE_CHECKING:
    from headstart.control.method import Method

USAGE = """usage: headstart train METHOD [--data DATASET] [--env WORLD] [options]

Give data to learn from, a world to act in, or both. `headstart train METHOD --help` lists every option, the method's
own fields among them. For example:

  headstart train iql --data hopper-medium --env Hopper-v5 --seeds 4
  headstart train sac --env HalfCheetah-v5 --online-steps 100000
  headstart train wsrl --data hopper-medium --env Hopper-v5 --offline-steps 250000 --online-steps 100000
"""


@dataclass
class RunOptions:
    """What to train on, and where to record it."""

    data: str | None = None
    """Dataset to learn from: a name (`headstart data list`), or a path to a file or folder."""
    env: str | None = None
    """World to act in: a name (`headstart worlds`), a Gymnasium id, module:Env of your own, or envpool:ID."""
    seeds: int = 1
    """How many seeds to train, numbered from first_seed."""
    first_seed: int = 0
    """Number of the first seed."""
    out: Path | None = None
    """Folder of the run; under runs/ by default. A folder that exists is refused."""
    init_from: Path | None = None
    """Run whose policy training starts from."""
    workers: int | None = None
    """Processes that train seeds at the same time; one for each core by default."""
    log_to: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Send metrics there too while training: TensorBoard's event files in the run's folder, or Weights & Biases."""
    quiet: bool = False
    """Show no progress bars."""


@dataclass
class PlanOptions:
    """How long to learn, and how. What is not given follows from the method, and from whether there are data, a world
    or both."""

    offline_steps: int | None = None
    """Gradient updates on the data before acting; 250000 for methods that learn offline, when data are given."""
    warmup_steps: int | None = None
    """Environment steps collected without learning before going online."""
    online_steps: int | None = None
    """Environment steps of acting and learning; 100000 when there is no offline phase."""
    updates_per_step: float | None = None
    """Gradient updates for each environment step while online."""
    data_ratio: float | None = None
    """Part of each online batch drawn from the recorded data, 0 to 1."""


def train(arguments: Sequence[str]) -> int:
    """Run ``headstart train``."""
    from headstart.control.registry import METHODS

    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        print("methods:", ", ".join(METHODS.names()))
        return 0
    import tyro

    from headstart.control.trainer import Settings
    from headstart.control.training import train as train_method
    from headstart.core.compilation import keep_compiled_programs
    from headstart.core.interruption import let_sigterm_interrupt
    from headstart.runs.mirroring import mirrored
    from headstart.runs.naming import fresh_folder

    keep_compiled_programs()
    let_sigterm_interrupt()
    kind = METHODS.get(arguments[0])
    flags, inner = _flags(kind, explained=bool({"-h", "--help"} & set(arguments)))
    flat = tyro.conf.OmitArgPrefixes
    groups = {"run": RunOptions, "plan": PlanOptions, "method": flags, "settings": Settings}  # as the help shows them
    fields: list[Any] = [
        *((name, Annotated[group, flat], dataclasses.field(default_factory=group)) for name, group in groups.items()),
        *((name, type(method), dataclasses.field(default=method)) for name, method in inner.items()),
    ]
    parser = dataclasses.make_dataclass("Training", fields)
    parser.__doc__ = kind.__doc__
    given = tyro.cli(parser, args=list(arguments[1:]), prog=f"headstart train {arguments[0]}")
    method = kind(**vars(given.method), **{name: getattr(given, name) for name in inner})
    options = given.run
    about = (arguments[0], options.env, options.data and Path(options.data).name)
    folder = options.out or fresh_folder("runs", *about)
    with mirrored(folder, options.log_to):
        run = train_method(
            method,
            world=options.env,
            data=options.data,
            seeds=range(options.first_seed, options.first_seed + options.seeds),
            folder=folder,
            settings=given.settings,
            init_from=options.init_from,
            workers=options.workers,
            show_progress=not options.quiet,
            **vars(given.plan),
        )
    _summarise(run)
    return 0


def _flags(kind: type[Method], explained: bool) -> tuple[type, dict[str, Method]]:
    """A class of the method's fields, with what each means where the help is asked for, and the methods in fields."""
    import tyro

    from headstart.cli.catalogue import field_help

    hints, default, fields, inner = get_type_hints(kind), kind(), [], {}
    for field in dataclasses.fields(kind):
        value = getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            inner[field.name] = value
            continue
        meaning = tyro.conf.arg(help=field_help(kind, field.name) if explained else None)
        fields.append((field.name, Annotated[hints[field.name], meaning], dataclasses.field(default=value)))
    flags = dataclasses.make_dataclass("Flags", fields)
    flags.__doc__ = f"Settings of {kind.name} itself."
    return flags, inner


@dataclass
class ResumeOptions:
    """Go on with a run from its latest checkpoints; finished seeds are left alone."""

    run: Path
    """Folder of the run."""
    workers: int | None = None
    """Processes that train seeds at the same time; one for each core by default."""
    log_to: tuple[Literal["tensorboard", "wandb"], ...] | None = None
    """Send metrics there too; where they were sent before, by default. With nothing after it, nowhere."""
    quiet: bool = False
    """Show no progress bars."""


def resume(arguments: Sequence[str]) -> int:
    """Run ``headstart resume``."""
    import tyro

    from headstart.core.interruption import let_sigterm_interrupt
    from headstart.runs.folder import RunFolder
    from headstart.runs.mirroring import mirrored
    from headstart.runs.sinks import sinks_of

    let_sigterm_interrupt()
    options = tyro.cli(
        tyro.conf.configure(tyro.conf.PositionalRequiredArgs)(ResumeOptions),
        args=list(arguments),
        prog="headstart resume",
    )
    run = RunFolder.open(options.run)
    with mirrored(options.run, list(sinks_of(run)) if options.log_to is None else options.log_to):
        if run.config.get("wing") == "language":
            from headstart.cli.lm import summarise
            from headstart.language.training import resume as resume_language

            summarise(resume_language(options.run, show_progress=not options.quiet))
            return 0
        from headstart.control.training import resume as resume_run
        from headstart.core.compilation import keep_compiled_programs

        keep_compiled_programs()
        _summarise(resume_run(options.run, workers=options.workers, show_progress=not options.quiet))
    return 0


def _summarise(run: Any) -> None:
    last = run.metrics(["evaluation/return"])
    if last.height:
        finals = run.final()
        text = ", ".join(f"{value:.1f}" for value in finals)
        print(f"final return (greedy): {finals.mean():.1f} over seeds [{text}]")
    print(f"run recorded in {run.path}")
    print(f"next: headstart report {run.path}", file=sys.stderr)
