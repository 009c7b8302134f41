"""HTTP/1.1 for a handful of programs on this machine: nothing but keep-alive, pipelining and group commit.

Requests are answered at once, but no reply leaves before what it says is on disk. All replies that wait when a
synchronisation begins leave together when it ends; what is asked meanwhile is the next group.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import NamedTuple, cast

import httptools

from headstart.bandits.journal import JournalError
from headstart.bandits.service import Application, Reply, failure

HEAD_LIMIT = 65_536
"""Bytes of a request before its body, to within what arrives at once."""
REASONS = {200: b"OK", 503: b"Service Unavailable"}


class Unsent(NamedTuple):
    """A reply that waits for the disk."""

    connection: Connection
    reply: Reply
    close: bool


class Outbox:
    """Sends replies once all that they say is durable: one synchronisation at a time, for all that wait by then.

    Args:
        commit: returns once all that was done before the call is on disk, or raises a ``JournalError``; runs in a
            thread.
    """

    def __init__(self, commit: Callable[[], None]):
        self.commit = commit
        self.unsent: list[Unsent] = []
        self.delivering: asyncio.Task[None] | None = None

    def add(self, unsent: Unsent) -> None:
        """Send it after the next synchronisation that begins."""
        self.unsent.append(unsent)
        if self.delivering is None:
            self.delivering = asyncio.get_running_loop().create_task(self.deliver())

    async def deliver(self) -> None:
        """Send until nothing is left to send."""
        loop = asyncio.get_running_loop()
        while self.unsent:
            group, self.unsent = self.unsent, []
            refused = None
            if any(one.reply.durable for one in group):
                try:
                    await loop.run_in_executor(None, self.commit)
                except JournalError as error:
                    refused = failure(503, str(error))
            for connection, reply, close in group:
                connection.send(refused if refused and reply.durable else reply, close)
        self.delivering = None

    async def empty(self) -> None:
        """Wait until everything is sent."""
        if self.delivering is not None:
            await self.delivering


class Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered in order."""

    def __init__(self, application: Application, outbox: Outbox, open_connections: set[Connection]):
        self.application, self.outbox, self.open_connections = application, outbox, open_connections
        self.parser = httptools.HttpRequestParser(self)
        self.head_is_open = self.refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What was asked for has been done all the same; its reply is dropped."""
        self.open_connections.discard(self)

    def pause_writing(self) -> None:
        """Take no more requests from a client that does not read its replies."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Answer all requests that are complete."""
        if self.refused:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.refused = True  # answered in HTTP/1.1, which is all there is; what follows is in another protocol
        except httptools.HttpParserError as error:
            self.refuse(failure(400, f"this is no HTTP/1.1 request that is understood here: {error}"))
        if self.head_is_open:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_LIMIT:
                self.refuse(failure(431, f"the headers of a request take at most {HEAD_LIMIT} bytes"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self.path, self.headers, self.body = b"", {}, []
        self.head_bytes = self.body_bytes = 0
        self.head_is_open = True

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; of several with the same name the last counts."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Let a client that asks first send its body."""
        self.head_is_open = False
        if self.headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body; what is too much is read and forgotten, so that the reply reaches its sender."""
        self.body_bytes += len(body)
        if self.body_bytes <= self.application.body_limit:
            self.body.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        if self.refused:
            return
        if self.body_bytes > self.application.body_limit:
            reply = failure(413, f"a request here takes at most {self.application.body_limit} bytes")
        else:
            method, path = self.parser.get_method().decode(), self.path.partition(b"?")[0].decode("latin-1")
            reply = self.application.answer(method, path, self.headers, b"".join(self.body))
        close = self.parser.should_upgrade() or not self.parser.should_keep_alive()
        self.outbox.add(Unsent(self, reply, close))

    def refuse(self, reply: Reply) -> None:
        """Say no, after what was asked before, and hear no more: where the next request begins is not known."""
        if not self.refused:
            self.refused = True
            self.outbox.add(Unsent(self, reply, close=True))

    def send(self, reply: Reply, close: bool) -> None:
        """Write a reply."""
        if self.transport.is_closing():
            return
        head = b"HTTP/1.1 %d %s\r\ndate: %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n"
        ending = b"connection: close\r\n" if close else b""
        reason = REASONS.get(reply.status, b"Refused")
        self.transport.write(head % (reply.status, reason, _date(), reply.kind, len(reply.body), ending) + reply.body)
        if close:
            self.transport.close()


_dates: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """Now, as HTTP writes it; formatted once a second."""
    global _dates
    now = int(time.time())
    if _dates[0] != now:
        _dates = now, formatdate(now, usegmt=True).encode()
    return _dates[1]
