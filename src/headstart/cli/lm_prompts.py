"""``headstart lm prompts``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(kw_only=True)
class PromptOptions:
    """Write questions with checkable answers: additions for a pretrained model, to learn on and to be tested on."""

    out: Path
    """File of the questions to learn on, .jsonl; the judge exact:answer knows them right from wrong."""
    held_out: Path
    """File of the questions to be tested on, none of which is in the other."""
    count: int = 224
    """Questions to learn on."""
    held_out_count: int = 128
    """Questions to be tested on."""
    seed: int = 0
    """Of the draw."""


def prompts(arguments: Sequence[str]) -> int:
    """Run ``headstart lm prompts``."""
    import tyro

    from headstart.core.errors import UsageError
    from headstart.core.files import write_atomically
    from headstart.envs.text.sums import Sums

    options = tyro.cli(PromptOptions, args=list(arguments), prog="headstart lm prompts")
    world, wanted = Sums(), options.count + options.held_out_count
    rows = world.rows(wanted, options.seed)
    if len(rows) < wanted:
        raise UsageError(f"{wanted} questions were asked for; there are {len(rows)} different ones")
    for path in (options.out, options.held_out):
        if path.exists():
            raise UsageError(f"{path} exists and is left as it is; choose another name")
    for path, part in ((options.out, rows[: options.count]), (options.held_out, rows[options.count :])):
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in part).encode())
        print(f"{len(part)} questions in {path}")
    return 0
