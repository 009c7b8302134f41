"""The process that trains one seed of a recorded run: ``python -m headstart.control.worker RUN SEED``."""

from __future__ import annotations

import json
import signal
import sys


def main(path: str, seed: int) -> int:
    """Train one seed, writing a line of JSON with the progress after every piece of work; returns an exit status."""
    from headstart.control.training import parts_of, train_seed
    from headstart.core.compilation import keep_compiled_programs
    from headstart.core.errors import HeadstartError
    from headstart.core.interruption import let_sigterm_interrupt
    from headstart.runs.folder import RunFolder

    def watch(done: int) -> None:
        try:
            print(json.dumps({"progress": done}), flush=True)
        except BrokenPipeError:  # whoever started it is gone
            signal.raise_signal(signal.SIGTERM)

    let_sigterm_interrupt()
    keep_compiled_programs()
    run = RunFolder.open(path)
    try:
        train_seed(run.seed(seed), parts_of(run), watch)
    except KeyboardInterrupt:
        return 130
    except HeadstartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
