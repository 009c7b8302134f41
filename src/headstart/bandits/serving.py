"""``headstart bandit serve``: the process that listens."""

from __future__ import annotations

import socket
from collections.abc import Callable

from headstart.bandits.durable import DurableAgent
from headstart.bandits.service import Application
from headstart.core.errors import UsageError

HOST = "127.0.0.1"


def serve(durable: DurableAgent, port: int, announce: Callable[[str], None] = print) -> None:
    """Answer requests on the loopback address until told to stop (SIGTERM, SIGINT).

    Args:
        durable: what answers; closed at the end.
        port: 0 takes any that is free.
        announce: told the address once it is listened on.

    Raises:
        UsageError: the port is taken, or uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise UsageError("serving needs uvicorn, httptools and uvloop: pip install 'headstart[serve]'") from error
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        durable.close()
        raise UsageError(f"cannot listen on port {port}: {error}; give another (0: any that is free)") from error
    listening.listen(512)
    durable.agent.warm_up()
    announce(f"http://{HOST}:{listening.getsockname()[1]}")
    config = uvicorn.Config(Application(durable), log_level="warning", access_log=False, lifespan="on")
    uvicorn.Server(config).run(sockets=[listening])
