"""Starts a real `headstart bandit serve` and talks to it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Service:
    """A process of its own, which can be killed."""

    def __init__(self, folder: Path, *options: str):
        code = "from headstart.cli import main; raise SystemExit(main())"
        command = [sys.executable, "-c", code, "bandit", "serve", str(folder), "--port", "0", *options]
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
