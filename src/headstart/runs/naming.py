"""Names of the folders of runs that were given none."""

from __future__ import annotations

import re
import time
from pathlib import Path


def fresh_folder(parent: str, *words: str | None) -> Path:
    """``parent/WORDS-DATE-TIME`` of words that say what is done there (those missing are left out)."""
    label = "-".join([*filter(None, words), time.strftime("%Y%m%d-%H%M%S")])
    return Path(parent) / re.sub(r"[^\w.-]+", "-", label)
