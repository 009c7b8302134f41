"""Sinks fed while a run goes on, by a process of their own, so that they cannot slow or break training.

``python -m headstart.runs.mirroring RUN SINK…`` says ``ready`` or what is wrong, follows the run until its standard
input ends, gives the sinks the rest, and ends.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headstart.core.errors import HeadstartError, UsageError

EVERY = 10.0
"""Seconds between two looks at what has been recorded."""


@contextmanager
def mirrored(run: Path | str, sinks: Sequence[str]) -> Iterator[None]:
    """While the block lasts, what a run records there goes to some sinks too; the run may not exist yet.

    Raises:
        UsageError: a sink cannot work here; nothing has been begun.
    """
    if not sinks:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "headstart.runs.mirroring", str(run), *dict.fromkeys(sinks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for training; what it records at its end goes to the sinks
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = process.stdout.readline().strip()
        if said != "ready":
            raise UsageError(said or f"nothing can be sent to {', '.join(sinks)}")
        yield
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def main(path: str, names: list[str]) -> int:
    """Follow a run; returns an exit status."""
    from headstart.runs.folder import RunFolder
    from headstart.runs.sinks import Mirror, check

    say = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else packages print is no answer
    try:
        check(names)
    except HeadstartError as error:
        print(error, file=say, flush=True)
        return 2
    print("ready", file=say, flush=True)
    mirror, ended = None, False
    while not ended:
        ended = bool(select.select([sys.stdin], [], [], EVERY)[0])
        if mirror is None and (Path(path) / "run.json").exists():
            mirror = Mirror(RunFolder.open(path), names)
        if mirror is not None:
            mirror.send()
    if mirror is not None:
        mirror.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except Exception as error:
        print(f"warning: metrics are no longer sent to {', '.join(sys.argv[2:])}: {error}", file=sys.stderr)
        sys.exit(1)
