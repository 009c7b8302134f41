"""``headstart lm export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(kw_only=True)
class ExportOptions:
    """Write the model of a checkpoint, such as the iterate that did best on the held-out prompts."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    out: Path
    """Folder to write. One that exists is refused."""
    checkpoint: Literal["best", "latest"] = "best"
    """The one with the highest reward on the held-out prompts after an iteration, or the latest."""
    seed: int | None = None
    """Which seed; the run's only one by default."""


def export(arguments: Sequence[str]) -> int:
    """Run ``headstart lm export``."""
    options = tyro.cli(ExportOptions, args=list(arguments), prog="headstart lm export")
    from headstart.core.causal_models import load_model
    from headstart.core.errors import UsageError
    from headstart.language.learner import Learner
    from headstart.language.registry import make_method
    from headstart.language.settings import Training
    from headstart.runs.folder import RunFolder

    run = RunFolder.open(options.run)
    if options.out.exists():
        raise UsageError(f"{options.out} exists; choose another --out")
    if options.seed is None and len(run.seeds) > 1:
        raise UsageError(f"{options.run} has seeds {', '.join(map(str, run.seeds))}: say which with --seed")
    if run.config.get("wing") != "language" or not run.config["model"]["loadable"]:
        raise UsageError(f"{options.run} is no run that began with a model that can be loaded")
    folder = run.seed(run.seeds[0] if options.seed is None else options.seed)
    checkpoint = folder.checkpoints.best() if options.checkpoint == "best" else folder.checkpoints.latest()
    if checkpoint is None:
        raise UsageError(
            f"{options.run} has no {options.checkpoint} checkpoint: the best is known of a training with --held-out and"
            " a judge that scores"
        )
    fields = {name: value for name, value in run.config["method"].items() if name != "name"}
    model, tokenizer = load_model(run.config["model"]["name"])
    method = make_method(run.config["method"]["name"], **fields)
    learner = Learner(model, tokenizer, method, Training(**run.config["training"]), checkpoint.progress)
    learner.load(checkpoint.folder)
    learner.export(options.out)
    told = "" if checkpoint.score is None else f", held-out reward {checkpoint.score:.4g}"
    print(f"the policy after step {checkpoint.progress}{told}, in {options.out}")
    return 0
