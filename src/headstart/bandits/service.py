"""The face of a durable agent to programs: JSON over HTTP, on this machine only (an ASGI application)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from headstart.bandits.durable import DurableAgent
from headstart.bandits.journal import JournalError
from headstart.bandits.live import RewardedBeforeError, UnknownDecisionError, spec_to_json
from headstart.bandits.openapi import description, page
from headstart.bandits.registry import learner_to_json
from headstart.core.errors import HeadstartError, UsageError

Reply = tuple[int, bytes, bytes]
"""Status, content type, body."""

LOCAL = {"127.0.0.1", "localhost"}
STATUS = {UnknownDecisionError: 404, RewardedBeforeError: 409, JournalError: 503}


class Application:
    """Answers requests; see ``openapi.description`` for what they are."""

    def __init__(self, durable: DurableAgent):
        self.durable = durable
        spec = durable.agent.spec
        self.body_limit = 4096 + 32 * spec.arms * (spec.features or 0)
        self.routes: dict[str, tuple[str, Callable[[bytes], Awaitable[Reply]]]] = {
            "/choose": ("POST", self.choose),
            "/observe": ("POST", self.observe),
            "/state": ("GET", self.state),
            "/openapi.json": ("GET", self.openapi),
            "/": ("GET", self.page),
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection's event, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            status, kind, body = await self._answer(scope, receive)
            headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def choose(self, body: bytes) -> Reply:
        """Choose an arm; the reply is sent once the choice is on disk."""
        given = _object(body, {"context"})
        decision = self.durable.choose(given.get("context"))
        await self.durable.durable()
        return _json({"decision": decision.number, "action": decision.action, "propensity": decision.propensity})

    async def observe(self, body: bytes) -> Reply:
        """Learn from a reward; the reply is sent once it is on disk."""
        given = _object(body, {"decision", "reward"})
        if set(given) != {"decision", "reward"}:
            raise UsageError('expected {"decision": number, "reward": number}')
        new = self.durable.observe(given["decision"], given["reward"])
        await self.durable.durable()  # a repeated reward may have been appended but not yet be on disk
        return _json({"decision": given["decision"], "learned": new})

    async def state(self, body: bytes) -> Reply:
        """What is served, and how far it has come."""
        agent = self.durable.agent
        mean = agent.total_reward / agent.observations if agent.observations else None
        return _json(
            {
                "learner": learner_to_json(agent.learner),
                "spec": spec_to_json(agent.spec),
                "seed": agent.seed,
                "decisions": agent.decisions,
                "observations": agent.observations,
                "waiting": len(agent.pending),
                "mean_reward": mean,
            }
        )

    async def openapi(self, body: bytes) -> Reply:
        """The description for programs."""
        return _json(description(self.durable.agent.spec))

    async def page(self, body: bytes) -> Reply:
        """The description for people."""
        return 200, b"text/html; charset=utf-8", page(self.durable.agent.spec).encode()

    async def _answer(self, scope: Any, receive: Any) -> Reply:
        try:
            path, method = scope["path"], scope["method"]
            headers = dict(scope["headers"])
            if headers.get(b"host", b"").decode("latin-1").partition(":")[0] not in LOCAL:
                return _error(421, "this service answers on the loopback address only")
            if path not in self.routes:
                return _error(404, f"no {path} here; there are {', '.join(self.routes)}")
            wanted, handler = self.routes[path]
            if method != wanted:
                return _error(405, f"{path} takes {wanted}, not {method}")
            if method == "POST" and not headers.get(b"content-type", b"").startswith(b"application/json"):
                return _error(415, "send JSON, with the header content-type: application/json")
            body = await _body(receive, self.body_limit)
            if body is None:
                return _error(413, f"a request here takes at most {self.body_limit} bytes")
            return await handler(body)
        except HeadstartError as error:
            return _error(STATUS.get(type(error), 400), str(error))

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            event = (await receive())["type"]
            if event == "lifespan.shutdown":
                self.durable.close()
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return


async def _body(receive: Any, limit: int) -> bytes | None:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _object(body: bytes, known: set[str]) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}", parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the request is not JSON: {error}") from error
    if not isinstance(given, dict) or not set(given) <= known:
        raise UsageError(f"expected a JSON object with {', '.join(sorted(known))} and nothing else")
    return given


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number that JSON knows")


def _json(value: Any, status: int = 200) -> Reply:
    return status, b"application/json", json.dumps(value, separators=(",", ":")).encode()


def _error(status: int, message: str) -> Reply:
    return _json({"error": message}, status)
