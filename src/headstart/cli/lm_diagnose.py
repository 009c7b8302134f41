"""``headstart lm diagnose``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import tyro


@dataclass(kw_only=True)
class DiagnoseOptions:
    """Tell where good completions lie under a model, and so whether it should learn from recorded or fresh ones."""

    data: tyro.conf.Positional[str]
    """Rows that `headstart lm sample -n 8` drew at temperature 1 and `headstart lm judge` judged."""
    json: bool = False
    """Print JSON."""


def diagnose(arguments: Sequence[str]) -> int:
    """Run ``headstart lm diagnose``."""
    options = tyro.cli(DiagnoseOptions, args=list(arguments), prog="headstart lm diagnose")
    from headstart.data.rows import load_rows
    from headstart.language.alignment_diagnosis import diagnose

    found = diagnose(load_rows(options.data).to_list())
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return 0
    print(f"{found.prompts} prompts whose completions differ in reward")
    print(f"place of the best completion by likelihood, 0 least and 1 most likely: {found.place:.2f}")
    print(f"rank correlation of reward and log-probability: {found.correlation:.2f}")
    print(f"best reward less mean reward: {found.gain:.4g}")
    print(found.advice)
    return 0
