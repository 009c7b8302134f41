"""The service as a program meets it: a real process, real requests, real kills."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from headstart.bandits.bandit import BanditSpec, Learner
from headstart.bandits.durable import DurableAgent
from headstart.bandits.journal import Journal, JournalError
from headstart.bandits.lin_ucb import LinUCB
from headstart.bandits.log import read_log
from headstart.bandits.ucb import UCB
from headstart.core.errors import DataError, UsageError
from tests.bandits.served_bandit import Service

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


def test_nothing_acknowledged_is_lost_by_kills_at_random_moments(tmp_path: Path) -> None:
    """Several clients choose and observe as fast as they can; the process is killed again and again."""
    moments = random.Random(0)
    acknowledged: dict[int, float] = {}
    refused: list[object] = []
    for _ in range(2):
        service = Service(tmp_path, *NEW) if not acknowledged else Service(tmp_path)

        def work(name: int, service: Service = service) -> None:
            rewards = random.Random(name)
            connection = service.connect()
            try:
                while True:
                    _, choice = service.ask("POST", "/choose", {"context": CONTEXT}, connection)
                    observed = {"decision": choice["decision"], "reward": rewards.random()}
                    status, answer = service.ask("POST", "/observe", observed, connection)
                    if status != 200:
                        refused.append(answer)
                    acknowledged[observed["decision"]] = observed["reward"]
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                return  # killed

        clients = [threading.Thread(target=work, args=(name,)) for name in range(6)]
        for client in clients:
            client.start()
        before = len(acknowledged)
        while len(acknowledged) < before + 30 and any(client.is_alive() for client in clients):
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3))
        service.process.send_signal(signal.SIGKILL)
        service.process.communicate()
        for client in clients:
            client.join()
    assert refused == []
    service = Service(tmp_path)  # goes on, and ends when it is asked to
    number = service.ask("POST", "/choose", {"context": CONTEXT})[1]["decision"]
    assert service.stop() in (0, -signal.SIGTERM)
    assert (tmp_path / "state.safetensors").exists()
    durable = DurableAgent(tmp_path)
    assert durable.observe(number, 1.0)
    acknowledged[number] = 1.0
    durable.journal.flush()
    rewarded = durable.agent.rewarded
    assert len(acknowledged) > 60
    assert {number: rewarded.get(number) for number in acknowledged} == acknowledged
    records = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    observed = [record["observe"] for record in records if "observe" in record]
    assert len(set(observed)) == len(observed) == durable.agent.observations
    assert len(read_log(tmp_path)) == len(observed)


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


def test_waiters_share_synchronisations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    journal, synchronisations = Journal(tmp_path / "journal.jsonl"), []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (synchronisations.append(file), real(file)))

    async def write(number: int) -> None:
        journal.append({"number": number})
        await journal.durable()
        assert f'"number":{number}}}'.encode() in journal.path.read_bytes()

    async def all_at_once() -> None:
        await asyncio.gather(*map(write, range(50)))

    asyncio.run(all_at_once())
    assert [record["number"] for record in journal.read()] == list(range(50))
    assert len(synchronisations) < 25
