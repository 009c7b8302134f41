"""``headstart lm``: post-train, sample, judge and compare language models."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from headstart.core.errors import UsageError

USAGE = """usage: headstart lm METHOD|RECIPE --model MODEL (--data ROWS | --prompts ROWS --judge JUDGE) [options]
       headstart lm COMMAND [options]

Post-train a causal language model on recorded rows, or on its own completions and a judge of them.
MODEL is a folder, a .gguf file or a name; ROWS a file (.jsonl, .parquet, .csv), a saved dataset or a name.
`headstart lm METHOD --help` lists every option, the method's own fields among them. For example:

  headstart lm sft --model gemma-3-270m --data rows.jsonl --lora-rank 16
  headstart lm dpo --model MODEL --data pairs.jsonl --beta 0.1
  headstart lm xpo --model MODEL --prompts prompts.jsonl --judge numeric:answer --held-out test.jsonl
"""

COMMANDS = {
    "sample": ("lm_sample", "draw completions of prompts, with ids and log-probabilities"),
    "chat": ("lm_sample", "talk to a model in the terminal"),
    "judge": ("lm_judge", "score completions"),
    "export": ("lm_export", "write the model of a run's best or latest checkpoint"),
    "rows": ("lm_rows", "make pairs, or rows to imitate, of several completions of each prompt"),
    "diagnose": ("lm_diagnose", "where good completions lie under a model, and what to try therefore"),
    "compare": ("lm_judge", "win rate of one file of completions over another, with its interval"),
    "prompts": ("lm_prompts", "write questions with checkable answers, to try things on"),
    "reward": ("lm_reward", "train a reward model or a pairwise preference model on pairs"),
}
"""Commands that are not methods: the module of this package that runs them, and what they do."""


@dataclass(kw_only=True)
class Options:
    """What to train, on what, and where to record it."""

    model: str
    """Folder, .gguf file, packaged name (gemma-3-270m) or hub name of a causal language model or an adapter on one."""
    data: str | None = None
    """Rows to learn from, of the kind the method takes; with --prompts, besides its own completions."""
    prompts: str | None = None
    """Rows with a prompt, to complete and be judged on; beside --data, hypo completes them without a judge."""
    judge: str | None = None
    """Judge of completions: exact:COLUMN, numeric:COLUMN, regex:PATTERN, tests:COLUMN, reward:PATH, pairwise:PATH,
    remote:URL#MODEL, module:function, wins:JUDGE or odds:JUDGE (scores from a judge that compares), majority, or the
    model's own loglik, mean_loglik."""
    held_out: str | None = None
    """Rows with a prompt, on which the policy is judged before training and after every iteration."""
    seeds: int = 1
    """How many seeds to train, numbered from first_seed."""
    first_seed: int = 0
    """Number of the first seed."""
    out: Path | None = None
    """Folder of the run; under runs/ by default. A folder that exists is refused."""
    resume: bool = False
    """Go on with the run in --out from its latest checkpoints, with the same options."""
    processes: int = 1
    """Processes of this machine that train together, one for each of its accelerators for instance. For several
    machines start `python -m headstart lm ...` with `accelerate launch` or `torchrun`."""
    shard: bool = False
    """Divide weights, gradients and optimiser among the processes (FSDP), for models that do not fit in one."""
    log_to: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Send metrics there too while training: TensorBoard's event files in the run's folder, or Weights & Biases."""
    quiet: bool = False
    """Show no progress bars."""


def lm(arguments: Sequence[str]) -> int:
    """Run ``headstart lm``."""
    from headstart.language.recipes import RECIPES
    from headstart.language.registry import METHODS

    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        for title, lines in (
            ("methods", {entry.name: entry.summary for entry in METHODS}),
            ("recipes, which learn from own completions", {name: one.summary for name, one in RECIPES.items()}),
            ("commands", {name: summary for name, (_, summary) in COMMANDS.items()}),
        ):
            width = max(map(len, lines))
            print(f"{title}:", *(f"  {name:<{width}}  {summary}" for name, summary in lines.items()), "", sep="\n")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name in COMMANDS:
        module = importlib.import_module(f"headstart.cli.{COMMANDS[name][0]}")
        return int(getattr(module, name)(rest) or 0)
    if name not in METHODS and name not in RECIPES:
        from headstart.core.registry import unknown

        names = [*METHODS.names(), *RECIPES, *COMMANDS]
        raise unknown("method, recipe or command", name, names, "`headstart lm --help` lists them all.")
    return _train(name, rest)


def _train(name: str, arguments: Sequence[str]) -> int:
    import tyro

    from headstart.cli.lm_stages import STAGES
    from headstart.language.online import Online
    from headstart.language.recipes import RECIPES, plan_of
    from headstart.language.registry import METHODS
    from headstart.language.settings import Training

    recipe = RECIPES.get(name)
    kind = METHODS.get(recipe.method if recipe else name)
    stage = STAGES.get(name) or STAGES.get(kind.name)
    flat = tyro.conf.OmitArgPrefixes
    required = any(field.default is dataclasses.MISSING for field in dataclasses.fields(kind)) and not recipe
    method_default: dict[str, Any] = {} if required else {"default_factory": recipe.make if recipe else kind}
    plan = recipe.plan if recipe else plan_of(name)
    fields: list[Any] = [
        ("options", Annotated[Options, flat]),
        ("method", Annotated[kind, flat], *([dataclasses.field(**method_default)] if method_default else [])),
        ("training", Annotated[Training, flat], dataclasses.field(default_factory=Training)),
        ("plan", Annotated[Online, flat], dataclasses.field(default_factory=lambda: plan)),
    ]
    if stage is not None and stage.options is not None:
        fields.append(("stage", Annotated[stage.options, flat], dataclasses.field(default_factory=stage.options)))
    parser = dataclasses.make_dataclass("Training", fields, kw_only=True)
    parser.__doc__ = kind.__doc__
    given = tyro.cli(parser, args=list(arguments), prog=f"headstart lm {name}")
    from headstart.core.interruption import let_sigterm_interrupt
    from headstart.language.processes import launch, processes

    let_sigterm_interrupt()
    options = given.options
    if options.quiet:
        from datasets import disable_progress_bars

        disable_progress_bars()
    if options.processes < 1:
        raise UsageError(f"processes is {options.processes}; expected 1 or more")
    if options.processes > 1 and "WORLD_SIZE" not in os.environ:
        return launch(["lm", name, *arguments], options.processes, options.shard)
    from headstart.language.training import learns_online, train
    from headstart.runs.mirroring import mirrored
    from headstart.runs.naming import fresh_folder

    together = processes()
    data, prompts = options.data, options.prompts
    out = options.out or together.told(lambda: fresh_folder("runs", name, Path(options.model).name))
    judge = options.judge or (recipe.judge if recipe and prompts else None)
    if stage is not None and together.told(out.exists) and not options.resume:
        raise UsageError(f"{out} exists; give another --out, or --resume to go on with it")
    made = together.told(lambda: stage.make(given, out)) if stage is not None else None
    if made is not None:
        data, prompts = str(made), None if options.data is None else prompts
    if learns_online(given.method, data, prompts) and together.first and not options.quiet:
        print(_cost(given.plan), file=sys.stderr)
    with mirrored(out, options.log_to if together.first else ()):
        run = train(
            given.method,
            options.model,
            data,
            prompts=prompts,
            judge=judge,
            plan=given.plan,
            training=given.training,
            held_out=options.held_out,
            seeds=range(options.first_seed, options.first_seed + options.seeds),
            folder=out,
            resume=options.resume,
            show_progress=not options.quiet,
        )
    if together.first:
        summarise(run)
    return 0


def _cost(plan: Any) -> str:
    """What a plan samples, in words."""
    each = plan.per_prompt + plan.calibrate
    total = plan.iterations * plan.prompts_per_iteration * each
    rounds = f"{plan.iterations} iterations of {plan.prompts_per_iteration} prompts"
    return f"{rounds}, {each} completions each: {total:,} of up to {plan.max_tokens} tokens"


def summarise(run: Any) -> None:
    """Print what a language run came to, and where it is."""
    import polars as pl

    table = run.folder.metrics().filter(pl.col("name").str.starts_with("evaluation/"))
    for (name,), values in sorted(table.group_by("name"), key=lambda item: item[0]):
        ordered = values.sort("updates")
        first = ordered.group_by("seed", maintain_order=True).first()["value"].mean()
        last = ordered.group_by("seed", maintain_order=True).last()["value"].mean()
        print(f"{name.removeprefix('evaluation/')}: {first:.3f} before, {last:.3f} after")
    print(f"model: {run.model_path()}")
    print(f"run recorded in {run.path}")
    print(f"next: headstart report {run.path}; headstart lm chat --model {run.model_path()}", file=sys.stderr)
