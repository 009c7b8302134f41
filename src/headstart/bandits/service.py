"""The face of a durable agent to programs: JSON over HTTP, on this machine only."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from headstart.bandits.durable import DurableAgent
from headstart.bandits.journal import JournalError
from headstart.bandits.live import RewardedBeforeError, UnknownDecisionError, spec_to_json
from headstart.bandits.openapi import description, page
from headstart.bandits.registry import learner_to_json
from headstart.core.errors import HeadstartError, UsageError


class Reply(NamedTuple):
    """What is sent back.

    Attributes:
        status: of HTTP.
        kind: content type.
        body: content.
        durable: whether it may only be sent once everything done so far is on disk.
    """

    status: int
    kind: bytes
    body: bytes
    durable: bool = False


LOCAL = {"127.0.0.1", "localhost"}
STATUS = {UnknownDecisionError: 404, RewardedBeforeError: 409, JournalError: 503}


class Application:
    """Answers requests; see ``openapi.description`` for what they are."""

    def __init__(self, durable: DurableAgent):
        self.durable = durable
        spec = durable.agent.spec
        self.body_limit = 4096 + 32 * spec.arms * (spec.features or 0)
        self.routes: dict[str, tuple[str, Callable[[bytes], Reply]]] = {
            "/choose": ("POST", self.choose),
            "/observe": ("POST", self.observe),
            "/state": ("GET", self.state),
            "/openapi.json": ("GET", self.openapi),
            "/": ("GET", self.page),
        }

    def answer(self, method: str, path: str, headers: Mapping[bytes, bytes], body: bytes) -> Reply:
        """Do what a request asks for; ``headers`` by their names in lower case. Raises nothing."""
        try:
            if headers.get(b"host", b"").decode("latin-1").partition(":")[0] not in LOCAL:
                return failure(421, "this service answers on the loopback address only")
            if path not in self.routes:
                return failure(404, f"no {path} here; there are {', '.join(self.routes)}")
            wanted, handler = self.routes[path]
            if method != wanted:
                return failure(405, f"{path} takes {wanted}, not {method}")
            if method == "POST" and not headers.get(b"content-type", b"").startswith(b"application/json"):
                return failure(415, "send JSON, with the header content-type: application/json")
            return handler(body)
        except HeadstartError as error:
            return failure(STATUS.get(type(error), 400), str(error))
        except Exception as error:  # a fault of ours: others are still served
            traceback.print_exc()
            return failure(500, f"the service failed on this request: {error!r}")

    def commit(self) -> None:
        """Return once everything so far is on disk.

        Raises:
            JournalError: the disk refused it.
        """
        self.durable.commit()

    def choose(self, body: bytes) -> Reply:
        """Choose an arm."""
        decision = self.durable.choose(_object(body, {"context"}).get("context"))
        return Reply(200, b"application/json", b'{"decision":%d,"action":%d,"propensity":%r}' % decision, durable=True)

    def observe(self, body: bytes) -> Reply:
        """Learn from a reward. One that was reported before may still be on its way to the disk: it is waited for."""
        given = _object(body, {"decision", "reward"})
        if set(given) != {"decision", "reward"}:
            raise UsageError('expected {"decision": number, "reward": number}')
        new = self.durable.observe(given["decision"], given["reward"])
        learned = b'{"decision":%d,"learned":%s}' % (given["decision"], b"true" if new else b"false")
        return Reply(200, b"application/json", learned, durable=True)

    def state(self, body: bytes) -> Reply:
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

    def openapi(self, body: bytes) -> Reply:
        """The description for programs."""
        return _json(description(self.durable.agent.spec))

    def page(self, body: bytes) -> Reply:
        """The description for people."""
        return Reply(200, b"text/html; charset=utf-8", page(self.durable.agent.spec).encode())


def failure(status: int, message: str) -> Reply:
    """A reply that says what was wrong."""
    return _json({"error": message}, status)


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
    return Reply(status, b"application/json", json.dumps(value, separators=(",", ":")).encode())
