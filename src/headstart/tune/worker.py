"""A process that carries out jobs: ``python -m headstart.tune.worker``. Jobs come as lines of JSON on standard input.

For each it writes a line with ``progress`` now and then and one with the outcome. What the code it runs prints goes to
standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from headstart.tune.jobs import Job, carry_out


def end_with(parent: int, every: float = 0.2) -> None:
    """End this process, whatever it is doing, once its parent is gone: the seed it trains is somebody else's then."""
    while os.getppid() == parent:
        time.sleep(every)
    os._exit(1)


def main() -> None:
    """Carry out jobs until standard input ends."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        job = Job.from_json(line)
        outcome = carry_out(job, lambda steps: print(json.dumps({"progress": steps}), file=answers))
        print(json.dumps(outcome), file=answers)
        if "jax" in sys.modules:
            sys.modules["jax"].clear_caches()  # programs of one configuration are of no use to the next


if __name__ == "__main__":
    main()
