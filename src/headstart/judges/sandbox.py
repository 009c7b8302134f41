"""Unit tests of code that a model wrote, run where it can do no harm.

Each program runs in its own process, with limits on time, memory, file size and output, an empty environment, no
network, and a temporary folder as the only place to write; when it ends or is killed, all that it started ends too.
On Linux the kernel sees to it (namespaces, Landlock, resource limits) where it permits; elsewhere sockets, new
processes and writing are refused by name inside Python, which stops mistakes but not an attacker. ``isolation`` says
which of the two holds on this machine.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.core.errors import UsageError
from headstart.judges.judge import Columns, column, plain_text, row_name

_CHILD = Path(__file__).with_name("sandbox_child.py")
_FENCED = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\r?\n(.*?)```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes:
        passed: it ran to its last line within its limits.
        reason: ``passed``, ``failed`` (it raised or left early), ``time limit`` or ``killed``.
        output: what it printed, errors included; cut at the sandbox's limit.
        seconds: wall time.
        isolation: what kept it in, by what is kept in (``network``, ``files``, ``processes``).
    """

    passed: bool
    reason: str
    output: str
    seconds: float
    isolation: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sandbox:
    """Runs Python programs shut in.

    Attributes:
        time_limit: seconds of wall time, and of processor time for each process.
        memory: megabytes of address space for each process.
        file_size: megabytes that one file may have.
        output: characters of output that are kept.
    """

    time_limit: float = 10.0
    memory: int = 1024
    file_size: int = 64
    output: int = 10_000

    def run(self, program: str) -> Outcome:
        """Run a program to its end, or to the end of its time.

        Raises:
            UsageError: on Windows, which has no resource limits.
        """
        if sys.platform == "win32":
            raise UsageError("model-written code is run on Linux and macOS only: Windows has no resource limits")
        secret = secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="headstart-sandbox-", ignore_cleanup_errors=True) as folder:
            read_end, write_end = os.pipe()
            path = Path(folder) / "program.py"
            # Only the end of the program writes this, so leaving early never counts as passing.
            path.write_text(f"{program}\n\nimport os as _os\n_os.write({write_end}, {secret.encode()!r})\n", "utf-8")
            limits = {
                "RLIMIT_CPU": max(1, round(self.time_limit) + 1),
                "RLIMIT_AS": self.memory << 20,
                "RLIMIT_FSIZE": self.file_size << 20,
                "RLIMIT_CORE": 0,
                "RLIMIT_NOFILE": 256,
            }
            arguments = [json.dumps(limits), str(write_end), folder, str(path)]
            started = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(_CHILD), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"},
                pass_fds=[write_end],
                start_new_session=True,
            )
            os.close(write_end)
            output, report, in_time = self._watch(process, read_end, started + self.time_limit)
        facts, _, said = report.partition("\n")
        reason = "time limit" if not in_time else "killed" if process.returncode < 0 else "failed"
        passed = in_time and said == secret
        isolation = json.loads(facts) if facts.startswith("{") and facts.endswith("}") else {}
        return Outcome(passed, "passed" if passed else reason, output, time.monotonic() - started, isolation)

    def _watch(self, process: Any, read_end: int, deadline: float) -> tuple[str, str, bool]:
        """Gather output and report until the program ends or its time does; then end all that is left of it."""
        kept = {"output": bytearray(), "report": bytearray()}
        in_time = True
        with selectors.DefaultSelector() as selector, process.stdout, os.fdopen(read_end, "rb", 0) as report:
            selector.register(process.stdout, selectors.EVENT_READ, "output")
            selector.register(report, selectors.EVENT_READ, "report")
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    in_time = process.poll() is not None
                    break
                if process.poll() is not None:
                    _end(process)  # whatever it left behind holds the pipes open
                    left = min(left, 0.2)
                ready = selector.select(min(left, 0.05))
                for key, _ in ready:
                    part = os.read(key.fd, 65536)
                    if not part:
                        selector.unregister(key.fileobj)
                    elif len(kept[key.data]) < 4 * self.output:
                        kept[key.data] += part
                if process.poll() is not None and not ready:
                    break
            _end(process)
            process.wait()
        text = kept["output"].decode("utf-8", "replace")
        cut = f"{text[: self.output]}… (cut)" if len(text) > self.output else text
        return cut, kept["report"].decode("utf-8", "replace"), in_time


def isolation() -> dict[str, str]:
    """What keeps a program in on this machine: of the network, files and processes."""
    return Sandbox().run("").isolation


def code_of(completion: Any) -> str:
    """The code of a completion: its last fenced block, or all of it where there is none."""
    text = plain_text(completion)
    blocks = _FENCED.findall(text)
    return blocks[-1] if blocks else text


@dataclass(frozen=True)
class UnitTests:
    """Scores code by unit tests: the share of a row's tests that pass.

    A row's tests are Python text, run after the completion's code in the same file (assertions, say): one text is one
    test; a list of texts is run one by one.

    Attributes:
        column: of the tests.
        sandbox: limits.
        workers: programs run at a time; as many as processors by default.
    """

    column: str
    sandbox: Sandbox = Sandbox()
    workers: int | None = None

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Columns | None = None) -> list[float]:
        """The share of tests passed for each completion, 0 to 1."""
        programs: list[list[str]] = []
        for completion, tests in zip(completions, column(columns, self.column)):
            programs.append([f"{code_of(completion)}\n\n{test}" for test in self._each(tests, "a row")])
        with ThreadPoolExecutor(self.workers or os.cpu_count()) as pool:
            outcomes = iter(list(pool.map(self.sandbox.run, [program for row in programs for program in row])))
        return [sum(next(outcomes).passed for _ in row) / len(row) for row in programs]

    def check_columns(self, columns: Columns) -> None:
        """Refuse rows without the column or without tests in it, before anything is drawn to be judged."""
        for row, tests in enumerate(column(columns, self.column)):
            self._each(tests, row_name(columns, row))

    def _each(self, tests: Any, where: str) -> list[str]:
        each: list[str] = [tests] if isinstance(tests, str) else list(tests or ())
        if not each:
            raise UsageError(f"column {self.column!r} holds no tests for {where}")
        return each


def _end(process: Any) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
