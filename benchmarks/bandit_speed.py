"""Rows of logged feedback a second, beside MABWiser; pairs of requests a second, and what ten kills lose.

``python -m benchmarks.bandit_speed``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Side, compare, record

BIN = ROOT / ".venv" / "bin"
PROBLEM = {"arms": 10, "features": 10}
LEARNERS = {
    "LinUCB, a model for each arm": ("lin-ucb", {"alpha": 1.0, "disjoint": True}),
    "linear Thompson sampling, a model for each arm": (
        "lin-thompson",
        {"deviation": 0.5, "disjoint": True, "propensity_draws": 1},
    ),
    "Thompson sampling, no context": ("beta-thompson", {"propensity_draws": 1}),
}
"""By title: the learner and its fields, which make it what MABWiser's of that name is."""


def sides(learner: str, fields: dict[str, Any], rows: int) -> list[Side]:
    """The same log three ways: compiled, one row at a time, and MABWiser's one row at a time."""
    task = PROBLEM | {"learner": learner, "fields": fields, "windows": 3}
    return [
        Side("headstart, replay", ".venv", "headstart_bandit.py", task | {"rows": 20 * rows, "loop": "compiled"}),
        Side("headstart, one at a time", ".venv", "headstart_bandit.py", task | {"rows": rows, "loop": "live"}),
        Side("MABWiser", ".venvs/mabwiser", "mabwiser_bandit.py", task | {"rows": rows}),
    ]


class Service:
    """``headstart bandit serve`` in a process of its own."""

    def __init__(self, folder: Path, *options: str):
        command = [BIN / "headstart", "bandit", "serve", folder, "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def processor_seconds(self) -> float:
        """What it has used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection that chooses and observes in turn."""

    def __init__(self, port: int, body: bytes):
        self.port, self.body = port, body

    async def work(self, until: float, acknowledged: dict[int, float], name: int) -> None:
        """Go on until that time, or until the service is gone; note every acknowledged reward."""
        rewards = random.Random(name)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            while time.perf_counter() < until:
                decision = (await self._post(reader, writer, b"/choose", self.body))["decision"]
                reward = rewards.random()
                body = json.dumps({"decision": decision, "reward": reward}).encode()
                await self._post(reader, writer, b"/observe", body)
                acknowledged[decision] = reward
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return

    async def _post(self, reader: Any, writer: Any, path: bytes, body: bytes) -> dict[str, Any]:
        length = str(len(body)).encode()
        kind = b"content-type: application/json\r\ncontent-length: "
        writer.write(b"POST " + path + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n" + kind + length + b"\r\n\r\n" + body)
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(size))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer)
        return answer


def load(port: int, context: Any, connections: int, seconds: float) -> dict[int, float]:
    """Drive the service and return the acknowledged rewards by decision."""
    body = json.dumps({} if context is None else {"context": context}).encode()
    acknowledged: dict[int, float] = {}

    async def all_clients() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(Client(port, body).work(until, acknowledged, name) for name in range(connections)))

    asyncio.run(all_clients())
    return acknowledged


def throughput(
    options: list[str], context: Any, connections: int, seconds: float, repetitions: int
) -> tuple[list[float], list[float]]:
    """Pairs of choose and observe a second, each on disk before it is acknowledged; and a processor second of the
    service."""
    rates, processor_rates = [], []
    with tempfile.TemporaryDirectory() as name:
        service = Service(Path(name) / "bandit", *options)
        load(service.port, context, connections, 1.0)
        for _ in range(repetitions):
            start, used = time.perf_counter(), service.processor_seconds()
            done = len(load(service.port, context, connections, seconds))
            rates.append(round(done / (time.perf_counter() - start), 1))
            processor_rates.append(round(done / (service.processor_seconds() - used), 1))
        service.process.terminate()
        service.process.wait()
    return rates, processor_rates


def kills(options: list[str], context: Any, connections: int, count: int) -> tuple[int, int]:
    """Kill the service at random moments under load; count the rewards lost, and all acknowledged."""
    moments, acknowledged = random.Random(0), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bandit"
        for number in range(count):
            service = Service(folder, *options)
            threading.Timer(moments.uniform(0.2, 2.0), service.process.kill).start()
            acknowledged |= load(service.port, context, connections, 60.0)
            assert service.process.wait() == -signal.SIGKILL
            print(f"  kill {number + 1}: {len(acknowledged)} rewards acknowledged so far", flush=True)
        records = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().split(b"\n")[:-1]]
    kept = {record["observe"]: record["reward"] for record in records if "observe" in record}
    lost = sum(kept.get(decision) != reward for decision, reward in acknowledged.items())
    return lost, len(acknowledged)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000, help="of the log; twenty times as many for replay")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load in one measurement of the service")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--only", nargs="*", choices=list(LEARNERS), default=list(LEARNERS), help="the others are kept")
    options = parser.parse_args()

    numbers = {}
    for title in options.only:
        learner, fields = LEARNERS[title]
        print(title)
        numbers[title] = compare(sides(learner, fields, options.rows), options.repetitions, ["one"])
    context = [[0.1 * (row + column) % 1 / 3 for column in range(5)] for row in range(10)]
    linear = ["--learner", "lin-ucb:alpha=0.5", "--arms", "10", "--features", "5"]
    served = {
        "ucb, 10 arms": (["--learner", "ucb", "--arms", "10"], None),
        "lin-ucb, 10 arms, 5 features": (linear, context),
    }
    measures: dict[str, list[float]] = {}
    for title, (flags, shown) in served.items():
        before = os.getloadavg()[0]
        rates, processor = throughput(flags, shown, options.connections, options.seconds, options.repetitions)
        measures[f"pairs of choose and observe a second, {title}; load average before {before:.1f}"] = rates
        measures[f"pairs a processor second of the service, {title}"] = processor
        print(f"  serve, {title}: {rates} pairs/s, {processor} a processor second", flush=True)
    lost, acknowledged = kills(linear, context, options.connections, options.kills)
    measures[f"rewards lost in {options.kills} kills, of {acknowledged:,} acknowledged"] = [lost]
    print(f"  {lost} of {acknowledged} acknowledged rewards lost in {options.kills} kills")
    record("bandit_speed", {"unit": "rows/s", "comparisons": numbers, "measures": measures})


if __name__ == "__main__":
    main()
