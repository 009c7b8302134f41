"""Environment steps a second of Stable-Baselines3 (torch) or SBX (JAX), by their own ``learn``."""

from __future__ import annotations

import importlib
from importlib.metadata import version

from stable_baselines3.common.callbacks import BaseCallback
from task import Stopwatch, read_task, write_report

task = read_task()
library = importlib.import_module({"sb3": "stable_baselines3", "sbx": "sbx"}[task["library"]])


class Timing(BaseCallback):
    """Notes the time at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.stopwatch = Stopwatch(task["window"])

    def _on_step(self) -> bool:
        self.stopwatch.at(self.num_timesteps)
        return True


timing = Timing()
learner = getattr(library, task["algorithm"])(
    "MlpPolicy",
    task["world"],
    batch_size=256,
    learning_starts=task["learning_starts"],
    train_freq=1,
    seed=0,
    device="cpu",
    **task.get("options", {}),
)
learner.learn(task["steps"], callback=timing)
packages = {"sb3": ("stable-baselines3", "torch"), "sbx": ("sbx-rl", "jax", "flax")}[task["library"]]
write_report(
    timing.stopwatch.report(task["warmup"]),
    **{name: version(name) for name in (*packages, "gymnasium", "mujoco")},
)
