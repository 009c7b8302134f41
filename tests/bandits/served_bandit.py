"""Starts a real `headstart bandit serve` and talks to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

ONE = "from headstart.cli import main; raise SystemExit(main())"
MANY = """
import os, sys
import jax
import headstart.bandits.connection, headstart.bandits.durable, headstart.bandits.lin_ucb, headstart.bandits.serving
import headstart.cli.bandit
from headstart.cli import main
for line in sys.stdin:
    if (child := os.fork()) == 0:
        raise SystemExit(main(line.split()))
    print("child", child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


class Service:
    """A process of its own, which can be killed."""

    def __init__(self, folder: Path, *options: str):
        command = [sys.executable, "-c", ONE, "bandit", "serve", str(folder), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("serving on http://"):
            raise RuntimeError(f"{line}{self.process.communicate()[1]}")
        self.address = line.split("//")[1].strip()

    def connect(self) -> http.client.HTTPConnection:
        host, _, port = self.address.partition(":")
        return http.client.HTTPConnection(host, int(port), timeout=30)

    def ask(self, method: str, path: str, body: Any = None, connection=None, **headers: str) -> tuple[int, Any]:
        """Status and decoded reply. Text is sent as it is, all else as JSON."""
        own = connection or self.connect()
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        own.request(method, path, content, {"content-type": "application/json"} | headers)
        response = own.getresponse()
        answer = response.read().decode()
        if connection is None:
            own.close()
        kind = response.getheader("content-type") or ""
        return response.status, json.loads(answer) if kind == "application/json" else answer

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.terminate()
        self.process.communicate(timeout=30)
        return self.process.returncode


class ForkedService(Service):
    """One of ``Services``."""

    def __init__(self, asks: TextIO, answers: TextIO, folder: Path, *options: str):
        self.answers = answers
        print("bandit serve", folder, "--port 0", *options, file=asks, flush=True)
        self.child = int(answers.readline().split()[1])
        self.address = answers.readline().split("//")[1].strip()

    def kill(self) -> None:
        os.kill(self.child, signal.SIGKILL)
        assert self.answers.readline() == "ended\n"


class Services:
    """Starts services one after the other by forking a process that has imported all they need: each in a fraction of
    the time."""

    def __enter__(self) -> Services:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", MANY], stdin=pipe, stdout=pipe, text=True)
        return self

    def start(self, folder: Path, *options: str) -> ForkedService:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return ForkedService(self.process.stdin, self.process.stdout, folder, *options)

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)
