"""``headstart lm reward``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated


@dataclass(kw_only=True)
class RewardOptions:
    """Train a judge on preference pairs: a reward for each completion, or a comparison of two."""

    model: str
    """Folder, .gguf file, packaged name (gemma-3-270m) or hub name of the model to start from."""
    data: str
    """Pairs: rows with prompt, chosen and rejected."""
    out: Path
    """Folder to write; use it as --judge reward:FOLDER, or pairwise:FOLDER. A folder that exists is refused."""
    resume: bool = False
    """Go on with a training of --out that was killed, with the same options; begin it if there is none."""
    quiet: bool = False
    """Show no progress bar."""


def reward(arguments: Sequence[str]) -> int:
    """Run ``headstart lm reward``."""
    import tyro

    from headstart.core.causal_models import load_model
    from headstart.data.rows import load_rows
    from headstart.language.reward_model import RewardSettings, fit_reward_model

    flat = tyro.conf.OmitArgPrefixes
    parser = make_dataclass(
        "Reward",
        [
            ("options", Annotated[RewardOptions, flat]),
            ("settings", Annotated[RewardSettings, flat], field(default_factory=RewardSettings)),
        ],
        kw_only=True,
    )
    parser.__doc__ = RewardOptions.__doc__
    given = tyro.cli(parser, args=list(arguments), prog="headstart lm reward")
    options = given.options
    rows = load_rows(options.data)
    model, tokenizer = load_model(options.model)
    _, report = fit_reward_model(model, tokenizer, rows, given.settings, options.out, not options.quiet, options.resume)
    kept = f"{report.training_rows} pairs learned from, {report.validation_rows} kept apart"
    print(f"{kept}; {report.steps} steps, loss {report.loss:.3f}")
    for reason, count in report.dropped.items():
        print(f"{count} pairs left out: {reason}")
    for lost, count in report.cut.items():
        read = report.training_rows + report.validation_rows
        print(f"{count} of {read} pairs cut to fit the model's context: {lost}", file=sys.stderr)
    if report.accuracy is not None and report.length_accuracy is not None:
        print(f"accuracy on those kept apart: {report.accuracy:.3f} (length alone: {report.length_accuracy:.3f})")
    if report.length_bias is not None:
        print(f"correlation of reward and length: {report.length_bias:.3f}")
    name = "reward" if report.kind == "bradley-terry" else "pairwise"
    print(f"use it as --judge {name}:{options.out}")
    return 0
