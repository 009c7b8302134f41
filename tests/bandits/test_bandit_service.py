"""The service as a program meets it: a real process, real requests, real kills."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import socket
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from headstart.bandits.bandit import BanditSpec, Learner
from headstart.bandits.connection import Outbox, Unsent
from headstart.bandits.durable import DurableAgent
from headstart.bandits.journal import JournalError
from headstart.bandits.lin_ucb import LinUCB
from headstart.bandits.log import read_log
from headstart.bandits.service import Application, Reply
from headstart.bandits.ucb import UCB
from headstart.core.errors import DataError, UsageError
from tests.bandits.served_bandit import Service, Services

NEW = ("--learner", "lin-ucb:alpha=0.5", "--arms", "2", "--features", "2")
CONTEXT = [[1.0, 0.0], [0.0, 1.0]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    running = Service(tmp_path_factory.mktemp("service") / "new", *NEW)
    yield running
    running.kill()


def test_choose_observe_and_state(service: Service) -> None:
    before = service.ask("GET", "/state")[1]
    status, choice = service.ask("POST", "/choose", {"context": CONTEXT})
    assert status == 200
    assert choice["decision"] == before["decisions"]
    assert choice["action"] in (0, 1)
    assert 0 < choice["propensity"] <= 1
    reward = {"decision": choice["decision"], "reward": 0.5}
    assert service.ask("POST", "/observe", reward) == (200, {"decision": choice["decision"], "learned": True})
    assert service.ask("POST", "/observe", reward) == (200, {"decision": choice["decision"], "learned": False})
    after = service.ask("GET", "/state")[1]
    assert after["observations"] == before["observations"] + 1
    assert after["learner"]["name"] == "lin-ucb"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/choose", {}, 400, "2 rows of 2 features"),
        ("POST", "/choose", {"context": [[1, 2]]}, 400, "shape"),
        ("POST", "/choose", {"contexts": CONTEXT}, 400, "nothing else"),
        ("POST", "/choose", "[", 400, "not JSON"),
        ("POST", "/choose", "[" * 3000, 400, "not JSON"),
        ("POST", "/choose", '{"context": [[NaN, 0], [0, 0]]}', 400, "NaN"),
        ("POST", "/choose", "x" * 100_000, 413, "at most"),
        ("POST", "/observe", {"decision": 10**9, "reward": 0}, 404, "choose before observing"),
        ("POST", "/observe", {"decision": 0}, 400, "expected"),
        ("POST", "/observe", {"decision": 0, "reward": 7}, 400, "declared range"),
        ("GET", "/choose", None, 405, "takes POST"),
        ("POST", "/chose", {}, 404, "/choose"),
    ],
)
def test_requests_that_cannot_work_are_refused_in_words(service, method, path, body, status, words) -> None:
    service.ask("POST", "/choose", {"context": CONTEXT})
    answer = service.ask(method, path, body)
    assert answer[0] == status
    assert words in answer[1]["error"]


def test_pages_of_other_origins_cannot_use_it(service: Service) -> None:
    assert service.ask("POST", "/choose", {"context": CONTEXT}, **{"content-type": "text/plain"})[0] == 415
    assert service.ask("GET", "/state", host="evil.example")[0] == 421


def test_it_describes_itself(service: Service) -> None:
    status, description = service.ask("GET", "/openapi.json")
    assert status == 200
    assert description["openapi"].startswith("3.1")
    assert set(description["paths"]) == {"/choose", "/observe", "/state"}
    example = description["paths"]["/choose"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert service.ask("POST", "/choose", example)[0] == 200
    status, page = service.ask("GET", "/")
    assert status == 200
    assert "POST /observe" in page
    assert "http" not in page.replace("curl http://$HOST", "").replace("HTTP", "")  # nothing from elsewhere


def test_nothing_acknowledged_is_lost_by_ten_kills_at_random_moments(tmp_path: Path) -> None:
    """Several clients choose and observe as fast as they can; the process is killed again and again."""
    moments = random.Random(0)
    acknowledged: dict[int, float] = {}
    chosen: dict[int, tuple[int, float]] = {}
    refused: list[object] = []

    def work(service: Service, name: int) -> None:
        rewards, connection = random.Random(name), service.connect()
        try:
            while True:
                status, choice = service.ask("POST", "/choose", {"context": CONTEXT}, connection)
                if status != 200:
                    refused.append(choice)
                number = choice["decision"]
                chosen[number] = choice["action"], choice["propensity"]
                observed = {"decision": number, "reward": rewards.random()}
                status, answer = service.ask("POST", "/observe", observed, connection)
                if status != 200:
                    refused.append(answer)
                acknowledged[number] = observed["reward"]
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return  # killed

    with Services() as services:
        for kill in range(10):
            service = services.start(tmp_path, *(NEW if kill == 0 else ()))
            clients = [threading.Thread(target=work, args=(service, name)) for name in range(6)]
            for client in clients:
                client.start()
            before = len(acknowledged)
            while len(acknowledged) == before and any(client.is_alive() for client in clients):
                time.sleep(0.002)
            time.sleep(moments.uniform(0.0, 0.2))
            service.kill()
            for client in clients:
                client.join()
    assert refused == []
    durable = DurableAgent(tmp_path)
    rewarded = durable.agent.rewarded
    assert len(acknowledged) > 30
    assert {number: rewarded.get(number) for number in acknowledged} == acknowledged
    records = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    kept = {record["choose"]: (record["action"], record["propensity"]) for record in records if "choose" in record}
    assert {number: kept[number] for number in chosen} == chosen
    observed = [record["observe"] for record in records if "observe" in record]
    assert len(set(observed)) == len(observed) == durable.agent.observations
    assert len(read_log(tmp_path)) == len(observed)
    durable.close()


def test_it_goes_on_after_a_kill_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    first = Service(tmp_path, *NEW)
    number = first.ask("POST", "/choose", {"context": CONTEXT})[1]["decision"]
    first.kill()
    again = Service(tmp_path)
    assert again.ask("POST", "/observe", {"decision": number, "reward": 1.0}) == (200, {"decision": 0, "learned": True})
    assert again.stop() == 0
    assert (tmp_path / "state.safetensors").exists()
    assert DurableAgent(tmp_path).agent.rewarded == {0: 1.0}


def durable(folder: Path, learner: Learner | None = None, seed: int = 0, **options) -> DurableAgent:
    return DurableAgent(folder, learner or LinUCB(alpha=0.5), BanditSpec(2, 2), seed, **options)


def work(agent: DurableAgent, steps: int, start: int = 0) -> list[int]:
    actions = []
    for step in range(start, start + steps):
        decision = agent.choose(np.random.default_rng(step).uniform(-0.7, 0.7, (2, 2)))
        actions.append(decision.action)
        agent.observe(decision.number, 0.5 + 0.5 * np.sin(step + decision.action))
    agent.journal.flush()
    return actions


@pytest.mark.parametrize("save_every", [7, 1000])
def test_journal_and_saved_state_give_the_same_agent(save_every: int, tmp_path: Path) -> None:
    straight = durable(tmp_path / "straight")
    expected = work(straight, 40)
    first = durable(tmp_path / "killed", save_every=save_every)
    actions = work(first, 20)
    os.close(first.journal._file)  # as a kill would
    second = DurableAgent(tmp_path / "killed")
    assert second.agent.decisions == 20
    assert actions + work(second, 20, start=20) == expected
    np.testing.assert_array_equal(second.agent.state.model.inverse, straight.agent.state.model.inverse)


def test_a_line_cut_short_is_dropped_and_a_damaged_one_refused(tmp_path: Path) -> None:
    first = durable(tmp_path)
    work(first, 5)
    os.close(first.journal._file)
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"choose":5,"act')
    second = DurableAgent(tmp_path)
    assert second.agent.decisions == 5
    second.journal.close()
    assert path.read_bytes() == whole
    path.write_bytes(whole[:200] + b"\x00" + whole[201:])
    with pytest.raises(DataError, match="damaged"):
        DurableAgent(tmp_path)


def test_a_saved_state_that_is_damaged_does_no_harm(tmp_path: Path) -> None:
    first = durable(tmp_path)
    work(first, 5)
    first.close()
    (tmp_path / "state.safetensors").write_bytes(b"nonsense")
    assert DurableAgent(tmp_path).agent.observations == 5


def test_a_folder_is_for_one_process_and_one_learner(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a learner"):
        DurableAgent(tmp_path / "empty")
    first = durable(tmp_path)
    with pytest.raises(UsageError, match="in use"):
        DurableAgent(tmp_path)
    first.close()
    with pytest.raises(UsageError, match="begun with learner"):
        durable(tmp_path, UCB())
    with pytest.raises(UsageError, match="begun with seed"):
        durable(tmp_path, seed=4)
    with pytest.raises(DataError, match="does not exist"):
        read_log(tmp_path / "nothing.csv")


def test_nothing_more_is_accepted_once_the_disk_has_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = durable(tmp_path)
    work(first, 3)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    decision = first.choose(CONTEXT)
    with pytest.raises(JournalError, match="No space left"):
        first.journal.flush()
    monkeypatch.undo()
    with pytest.raises(JournalError, match="what was acknowledged is safe"):
        first.observe(decision.number, 1.0)
    os.close(first.journal._file)
    assert DurableAgent(tmp_path).agent.observations == 3


def test_replies_share_synchronisations_and_wait_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, synchronisations = durable(tmp_path), []
    application, real = Application(agent), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (synchronisations.append(file), real(file)))
    headers = {b"host": b"localhost", b"content-type": b"application/json"}
    body = json.dumps({"context": CONTEXT}).encode()

    class Client:
        sent: ClassVar[list[int]] = []

        def send(self, reply: Reply, close: bool) -> None:
            number = json.loads(reply.body)["decision"]
            assert f'"choose":{number},'.encode() in agent.journal.path.read_bytes()
            self.sent.append(number)

    async def all_at_once() -> None:
        outbox = Outbox(application.commit)
        for _ in range(50):
            outbox.add(Unsent(Client(), application.answer("POST", "/choose", headers, body), False))
        assert Client.sent == []
        await outbox.empty()

    asyncio.run(all_at_once())
    assert Client.sent == list(range(50))
    assert len(synchronisations) == 1


def test_a_reply_that_the_disk_did_not_back_is_never_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = durable(tmp_path)
    application, sent = Application(agent), []
    headers = {b"host": b"localhost", b"content-type": b"application/json"}

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    class Client:
        def send(self, reply: Reply, close: bool) -> None:
            sent.append(reply.status)

    async def ask() -> None:
        outbox = Outbox(application.commit)
        for method, path, body in (("POST", "/choose", {"context": CONTEXT}), ("GET", "/state", {})):
            reply = application.answer(method, path, headers, json.dumps(body).encode())
            assert reply.status == 200
            outbox.add(Unsent(Client(), reply, False))
        await outbox.empty()

    monkeypatch.setattr(os, "write", full)
    asyncio.run(ask())
    assert sent == [503, 200]
    assert application.answer("POST", "/choose", headers, json.dumps({"context": CONTEXT}).encode()).status == 503


def raw(service: Service, *parts: bytes) -> bytes:
    """What comes back for bytes sent as they are, until the service closes."""
    host, _, port = service.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_requests_may_be_pipelined_and_come_in_pieces(service: Service) -> None:
    start = b"POST /choose HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    body = json.dumps({"context": CONTEXT}).encode()
    one = start + b"content-length: %d\r\n\r\n" % len(body) + body
    chunked = start + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    last = b"GET /state HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    answer = raw(service, one * 5 + one[:60], one[60:] + chunked + last)
    numbers = [json.loads(part.partition(b"}")[0] + b"}")["decision"] for part in answer.split(b"\r\n\r\n")[1:8]]
    assert numbers == list(range(numbers[0], numbers[0] + 7))
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 80_000, b"431")],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(service: Service, sent: bytes, status: bytes) -> None:
    assert raw(service, sent).startswith(b"HTTP/1.1 " + status)


def test_wishes_for_another_protocol_are_answered_in_this_one(service: Service) -> None:
    wish = (
        b"GET /state HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n"
    )
    answer = raw(service, wish)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1
    old = raw(service, b"GET /state HTTP/1.0\r\nhost: localhost\r\n\r\n")
    assert b"connection: close" in old
    assert json.loads(old.partition(b"\r\n\r\n")[2])["learner"]["name"] == "lin-ucb"
