"""``headstart bandit serve``: the process that listens."""

from __future__ import annotations

import asyncio
import signal
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
        UsageError: the port is taken, or httptools or uvloop are not installed.
    """
    try:
        import uvloop

        from headstart.bandits.connection import Connection, Outbox
    except ImportError as error:
        raise UsageError("serving needs httptools and uvloop: pip install 'headstart[serve]'") from error

    async def until_told_to_stop() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        application, connections = Application(durable), set[Connection]()
        outbox = Outbox(application.commit)
        server = await loop.create_server(lambda: Connection(application, outbox, connections), sock=listening)
        announce(f"http://{HOST}:{listening.getsockname()[1]}")
        await stop.wait()
        server.close()
        await outbox.empty()
        for connection in list(connections):
            connection.transport.close()

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
    try:
        uvloop.run(until_told_to_stop())
    finally:
        durable.close()
