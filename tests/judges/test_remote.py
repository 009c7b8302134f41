"""A remote judge gets its answers from a server that fails on purpose, and pays for none of them twice."""

import asyncio
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headstart.core.errors import UsageError
from headstart.judges.chat_client import ChatClient
from headstart.judges.judge import checked_preferences, checked_scores
from headstart.judges.remote import RemoteJudge


class Server:
    """Answers with a grade for each answer's length, after the faults that it was told of.

    Attributes:
        faults: what to do at the first requests, in order: a status, "hang", "garbage" or "empty".
    """

    def __init__(self):
        self.faults: list = []
        self.always: dict = {}
        self.seen: list[dict] = []
        self.keys: Counter = Counter()
        self.under_way = self.most_under_way = 0
        self.times: list[float] = []
        self.hold = 0.0
        lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    owner.times.append(time.monotonic())
                    owner.seen.append(body)
                    owner.keys[self.headers.get("authorization")] += 1
                    owner.under_way += 1
                    owner.most_under_way = max(owner.most_under_way, owner.under_way)
                    fault = owner.faults.pop(0) if owner.faults else None
                text = body["messages"][0]["content"]
                fault = next((then for part, then in owner.always.items() if part in text), fault)
                time.sleep(owner.hold)
                try:
                    self.answer(fault, text)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with lock:
                        owner.under_way -= 1

            def answer(self, fault, text: str) -> None:
                if fault == "hang":
                    time.sleep(1.0)
                status, headers = fault if isinstance(fault, tuple) else (fault, {})
                payload = json.dumps({"choices": [{"message": {"content": owner.reply(text)}}]})
                payload = {"garbage": "<html>", "empty": "{}"}.get(status, payload)
                self.send_response(status if isinstance(status, int) else 200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload.encode())

            def log_message(self, *arguments) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, text: str) -> str:
        if "<answer_A>" in text:
            first = text.split("<answer_A>\n")[1].split("\n</answer_A>")[0]
            second = text.split("<answer_B>\n")[1].split("\n</answer_B>")[0]
            if "always the first" in text:
                return "Preferred: A"
            return f"Preferred: {'A' if len(first) > len(second) else 'B' if len(second) > len(first) else 'tie'}"
        answer = text.split("<answer>\n")[1].split("\n</answer>")[0]
        return "I would rather not." if answer == "mute" else f"A thought on 99 things.\n**Score:** {len(answer)}"


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def client(server, tmp_path):
    def make(**options):
        settings = {"cache": tmp_path / "replies.sqlite", "first_wait": 0.01, "timeout": 0.5} | options
        return ChatClient(server.url, "tiny", **settings)

    return make


TEXTS = ["a", "bb", "ccc", "dddd"]


def test_scores_through_every_failure(server, client, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-1")
    server.faults = [500, "garbage", "empty", 429, "hang", 503]
    judge = RemoteJudge(client())
    assert judge.score(["p"] * 4, TEXTS) == [1, 2, 3, 4]
    assert len(server.seen) == 4 + 6
    assert server.seen[0]["model"] == "tiny"
    assert server.keys == {"Bearer key-1": 10}


def test_nothing_is_paid_twice(server, client) -> None:
    assert RemoteJudge(client()).score(["p"] * 3, ["a", "bb", "a"]) == [1, 2, 1]
    assert len(server.seen) == 2, "equal questions are sent once"
    assert RemoteJudge(client()).score(["p"] * 3, ["bb", "a", "ccc"]) == [2, 1, 3]
    assert len(server.seen) == 3
    assert RemoteJudge(client(temperature=0.5)).score(["p"], ["a"]) == [1]
    assert len(server.seen) == 4, "another temperature is another question"


def test_what_was_answered_before_a_failure_is_kept(server, client) -> None:
    server.always = {"ccc": 404}
    with pytest.raises(UsageError, match="no such address or model as 'tiny'"):
        RemoteJudge(client(concurrency=1)).score(["p"] * 4, TEXTS)
    sent = len(server.seen)
    assert RemoteJudge(client()).score(["p"] * 2, TEXTS[:2]) == [1, 2]
    assert len(server.seen) == sent


def test_rows_that_cannot_be_judged_are_set_aside_alone(server, client) -> None:
    server.always = {"bb": 400, "ccc": 500}
    found = checked_scores(RemoteJudge(client(attempts=2)), ["p"] * 5, [*TEXTS, "mute"])
    assert found == [1, None, None, 4, None]
    assert found.reasons[1].startswith("status 400")
    assert found.reasons[2].startswith("no answer in 2 attempts; the last: status 500")
    assert "has no verdict: 'I would rather not.'" in found.reasons[4]
    assert sum("bb" in body["messages"][0]["content"] for body in server.seen) == 1, "a bad request is not repeated"


def test_a_server_that_is_not_there() -> None:
    client = ChatClient("http://127.0.0.1:9/v1", "tiny", attempts=2, first_wait=0.01, cache=None)
    assert "ConnectError" in client.ask([[{"role": "user", "content": "x"}]])[0].problem
    with pytest.raises(UsageError, match="is no address"):
        ChatClient("localhost", "tiny", cache=None).ask([[{"role": "user", "content": "x"}]])


def test_a_refused_key(server, client) -> None:
    server.faults = [401]
    with pytest.raises(UsageError, match="set \\$OPENAI_API_KEY"):
        RemoteJudge(client()).score(["p"], ["a"])


def test_retry_after_is_honoured_by_all(server, client) -> None:
    server.faults = [(429, {"retry-after": "0.4"})]
    assert RemoteJudge(client(concurrency=1)).score(["p"] * 2, TEXTS[:2]) == [1, 2]
    assert server.times[1] - server.times[0] > 0.39


def test_concurrency_and_rate_are_limited(server, client) -> None:
    server.hold = 0.05
    texts = [f"t{i}" for i in range(12)]
    RemoteJudge(client(concurrency=3)).score(["p"] * 12, texts)
    assert 1 < server.most_under_way <= 3
    server.times.clear()
    RemoteJudge(client(requests_per_minute=1200, cache=None)).score(["p"] * 5, texts[:5])
    assert server.times[-1] - server.times[0] > 0.19


def test_preferences_average_both_orders(server, client) -> None:
    judge = RemoteJudge(client())
    assert judge.prefer(["p"] * 3, ["aa", "b", "c"], ["a", "bb", "d"]) == [1.0, 0.0, 0.5]
    assert len(server.seen) == 6
    with pytest.warns(UserWarning, match="favour the first by 1.00"):
        assert judge.prefer(["always the first"], ["a"], ["bb"]) == [0.5]
    server.always = {"zz": 400}
    found = checked_preferences(judge, ["p"] * 2, ["zz", "aa"], ["z", "a"])
    assert found == [None, 1.0]
    assert "status 400" in found.reasons[0]


def test_within_a_running_loop(server, client) -> None:
    async def notebook():
        return RemoteJudge(client()).score(["p"], ["bb"])

    assert asyncio.run(notebook()) == [2]


def test_braces_in_answers_mean_nothing(server, client) -> None:
    RemoteJudge(client()).score(["{completion} {x}"], ["{prompt}"])
    text = server.seen[0]["messages"][0]["content"]
    assert "<request>\n{completion} {x}\n</request>" in text
    assert "<answer>\n{prompt}\n</answer>" in text
