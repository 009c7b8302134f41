"""``headstart watch``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass
class WatchOptions:
    """Show running and finished runs on a live page: curves, latest numbers, samples, logs, and a stop button.

    The page is served on this machine's loopback address only, and only to who has the whole address that is printed.
    From another machine: `ssh -L 8765:127.0.0.1:8765 HOST`, then the same address there.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Where the runs are, at any depth."""
    port: int = 8765
    """Where to listen; 0 takes any port that is free."""
    open: bool = False
    """Open the page in this machine's browser."""


def watch(arguments: Sequence[str]) -> int:
    """Run ``headstart watch``."""
    options = tyro.cli(WatchOptions, args=list(arguments), prog="headstart watch")
    from headstart.report.watch_server import WatchServer

    for folder in options.folders:
        if not folder.is_dir():
            print(f"there is no folder {folder} yet; its runs appear once there are any", file=sys.stderr)
    with WatchServer(options.folders, options.port) as server:
        print(server.address, flush=True)
        print("Ctrl-C ends the page; runs go on.", file=sys.stderr)
        if options.open:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
