"""Several processes train the model that one alone trains, whole or divided among them, and go on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import safetensors.torch
import torch

from headstart.envs.text.keywords import KeyWords
from headstart.language.online import Online
from headstart.language.settings import Training
from headstart.language.training import train

SETTINGS = {"learning_rate": 2e-3, "batch_size": 11, "micro_batch_size": 4, "schedule": "constant"}
SETTINGS |= {"warmup_fraction": 0.0, "log_every": 1, "checkpoint_minutes": 0.0}
PLAN = {"iterations": 2, "prompts_per_iteration": 15, "prompts_at_once": 5, "completions": 4, "pairing": "each"}
PLAN |= {"history": "current", "steps_per_iteration": 4, "max_tokens": 8, "reward_kl": 0.05}

PROGRAM = """
import json, sys
from tests_of_processes import offline, online
model, rows, folder = json.loads(sys.argv[1])
offline(model, rows, folder + "/offline")
online(model, rows, folder + "/online")
"""


def offline(model: str, rows: list[dict[str, Any]], folder: str) -> None:
    """Fine-tuning by the mean over tokens, on batches that no two processes can divide evenly."""
    settings = Training(steps=40, **SETTINGS)
    train("sft", model, rows, training=settings, folder=folder, resume=Path(folder).exists(), show_progress=False)


def online(model: str, rows: list[dict[str, Any]], folder: str) -> None:
    """Own completions with a reference, and held-out prompts."""
    train(
        "ppo", model, prompts=rows, judge=KeyWords(), held_out=rows[:7], plan=Online(**PLAN),
        training=Training(**SETTINGS), folder=folder, resume=Path(folder).exists(), show_progress=False,
    )  # fmt: skip


def together(tmp_path: Path, given: list[Any], divided: bool) -> subprocess.Popen[bytes]:
    """Both trainings in two processes."""
    (tmp_path / "tests_of_processes.py").write_text(Path(__file__).read_text())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    environment["ACCELERATE_USE_FSDP"] = str(divided).lower()
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen([*launcher, str(program), json.dumps(given)], env=environment)


def kill_all(launcher: subprocess.Popen[bytes]) -> None:
    """Kill the launcher and its workers, which are in sessions of their own, and wait until they are gone."""
    workers = psutil.Process(launcher.pid).children(recursive=True)
    for process in (*workers, launcher):
        process.send_signal(signal.SIGKILL)
    assert launcher.wait() == -signal.SIGKILL
    assert psutil.wait_procs(workers, timeout=60)[1] == []


def same_run(one: Path, other: Path) -> None:
    weights = [safetensors.torch.load_file(run / "seed-0/model/model.safetensors") for run in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=2e-5)


def test_two_processes_train_what_one_does_also_after_a_kill(key_words, prompts, tmp_path) -> None:
    """Whole weights in the first launch; divided ones in the second, which is killed, and the third, which goes on."""
    world, model = key_words
    draw = np.random.default_rng(0)
    words = list(world.vocabulary)
    rows = [
        {**row, "completion": " ".join(draw.choice(words[:6], size=1 + i % 7))} for i, row in enumerate(prompts[:33])
    ]
    offline(str(model), rows, str(tmp_path / "one/offline"))
    online(str(model), rows, str(tmp_path / "one/online"))
    whole = together(tmp_path, [str(model), rows, str(tmp_path / "whole")], divided=False)
    assert whole.wait() == 0
    given = [str(model), rows, str(tmp_path / "divided")]
    killed = together(tmp_path, given, divided=True)
    checkpoints = tmp_path / "divided/offline/seed-0/checkpoints"
    while killed.poll() is None and not list(checkpoints.glob("0*")):
        time.sleep(0.005)
    kill_all(killed)
    assert not (tmp_path / "divided/offline/seed-0/model").exists()
    assert together(tmp_path, given, divided=True).wait() == 0
    for several in ("whole", "divided"):
        for kind in ("offline", "online"):
            same_run(tmp_path / "one" / kind, tmp_path / several / kind)
    seen = [
        [
            json.loads(line)["completions"]
            for line in (tmp_path / run / "online/seed-0/iterations/001/completions.jsonl").open()
        ]
        for run in ("one", "whole", "divided")
    ]
    assert seen[0] == seen[1] == seen[2]
