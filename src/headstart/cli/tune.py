"""``headstart tune METHOD``, ``headstart tune space|resume|report``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

USAGE = """usage: headstart tune METHOD --world WORLD [--data DATASET] [options]
       headstart tune space METHOD | resume FOLDER | report FOLDER

Search a method's hyper-parameters on some seeds, and test what was chosen on others. For example:

  headstart tune ppo --world pendulum --sampler dehb --trials 16 --tuning-seeds 0-2 --test-seeds 10-19 --workers 2
  headstart tune iql --data hopper-medium --world Hopper-v5 --space expectile temperature=1:10:log

  METHOD         search; `headstart tune METHOD --help` lists every option, the method's own fields among them
  space METHOD   what is searched unless told otherwise
  resume FOLDER  go on with a search that was stopped or killed
  report FOLDER  print what was found, and write the page about it
"""


@dataclass
class Options:
    """What to search, with which seeds, and for how much."""

    world: Annotated[str, tyro.conf.arg(aliases=("--env",))]
    """World to act and evaluate in: a name (`headstart worlds`), a Gymnasium id, or module:Env of your own."""
    data: str | None = None
    """Dataset to learn from: a name (`headstart data list`), or a path to a file or folder."""
    space: tuple[str, ...] = ()
    """What to search: FIELD, FIELD=LOW:HIGH, FIELD=LOW:HIGH:log or FIELD=A,B,C; all fields with a range by default."""
    sampler: Literal["random", "tpe", "cmaes", "dehb", "pbt", "bgt"] = "tpe"
    """How configurations are chosen."""
    pruner: Literal["none", "halving", "median"] = "none"
    """How random, tpe and cmaes stop unpromising trials early; the others do so by themselves."""
    trials: int = 16
    """Budget: what so many whole trials cost. Samplers that stop trials early try more configurations for it."""
    tuning_seeds: str = "0-2"
    """Seeds that configurations are compared by, such as 0-2 or 0,3,5."""
    test_seeds: str = "10-19"
    """Seeds that the chosen configuration is tested with; they must not overlap with the tuning seeds."""
    search_seed: int = 0
    """Seed of the search itself."""
    metric: str = "evaluation/return"
    """What configurations are compared by, at the last evaluation."""
    minimize: bool = False
    """Less of the metric is better."""
    compare_default: bool = True
    """Train the method as given on the test seeds too."""
    offline_steps: int | None = None
    """Gradient updates on the data before acting."""
    warmup_steps: int | None = None
    """Environment steps collected without learning before going online."""
    online_steps: int | None = None
    """Environment steps of acting and learning."""
    updates_per_step: float | None = None
    """Gradient updates for each environment step while online."""
    data_ratio: float | None = None
    """Part of each online batch drawn from the recorded data, 0 to 1."""
    init_from: Path | None = None
    """Run whose policy training starts from."""
    out: Path | None = None
    """Folder of the search; under tunings/ by default. A folder that exists is refused."""


def tune(arguments: Sequence[str]) -> int:
    """Run ``headstart tune``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    commands = {"space": _space, "resume": _resume, "report": _report}
    if arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    return _search(arguments[0], arguments[1:])


def _search(name: str, arguments: Sequence[str]) -> int:
    from headstart.control.registry import METHODS

    kind = METHODS.get(name)
    from headstart.control.trainer import Settings
    from headstart.tune.setup import parse_seeds
    from headstart.tune.tuning import Execution
    from headstart.tune.tuning import tune as tune_method

    @dataclass(frozen=True, kw_only=True)
    class TrainerSettings(Settings):
        sampler: Annotated[str, tyro.conf.arg(name="data-sampler")] = "uniform"
        """How data are drawn: uniform, or weighted by trajectory: advantage:ALPHA, return:ALPHA, top:FRACTION."""

    flat = tyro.conf.OmitArgPrefixes
    fields: list[Any] = [
        ("options", Annotated[Options, flat]),
        ("execution", Annotated[Execution, flat], dataclasses.field(default_factory=Execution)),
        ("settings", Annotated[TrainerSettings, flat], dataclasses.field(default_factory=TrainerSettings)),
        ("method", Annotated[kind, tyro.conf.arg(name="")], dataclasses.field(default_factory=kind)),
    ]
    parser = dataclasses.make_dataclass("Tuning", fields)
    parser.__doc__ = kind.__doc__
    given = tyro.cli(parser, args=list(arguments), prog=f"headstart tune {name}")
    own = (
        "sampler",
        "pruner",
        "trials",
        "metric",
        "minimize",
        "compare_default",
        "world",
        "data",
        "space",
        "init_from",
    )
    steps = ("offline_steps", "warmup_steps", "online_steps", "updates_per_step", "data_ratio")
    found = tune_method(
        given.method,
        tuning_seeds=parse_seeds(given.options.tuning_seeds),
        test_seeds=parse_seeds(given.options.test_seeds),
        seed=given.options.search_seed,
        folder=given.options.out,
        settings=given.settings,
        execution=given.execution,
        **{option: getattr(given.options, option) for option in (*own, *steps)},
    )
    return _show(found, None)


@dataclass
class ResumeOptions:
    """Go on with a search that was stopped or killed; what is done is not done again."""

    folder: Path
    """Folder of the search."""


def _resume(arguments: Sequence[str]) -> int:
    from headstart.tune.tuning import Execution, resume_search

    flat = tyro.conf.OmitArgPrefixes
    fields: list[Any] = [
        ("options", Annotated[ResumeOptions, flat, tyro.conf.PositionalRequiredArgs]),
        ("execution", Annotated[Execution, flat], dataclasses.field(default_factory=Execution)),
    ]
    parser = dataclasses.make_dataclass("Resuming", fields)
    parser.__doc__ = ResumeOptions.__doc__
    given = tyro.cli(parser, args=list(arguments), prog="headstart tune resume")
    return _show(resume_search(given.options.folder, given.execution), None)


@dataclass
class ReportOptions:
    """Print what a search found, finished or not, and write the page about it."""

    folder: Path
    """Folder of the search."""
    out: Path | None = None
    """File to write; report.html in that folder by default."""


def _report(arguments: Sequence[str]) -> int:
    options = tyro.cli(
        Annotated[ReportOptions, tyro.conf.PositionalRequiredArgs], args=list(arguments), prog="headstart tune report"
    )
    from headstart.tune.tuning import Tuning

    return _show(Tuning.open(options.folder), options.out)


def _space(arguments: Sequence[str]) -> int:
    from headstart.control.registry import METHODS

    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print("usage: headstart tune space METHOD\n\nList what is searched unless --space says otherwise.")
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    from headstart.tune.space import space_of

    method = METHODS.get(arguments[0])()
    domains = space_of(method).domains
    width = max(map(len, domains))
    for name, domain in domains.items():
        print(f"{name:<{width}}  {domain!s:<24}  as given: {getattr(method, name)}")
    return 0


def _show(found: Any, page: Path | None) -> int:
    from headstart.tune.page import write_page
    from headstart.tune.summary import summary

    print(summary(found))
    print(f"page written to {write_page(found, page or found.folder / 'report.html')}")
    print(f"search recorded in {found.folder}", file=sys.stderr)
    return 0
