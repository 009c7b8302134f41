"""Questions to a chat model behind an OpenAI-compatible address: many at a time, tried again, paid for once."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.core.errors import UsageError
from headstart.core.files import cache_folder
from headstart.core.progress import progress

RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""Statuses after which a request is sent again; other failures are the request's own."""


@dataclass(frozen=True)
class Reply:
    """What came of one question.

    Attributes:
        text: the answer; None if there is none.
        problem: why there is none.
        cached: whether it was known from before, and so not sent.
    """

    text: str | None
    problem: str = ""
    cached: bool = False


@dataclass(frozen=True)
class ChatClient:
    """A chat model at an address.

    Attributes:
        url: base of the interface, such as http://localhost:8000/v1.
        model: name that the server knows the model by.
        temperature: of the answers.
        max_tokens: longest answer.
        timeout: seconds that one request may take.
        attempts: how often a request is sent at most.
        first_wait: seconds before the second attempt; doubled at each further one, times a random 0.5 to 1.
        longest_wait: most seconds of such a wait. A server's Retry-After is honoured even if longer.
        concurrency: most requests under way at a time.
        requests_per_minute: most requests begun a minute; None for no limit.
        key_variable: environment variable that holds the key; no key is sent if it is not set.
        cache: file of answers by content of the question, so that none is paid for twice; None keeps none.
    """

    url: str
    model: str
    temperature: float = 0.0
    max_tokens: int = 512
    timeout: float = 60.0
    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    concurrency: int = 8
    requests_per_minute: float | None = None
    key_variable: str = "OPENAI_API_KEY"
    cache: Path | None = cache_folder() / "judges" / "replies.sqlite"

    def ask(self, questions: Sequence[Sequence[dict[str, str]]], show_progress: bool = False) -> list[Reply]:
        """Answers to chat messages, in order. Equal questions are sent once; every answer is kept as it comes.

        Raises:
            UsageError: the server does not know the address, the model or the key: no request can succeed.
        """
        bodies = [self._body(question) for question in questions]
        keys = [hashlib.sha256(f"{self.url}\n{body}".encode()).hexdigest() for body in bodies]
        with _replies(self.cache) as kept:
            known = {key: Reply(text, cached=True) for key in set(keys) if (text := kept.get(key)) is not None}
            asked = {key: body for key, body in zip(keys, bodies) if key not in known}
            if asked:
                with progress("judging", len(asked), show_progress) as bar:

                    def keep(key: str, reply: Reply) -> None:
                        known[key] = reply
                        if reply.text is not None:
                            kept.put(key, reply.text)
                        bar.update(sum(name in known for name in asked) if show_progress else 0)

                    _run(lambda: self._ask_all(asked, keep))
        return [known[key] for key in keys]

    def _body(self, question: Sequence[dict[str, str]]) -> str:
        body = {
            "model": self.model,
            "messages": list(question),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        return json.dumps(body, sort_keys=True)

    async def _ask_all(self, asked: dict[str, str], keep: Callable[[str, Reply], None]) -> None:
        import httpx2

        key = os.environ.get(self.key_variable)
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        pace = _Pace(self.requests_per_minute)
        free = asyncio.Semaphore(self.concurrency)
        async with httpx2.AsyncClient(headers=headers, timeout=self.timeout) as client, asyncio.TaskGroup() as group:

            async def one(name: str, body: str) -> None:
                keep(name, await self._ask_one(client, body, pace, free))

            for name, body in asked.items():
                group.create_task(one(name, body))

    async def _ask_one(self, client: Any, body: str, pace: _Pace, free: asyncio.Semaphore) -> Reply:
        import httpx2

        problem = ""
        for attempt in range(self.attempts):
            async with free:
                await pace.turn()
                try:
                    async with asyncio.timeout(self.timeout):  # the client's own limit is for each read
                        response = await client.post(f"{self.url.rstrip('/')}/chat/completions", content=body)
                except TimeoutError:
                    response, problem = None, f"no answer in {self.timeout:g} s"
                except httpx2.UnsupportedProtocol as error:
                    raise UsageError(f"{self.url!r} is no address: {error}") from error
                except httpx2.TransportError as error:
                    response, problem = None, f"{type(error).__name__} {error}".strip()
            wait = min(self.longest_wait, self.first_wait * 2**attempt) * random.uniform(0.5, 1)
            if response is not None:
                if response.status_code == 200:
                    text, problem = _content(response.text)
                    if text is not None:
                        return Reply(text)
                else:
                    problem = f"status {response.status_code}: {response.text[:200]}"
                    if response.status_code in (401, 403):
                        raise UsageError(f"{self.url} refused the key; set ${self.key_variable} ({problem})")
                    if response.status_code == 404:
                        raise UsageError(f"{self.url} has no such address or model as {self.model!r} ({problem})")
                    if response.status_code not in RETRIED:
                        return Reply(None, problem)
                    asked_for = _retry_after(response.headers.get("retry-after"))
                    if asked_for is not None:
                        wait = max(wait, asked_for)
                        pace.pause(asked_for)
            if attempt + 1 < self.attempts:
                await asyncio.sleep(wait)
        return Reply(None, f"no answer in {self.attempts} attempts; the last: {problem}")


class _Pace:
    """When the next request may begin."""

    def __init__(self, per_minute: float | None):
        self.interval = 60.0 / per_minute if per_minute else 0.0
        self.next = 0.0

    async def turn(self) -> None:
        while (left := self.next - time.monotonic()) > 0:
            await asyncio.sleep(left)
        self.next = time.monotonic() + self.interval

    def pause(self, seconds: float) -> None:
        self.next = max(self.next, time.monotonic() + seconds)


class _Replies:
    """Answers by the question's key; each is on disk before the next is awaited."""

    def __init__(self, database: sqlite3.Connection | None):
        self.database = database

    def get(self, key: str) -> str | None:
        if self.database is None:
            return None
        row = self.database.execute("SELECT text FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def put(self, key: str, text: str) -> None:
        if self.database is not None:
            self.database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))
            self.database.commit()


@contextmanager
def _replies(path: Path | None) -> Iterator[_Replies]:
    if path is None:
        yield _Replies(None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=60, check_same_thread=False)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, text TEXT NOT NULL)")
            yield _Replies(database)
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} cannot be used as a cache of replies: {error}; move it away") from error


def _content(text: str) -> tuple[str | None, str]:
    """The answer in a response's body, or what is wrong with it."""
    try:
        content = json.loads(text)["choices"][0]["message"]["content"]
    except (json.JSONDecodeError, LookupError, TypeError):
        return None, f"not a chat completion: {text[:200]!r}"
    return (content, "") if isinstance(content, str) else (None, f"no text in the chat completion: {text[:200]!r}")


def _retry_after(header: str | None) -> float | None:
    """Seconds that a server asks to wait, given as a number or a date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _run(work: Callable[[], Any]) -> None:
    """Run a coroutine to its end, also where a loop is running already, as in a notebook."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failure.append(error)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    if failure:
        error = failure[0]
        raise error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
