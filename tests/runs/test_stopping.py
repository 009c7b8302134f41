"""Runs stopped from outside: seeds in processes of their own, and what must not be signalled."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.core.errors import UsageError
from headstart.core.files import write_json
from headstart.runs.folder import RunFolder
from headstart.runs.stopping import stop, trainers

TRAIN = [sys.executable, "-c", "from headstart.cli import main; raise SystemExit(main())"]
TRAIN += [
    "train",
    "dqn",
    "--env",
    "mountain-car",
    "--seeds",
    "3",
    "--workers",
    "2",
    "--quiet",
    "--checkpoint-every",
    "100",
]
TRAIN += [
    "--log-every",
    "100",
    "--evaluate-every",
    "100000",
    "--evaluate-episodes",
    "1",
    "--hidden",
    "8",
    "--replay-capacity",
    "1000",
]
RECORD = """
import signal, sys, time
from headstart.runs.folder import RunFolder
if len(sys.argv) > 2:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.argv[2] == "term":
        signal.signal(signal.SIGTERM, signal.default_int_handler)
run = RunFolder.create(sys.argv[1], {"method": "dqn"}, [0], accelerators=[])
with run.seed(0).record() as recorder:
    while True:
        time.sleep(0.02)
"""


PATIENCE = 180.0
"""Seconds until a process counts as deaf: what it does first is to write to a disk that others may keep busy."""


def wait_for(condition, process=None):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None
        time.sleep(0.05)


def states(path):
    return [seed.status().state for seed in RunFolder.open(path).seed_folders()]


@pytest.fixture
def started():
    """A function that starts a Python process, which is killed in the end."""
    processes = []

    def heed():  # background jobs of a shell ignore it, and so would theirs
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def start(command, **options):
        processes.append(subprocess.Popen(command, preexec_fn=heed, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_seeds_in_several_processes_stop_together_with_their_checkpoints(tmp_path, started):
    path = tmp_path / "run"
    process = started([*TRAIN, "--online-steps", "100000000", "--out", str(path)])

    def training():
        return path.exists() and all(seed.checkpoints.latest() for seed in RunFolder.open(path).seed_folders()[:2])

    wait_for(training, process)
    run = RunFolder.open(path)
    assert [one.pid for one in stop(run)] == [process.pid]
    assert process.wait(PATIENCE) == 130
    wait_for(lambda: states(path) == ["stopped", "stopped", "waiting"])
    for seed in run.seed_folders()[:2]:
        assert seed.checkpoints.latest_progress() == seed.status().environment_steps
    with pytest.raises(UsageError, match="none of its seeds is being trained"):
        stop(run)


@pytest.mark.parametrize("mode", ["", "term"])
def test_a_process_is_told_by_a_signal_that_it_heeds(tmp_path, started, mode):
    path = tmp_path / "run"
    process = started([sys.executable, "-c", RECORD, str(path), *([mode] if mode else [])], stderr=subprocess.DEVNULL)
    wait_for(lambda: path.exists() and states(path) == ["running"], process)
    (found,) = stop(RunFolder.open(path))
    assert found.pid == process.pid
    assert str(path) in found.command
    process.wait(PATIENCE)
    assert states(path) == ["stopped"]


def test_a_process_that_could_only_be_killed_is_left_alone(tmp_path, started):
    path = tmp_path / "run"
    process = started([sys.executable, "-c", RECORD, str(path), "deaf"], stderr=subprocess.DEVNULL)
    wait_for(lambda: path.exists() and states(path) == ["running"], process)
    with pytest.raises(UsageError, match="heeds neither"):
        stop(RunFolder.open(path))
    assert states(path) == ["running"]


@pytest.fixture
def own(tmp_path):
    """A run that this very process trains, and a function that changes what its status says."""
    run = RunFolder.create(tmp_path / "run", {"method": "dqn"}, [0], accelerators=[])
    with run.seed(0).record():

        def say(**facts):
            status = dataclasses.replace(run.seed(0).status(), **facts)
            write_json(run.seed(0).path / "status.json", dataclasses.asdict(status))

        yield run, say


def test_a_number_that_another_process_has_now_is_not_signalled(own, started):
    run, say = own
    assert [one.pid for one in trainers(run)] == [os.getpid()]
    began = time.time()
    later = started([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
    later.stdout.read(1)
    say(pid=later.pid, started=began - 60)
    with pytest.raises(UsageError, match="no longer the one that trained it"):
        stop(run)
    assert later.poll() is None
    later.stdout.close()
    later.send_signal(signal.SIGKILL)
    later.wait()
    with pytest.raises(UsageError, match=f"nothing can be found out about process {later.pid}"):
        stop(run)


def test_runs_elsewhere_and_trials_are_refused_with_what_to_do(own, started):
    run, say = own
    say(host="elsewhere", heartbeat=time.time())
    with pytest.raises(UsageError, match="trained on elsewhere, not on this machine; press Ctrl-C"):
        stop(run)
    trial = started([sys.executable, "-c", "import time; time.sleep(60)", "headstart.tune.worker"])
    say(host=socket.gethostname(), pid=trial.pid, started=time.time() + 1)
    wait_for(lambda: b"tune" in Path(f"/proc/{trial.pid}/cmdline").read_bytes())
    with pytest.raises(UsageError, match="trial of a search"):
        stop(run)
