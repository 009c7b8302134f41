"""A run stopped or killed at any moment continues to the very parameters it would have reached."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from headstart.control.workers import ONE_THREAD
from headstart.runs.folder import RunFolder

SCRIPT = """
import sys
from headstart.control.plan import offline, online, warmup
from headstart.control.sac import SAC
from headstart.control.trainer import Settings
from headstart.control.training import resume, train
from headstart.core.interruption import let_sigterm_interrupt
from headstart.runs.folder import RunFolder
from pathlib import Path

folder, world = sys.argv[1:]
let_sigterm_interrupt()
if Path(folder).exists():
    resume(folder, workers=1, show_progress=False)
else:
    train(
        SAC(hidden=(16,), batch_size=16), world=world, folder=folder, workers=1, show_progress=False,
        plan=[warmup(60, "random"), online(STEPS), online(100, updates_per_step=2)],
        settings=Settings(log_every=50, evaluate_every=200, evaluate_episodes=2, checkpoint_every=100),
    )
"""


def start(folder: Path, world: str, steps: int) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT.replace("STEPS", str(steps)), str(folder), world]
    return subprocess.Popen(command, env=os.environ | ONE_THREAD, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, world: str, steps: int) -> None:
    process = start(folder, world, steps)
    assert process.wait() == 0, process.stderr and process.stderr.read()


def stop(folder: Path, world: str, steps: int) -> None:
    """Ask the run to stop while its first piece of work is being done; there is no checkpoint yet."""
    process, seed = start(folder, world, steps), folder / "seed-0"
    while not (seed / "lock").exists() or RunFolder.open(folder).seed(0).status().state != "running":
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert "stopping as soon as a checkpoint is written" in said
    status, latest = (found := RunFolder.open(folder).seed(0)).status(), found.checkpoints.latest()
    assert (status.state, latest.progress) == ("stopped", 50)
    assert latest.metadata["environment_steps"] == status.environment_steps == 50


def outcome(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list]:
    seed = RunFolder.open(folder).seed(0)
    latest = seed.checkpoints.latest()
    metrics = seed.metrics().drop("time").rows()
    agent, replay = (load_file(latest.folder / f"{name}.safetensors") for name in ("agent", "replay"))
    return agent, replay, metrics


@pytest.mark.parametrize(("world", "steps", "kills"), [("pendulum", 1000, 2), ("Hopper-v5", 600, 2)])
def test_stopped_and_killed_at_random_moments_a_run_ends_bit_for_bit_the_same(tmp_path, world, steps, kills):
    finish(tmp_path / "whole", world, steps)
    generator = random.Random(world)
    stop(tmp_path / "killed", world, steps)
    for _ in range(kills):
        process = start(tmp_path / "killed", world, steps)
        # Past a checkpoint of its own at the earliest, then at any moment, in the middle of writing too.
        while process.poll() is None and not list((tmp_path / "killed").glob("seed-0/checkpoints/*00")):
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert RunFolder.open(tmp_path / "killed").seed(0).status().state in ("killed", "finished")
    finish(tmp_path / "killed", world, steps)
    whole, killed = outcome(tmp_path / "whole"), outcome(tmp_path / "killed")
    for expected, found in zip(whole[:2], killed[:2], strict=True):
        assert expected.keys() == found.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(array, found[name], err_msg=name)
    assert whole[2] == killed[2]
