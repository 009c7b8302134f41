"""The server of ``headstart watch``: this machine only, and nothing without the token."""

from __future__ import annotations

import gzip
import hmac
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from headstart.core.errors import HeadstartError, UsageError
from headstart.report.watching import NotThereError, Watch

HOST = "127.0.0.1"
# Another site whose name is made to lead here (DNS rebinding) gives itself away by that name.
OWN_NAMES = (HOST, "localhost", "::1")
FILES = {"/watch.js": "text/javascript", "/watch.css": "text/css", "/plotly.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class WatchServer(ThreadingHTTPServer):
    """Serves the page on the loopback address; ``serve_forever`` answers until ``shutdown``.

    Args:
        folders: where runs are or will be.
        port: 0 takes any that is free.

    Attributes:
        token: what every request has to know.

    Raises:
        UsageError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, folders: Sequence[Path], port: int = 0):
        self.watch, self.token = Watch(folders), secrets.token_urlsafe(32)
        try:
            super().__init__((HOST, port), _Request)
        except (OSError, OverflowError) as error:
            raise UsageError(f"cannot listen on port {port}: {error}; give another (0: any that is free)") from error

    @property
    def address(self) -> str:
        """What to open in a browser; who has it may look and stop."""
        return f"http://{HOST}:{self.server_port}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error; others are printed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    server: WatchServer
    server_version, sys_version, timeout = "headstart", "", 20

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if self._admitted(self._header_token() or query.get("token", "")):
            self._answer(lambda: self._get(url, query))

    def do_POST(self) -> None:
        # In a header, which no other site can have a browser send.
        if self._admitted(self._header_token()):
            self._answer(lambda: self._post(urlsplit(self.path)))

    def _admitted(self, token: str) -> bool:
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        try:
            known = urlsplit(f"//{host}").hostname in OWN_NAMES
        except ValueError:
            known = False
        if not known or origin not in (None, f"http://{host}"):
            self._send(HTTPStatus.FORBIDDEN, b"this page answers to 127.0.0.1 and localhost only\n")
            return False
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._send(HTTPStatus.FORBIDDEN, b"open the whole address that `headstart watch` printed\n")
            return False
        return True

    def _header_token(self) -> str:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else ""

    def _answer(self, find: Callable[[], tuple[bytes, str]]) -> None:
        try:
            self._send(HTTPStatus.OK, *find())
        except NotThereError as error:
            self._send(HTTPStatus.NOT_FOUND, _json({"error": str(error)}), "application/json")
        except HeadstartError as error:
            self._send(HTTPStatus.BAD_REQUEST, _json({"error": str(error)}), "application/json")
        except ConnectionError:
            raise
        except Exception as error:  # a record that was tampered with must not look like a server that is gone
            problem = f"this cannot be shown: {type(error).__name__}: {error}"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _json({"error": problem}), "application/json")

    def _get(self, url: SplitResult, query: dict[str, str]) -> tuple[bytes, str]:
        if url.path == "/":
            return _page(self.server.token), "text/html"
        if url.path in FILES:
            return _file(url.path), FILES[url.path]
        watch = self.server.watch
        match [unquote(part) for part in url.path.split("/")[1:]]:
            case ["runs"]:
                first, count = _number(query, "first", 0), min(_number(query, "count", 100), 1000)
                found = watch.runs(query.get("search", ""), query.get("state", ""), first, count)
                return _json(found), "application/json"
            case ["runs", identity]:
                return _json(watch.run(identity, query.get("metric"))), "application/json"
            case ["runs", identity, "record"]:
                return _json(watch.record(identity)), "application/json"
            case ["runs", identity, "samples", seed, name] if seed.isdecimal():
                return watch.image(identity, int(seed), name)
        raise NotThereError("there is no such page")

    def _post(self, url: SplitResult) -> tuple[bytes, str]:
        match url.path.split("/")[1:]:
            case ["runs", identity, "stop"]:
                return _json({"told": self.server.watch.stop(identity)}), "application/json"
        raise NotThereError("there is no such page")

    def _send(self, status: HTTPStatus, content: bytes, media_type: str = "text/plain") -> None:
        packed = len(content) > 10_000 and "gzip" in self.headers.get("Accept-Encoding", "")
        self.send_response(status)
        text = media_type.startswith(("text/", "application/"))
        headers = {"Content-Type": f"{media_type}; charset=utf-8" if text else media_type} | _HEADERS
        if packed:
            headers["Content-Encoding"] = "gzip"
            content = gzip.compress(content, 1)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not worth a line, and their addresses hold the token."""


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise UsageError(f"{name}={text}: expected a whole number")
    return int(text)


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


@cache
def _file(path: str) -> bytes:
    if path == "/plotly.js":
        from plotly.offline import get_plotlyjs

        return get_plotlyjs().encode()
    assets = Path(__file__).parent
    shared = (assets / "page.css").read_bytes() if path == "/watch.css" else b""
    return shared + (assets / path[1:]).read_bytes()


def _page(token: str) -> bytes:
    return (Path(__file__).parent / "watch.html").read_text().replace("TOKEN", token).encode()
