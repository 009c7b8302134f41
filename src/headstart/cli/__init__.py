"""The command line. It has no logic of its own, and imports what a command needs only when that command is run."""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "quickstart": (
        "quickstart",
        "the main job on a dataset that ships with the package: learn, fine-tune, report",
    ),
    "train": ("train", "train a method on a world, on data, or on both"),
    "resume": ("train", "go on with a run that was stopped, killed or failed"),
    "tune": ("tune", "search a method's hyper-parameters, and test the choice on seeds it never saw"),
    "eval": ("policies", "play evaluation episodes with a run's policy"),
    "export": ("policies", "write a run's policy as an ONNX file"),
    "snapshots": ("snapshots", "keep simulator states along a teacher's episodes, for training to start at"),
    "data": ("data", "describe, build, convert and list datasets"),
    "runs": ("runs", "list, filter, query and share recorded runs"),
    "watch": ("watch", "a live page of runs: curves, numbers, logs, and a button that stops one"),
    "plot": ("plot", "compare recorded runs: curves, aggregates, profiles, who beats whom"),
    "reproduce": ("reproduce", "run a recorded run again and compare every number"),
    "report": ("report", "write a page about one or more runs"),
    "methods": ("catalogue", "list the methods, or one method's fields"),
    "worlds": ("catalogue", "list the worlds that come with the package"),
    "lm": ("lm", "post-train, sample, judge and compare language models"),
    "finite": ("finite", "solve finite worlds, and simulate learners in them with exact regret"),
    "bandit": ("bandit", "simulate bandit learners, value them on logged feedback, put one to work"),
    "ask": ("ask", "train a policy that guesses an item by few yes-or-no questions, and play"),
    "papers": ("papers", "list, show and prove the papers' claims"),
}
"""Every command: the module of this package that runs it, and what it does."""


def help_text() -> str:
    """What ``headstart --help`` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: headstart COMMAND [options]",
            "",
            "Learn decisions from the data you already have, then from the world.",
            "",
            "commands:",
            *lines,
            "",
            "`headstart COMMAND --help` tells what a command takes; `headstart --version` the version.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for input that cannot work, 1 for other failures."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if arguments[0] == "--version":
        from headstart import __version__

        print(f"headstart {__version__}")
        return 0
    from headstart.core.errors import HeadstartError, UsageError

    try:
        command = arguments[0]
        if command not in COMMANDS:
            from headstart.core.registry import unknown

            raise unknown("command", command, COMMANDS, "`headstart --help` lists them all.")
        module = importlib.import_module(f"headstart.cli.{COMMANDS[command][0]}")
        return int(getattr(module, command)(arguments[1:]) or 0)
    except HeadstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError | ValueError) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        refused = _refused(error)
        if refused is None:
            raise
        print(f"error: {refused}", file=sys.stderr)
        return 1


def _refused(error: OSError) -> str | None:
    """What to say where the system let a file not be written or read; None for an error of another kind."""
    from headstart.core.storage import full_disk

    full = full_disk(error, error.filename or "what was asked for")
    if full is not None:
        return str(full)
    if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR) or error.filename is None:
        return None
    return f"{error.filename}: {error.strerror}; choose another place, or change who may use this one"
