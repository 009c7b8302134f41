"""Model-written code is judged by its tests, and can neither pass by leaving early nor get out."""

import os
import sys
import time
from pathlib import Path

import pytest

from headstart.core.errors import UsageError
from headstart.judges import sandbox
from headstart.judges.sandbox import Sandbox, UnitTests, code_of, isolation

ROOMY = Sandbox(time_limit=60)

WEAKER = """
import importlib.util
spec = importlib.util.spec_from_file_location("child", {child!r})
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
child.enter_namespaces = lambda libc: False
child.restrict_writing = lambda libc, folder: False
child.main()
"""


@pytest.fixture(params=["strongest", "fallback"])
def box(request, tmp_path, monkeypatch) -> Sandbox:
    """The sandbox with what this machine permits, and with what Python alone can do."""
    if request.param == "fallback":
        weaker = tmp_path / "weaker.py"
        weaker.write_text(WEAKER.format(child=str(sandbox._CHILD)))
        monkeypatch.setattr(sandbox, "_CHILD", weaker)
    return ROOMY


def test_programs_that_end_pass_and_others_fail(box) -> None:
    outcome = box.run("print('hello')")
    assert (outcome.passed, outcome.reason, outcome.output) == (True, "passed", "hello\n")
    assert set(outcome.isolation) == {"network", "files", "processes"}
    for program in ("assert 1 == 2", "import sys; sys.exit(0)", "import os; os._exit(0)", 's = """', "x = (1,"):
        assert box.run(program).reason == "failed", program


def test_nothing_is_written_outside_the_folder(box, tmp_path) -> None:
    target = tmp_path / "evil"
    keep = tmp_path / "keep"
    keep.write_text("kept")
    assert "PermissionError" in box.run(f"open({str(target)!r}, 'w').write('x')").output
    assert "PermissionError" in box.run(f"import os; os.remove({str(keep)!r})").output
    assert "PermissionError" in box.run(f"import os; os.open({str(keep)!r}, os.O_WRONLY | os.O_TRUNC)").output
    assert not target.exists()
    assert keep.read_text() == "kept"
    assert box.run("import tempfile\nwith tempfile.TemporaryFile('w') as f: f.write('x')").passed
    assert not list(Path(tmp_path).glob("program*"))


def test_there_is_no_network_and_no_environment(box, monkeypatch) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    assert not box.run("import socket\nsocket.create_connection(('127.0.0.1', 9), 1)").passed
    program = "import socket\ntry: socket.create_server(('127.0.0.1', 0))\nexcept OSError: print('refused')"
    assert box.run(program).output == "refused\n"
    assert box.run("import os; assert 'SOME_KEY' not in os.environ").passed
    assert not box.run(f"import os; os.kill({os.getpid()}, 0)").passed


def test_limits_of_memory_and_output() -> None:
    assert "MemoryError" in Sandbox(time_limit=60, memory=256).run("x = bytearray(1 << 30)").output
    outcome = Sandbox(time_limit=60, output=100).run("print('x' * 10**6)")
    assert outcome.passed
    assert outcome.output == "x" * 100 + "… (cut)"


@pytest.mark.parametrize("program", ["while True: pass", "import time; time.sleep(100)"])
def test_time_is_limited(program) -> None:
    outcome = Sandbox(time_limit=0.5).run(program)
    assert (outcome.passed, outcome.reason) == (False, "time limit")


def test_what_a_program_starts_ends_with_it(tmp_path) -> None:
    marker = f"headstart-{os.getpid()}-orphan"
    program = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv({sys.executable!r}, [{sys.executable!r}, "-c", "import time; time.sleep(60)", {marker!r}])
    os._exit(0)
time.sleep(0.3)
"""
    outcome = ROOMY.run(program)
    assert outcome.seconds < 30
    if outcome.isolation["processes"] != "own namespace":
        assert not outcome.passed
        return
    assert outcome.passed
    for _ in range(50):
        if not any(marker in _command(process) for process in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.1)
    raise AssertionError("the orphan lives on")


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def test_this_machine_says_how_it_isolates() -> None:
    assert isolation()["network"] in ("own namespace without devices", "sockets refused in Python")


def test_unit_tests_score_the_share_that_passes() -> None:
    judge = UnitTests("tests", ROOMY)
    right = "Here you are:\n```python\ndef double(x):\n    return 2 * x\n```\nDone."
    wrong = "def double(x):\n    return 4\n"
    tests = ["assert double(1) == 2", "assert double(2) == 4"]
    assert judge.score(["p"] * 2, [right, wrong], {"tests": [tests, tests]}) == [1.0, 0.5]
    assert judge.score(["p"], [wrong], {"tests": ["\n".join(tests)]}) == [0.0]
    with pytest.raises(UsageError, match="holds no tests"):
        judge.score(["p"], [right], {"tests": [[]]})


def test_the_last_block_is_the_code() -> None:
    assert code_of("```python\na\n```\nno:\n```\nb\n```") == "b\n"
    assert code_of("x = 1") == "x = 1"
