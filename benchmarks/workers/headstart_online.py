"""Environment steps a second of headstart, by ``train`` in one world."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
from headstart_data import experience
from task import Stopwatch, read_task, write_report

from headstart.control.registry import METHODS
from headstart.control.training import Settings, online, train, warmup

task = read_task()
window, mixing = task["window"], task.get("data_ratio", 0.0)


class Timed(gymnasium.Wrapper):
    """Notes the time at every step."""

    made: ClassVar[list[Timed]] = []

    def __init__(self) -> None:
        super().__init__(gymnasium.make(task["world"]))
        self.stopwatch, self.steps = Stopwatch(window), 0
        self.made.append(self)

    def step(self, action: Any) -> Any:
        """One step of the world."""
        self.steps += 1
        self.stopwatch.at(self.steps)
        return super().step(action)


run = train(
    replace(METHODS.get(task["method"])(), batch_size=256, hidden=(256, 256)),
    world=Timed,
    data=experience(task["rows"]) if mixing else None,
    plan=[
        warmup(task["learning_starts"], "random"),
        online(task["steps"] - task["learning_starts"], task.get("updates_per_step", 1), mixing),
    ],
    folder=Path(tempfile.mkdtemp()) / "run",
    settings=Settings(
        log_every=window, evaluate_every=window * 10**6, checkpoint_every=window * 10**6, evaluate_episodes=1
    ),
    show_progress=False,
)
# Evaluation plays in a world of its own, for fewer steps.
trained_in = next(world for world in Timed.made if world.steps == task["steps"])
write_report(
    trained_in.stopwatch.report(task["warmup"]),
    **{name: version(name) for name in ("headstart", "jax", "gymnasium", "mujoco")},
)
