"""One seed of a paper's experiment, in a process of its own: python -m headstart.papers.worker."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from headstart.core.errors import HeadstartError
from headstart.core.files import write_json
from headstart.core.registry import load_attribute
from headstart.papers.digest import code_digest, imported_modules, shows_only


def run_seed(target: str, seed: int, quick: bool, digest: str, path: Path) -> None:
    """Carry out one seed of the paper at ``target``; write ``seed``, ``seconds`` and ``numbers`` as JSON.

    Raises:
        HeadstartError: the code is not what ``digest`` says, or code took part that the digest does not cover.
    """
    module, before = target.partition(":")[0], set(sys.modules)
    paper = load_attribute(target)
    started = time.perf_counter()
    numbers = paper.run(seed, quick)
    seconds = time.perf_counter() - started
    loaded = {name for name in set(sys.modules) - before if name.startswith("headstart.")}
    unseen = sorted(name for name in loaded - set(imported_modules(module)) if not shows_only(name))
    if unseen:
        raise HeadstartError(f"{module} rests on {', '.join(unseen)} without importing them; import them there")
    if code_digest(module) != digest:
        raise HeadstartError(f"the code that {module} rests on was changed during the run; run it again")
    write_json(path, {"seed": seed, "seconds": round(seconds, 1), "numbers": numbers})


if __name__ == "__main__":
    target, seed, size, digest, path = sys.argv[1:]
    try:
        run_seed(target, int(seed), size == "quick", digest, Path(path))
    except HeadstartError as error:
        sys.exit(f"error: {error}")
