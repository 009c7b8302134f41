"""``headstart eval`` and ``headstart export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


@dataclass
class EvaluationOptions:
    """Play greedy evaluation episodes with the policies of a run."""

    run: Path
    """Folder of the run."""
    episodes: int = 20
    """Episodes for each seed."""
    env: str | None = None
    """World to play in; the run's own by default."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint."""
    seed: int = 12345
    """Seed of the evaluation worlds."""
    json: bool = False
    """Print JSON instead of a table."""


def eval(arguments: Sequence[str]) -> int:  # named after its command
    """Run ``headstart eval``."""
    import tyro

    options = tyro.cli(
        Annotated[EvaluationOptions, tyro.conf.PositionalRequiredArgs], args=list(arguments), prog="headstart eval"
    )
    from headstart.control.playing import evaluate_run
    from headstart.runs.folder import RunFolder

    outcomes = evaluate_run(
        RunFolder.open(options.run), options.episodes, options.env, options.checkpoint, options.seed
    )
    if options.json:
        import json

        print(json.dumps({str(seed): outcome.to_json() for seed, outcome in outcomes.items()}, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("seed", "return", "± std", "lowest", "highest", "length", "ended early", title=str(options.run))
    for seed, outcome in outcomes.items():
        returns = outcome.returns
        numbers = (returns.mean(), returns.std(), returns.min(), returns.max(), outcome.lengths.mean())
        table.add_row(str(seed), *(f"{number:.1f}" for number in numbers), f"{outcome.terminated.mean():.0%}")
    Console().print(table)
    return 0


@dataclass
class ExportOptions:
    """Write a run's policy as an ONNX file: observations in, greedy actions out, in the world's own units."""

    run: Path
    """Folder of the run."""
    path: Path
    """File to write, such as policy.onnx."""
    seed: int | None = None
    """Which seed; the run's first by default."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint."""
    overwrite: bool = False
    """Replace the file if it exists."""


def export(arguments: Sequence[str]) -> int:
    """Run ``headstart export``."""
    import tyro

    options = tyro.cli(
        Annotated[ExportOptions, tyro.conf.PositionalRequiredArgs], args=list(arguments), prog="headstart export"
    )
    from headstart.control.export import export_onnx
    from headstart.control.policy import load_policy
    from headstart.core.errors import UsageError

    if options.path.suffix != ".onnx":
        raise UsageError(f"{options.path}: policies are written as ONNX; give a name that ends in .onnx")
    if options.path.exists() and not options.overwrite:
        raise UsageError(f"{options.path} exists already; choose another name, or give --overwrite")
    export_onnx(load_policy(options.run, options.seed, options.checkpoint), options.path)
    print(f"policy written to {options.path}")
    return 0
