"""Functions that searches in these tests train: cheap, and some of them ill-behaved."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from pathlib import Path

import numpy as np


def quadratic(configuration: dict, seed: int, steps: int, folder: Path) -> float:
    """Best, at 0, where x is 0.3 and y is 0.01; every seed has its own small error. More steps mean less of it."""
    noise = np.random.default_rng(seed).normal(scale=0.02)
    apart = (configuration["x"] - 0.3) ** 2 + ((math.log10(configuration["y"]) + 2) / 4) ** 2
    return -apart * (1 + 1 / steps) + noise


def travelling(configuration: dict, seed: int, steps: int, folder: Path) -> float:
    """A state that moves at the speed x while it is trained, and is worth how far it has come; 1 a step at most."""
    path = folder / "state.json"
    state = json.loads(path.read_text()) if path.exists() else {"at": 0.0, "steps": 0, "lived": []}
    state["at"] += (steps - state["steps"]) * (1 - abs(configuration["x"] - 0.7))
    state["lived"] += [os.getpid()]
    path.write_text(json.dumps(state | {"steps": steps}))
    return state["at"]


def slow(configuration: dict, seed: int, steps: int, folder: Path) -> float:
    """Takes a while, in the processor's time; leaves a mark for every time it ran."""
    with open(folder / "marks", "a") as marks:
        marks.write(f"{os.getpid()}\n")
    ends = time.process_time() + configuration.get("seconds", 0.2)
    while time.process_time() < ends:
        sum(range(1000))
    return configuration["x"]


def ill_behaved(configuration: dict, seed: int, steps: int, folder: Path) -> float:
    """Does what its configuration says."""
    behaviour = configuration["behaviour"]
    if behaviour == "dies once" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "hangs":
        time.sleep(600)
    if behaviour == "grows":
        kept = [np.ones((256, 2**17))]
        time.sleep(600 + len(kept))
    if behaviour == "raises":
        raise RuntimeError("no luck")
    print("what code prints must not be taken for an answer")
    return math.nan if behaviour == "not a number" else 1.0


def failing(configuration: dict, seed: int, steps: int, folder: Path) -> float:
    """Never works."""
    raise RuntimeError("never works")
