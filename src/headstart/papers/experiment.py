"""Train one arm of an experiment with the library's own trainer, and keep its curves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from headstart.control.method import Method, State
from headstart.control.plan import Phase, check_plan
from headstart.control.policy import Policy
from headstart.control.preprocessing import Preprocessor, with_transformed_rewards
from headstart.control.trainer import Parts, Settings, Trainer
from headstart.core.errors import UsageError
from headstart.core.specs import Spec
from headstart.data.experience import Experience
from headstart.envs.functional import FunctionalWorld
from headstart.runs.folder import SeedFolder

if TYPE_CHECKING:
    import polars as pl

Watch = Callable[[Trainer], dict[str, float]]
"""Looks at a trainer (or changes something of it) in the middle of its work; returns metrics to log, or none."""


@dataclass(frozen=True)
class Trained:
    """What an arm ended with, and how it got there.

    Attributes:
        method: the method of the last phase.
        state: what it has learned.
        preprocessor: between the world's units and the networks'.
        metrics: everything logged, in the columns of a run's metrics.
    """

    method: Method
    state: State
    preprocessor: Preprocessor
    metrics: pl.DataFrame = field(repr=False)

    @property
    def policy(self) -> Policy:
        """What it ended with, for another arm to start from."""
        return Policy(self.method, self.state, self.preprocessor)

    def curve(self, name: str, axis: str = "environment_steps") -> tuple[list[int], list[float]]:
        """Where one metric was logged, and its values; of several values at one place the last.

        Raises:
            UsageError: it was never logged.
        """
        rows = self.metrics.filter(self.metrics["name"] == name).unique(axis, keep="last", maintain_order=True)
        if not rows.height:
            raise UsageError(f"{name} was not logged; known: {', '.join(sorted(self.metrics['name'].unique()))}")
        return rows[axis].to_list(), [float(value) for value in rows["value"]]

    def values(self, name: str) -> np.ndarray:
        """All values of one metric in the order logged; empty where there are none."""
        return self.metrics.filter(self.metrics["name"] == name)["value"].to_numpy()


def train_arm(
    method: Method,
    plan: Sequence[Phase],
    seed: int,
    *,
    world: FunctionalWorld | None = None,
    data: Experience | None = None,
    weights: np.ndarray | None = None,
    initial: Policy | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train one seed of one arm in this process, leaving nothing on disk.

    Args:
        method: the method.
        plan: its phases.
        seed: all randomness comes from it.
        world: where to act and evaluate.
        data: recorded experience; its rewards are transformed as ``settings`` say.
        weights: sampling weight of each of its rows.
        initial: where to start from, such as another arm's ``policy``.
        settings: of the trainer.
        watch: called before the first step and after every ``log_every`` of them.

    Raises:
        UsageError: the plan cannot be carried out.
    """
    settings = settings or Settings()
    check_plan(plan, data is not None, world is not None)

    def begin(_: int) -> Policy:
        assert initial is not None
        # A copy, for the trainer gives its buffers away.
        return replace(initial, state=jax.tree.map(jnp.copy, initial.state))

    spec: Spec | None = world.spec if world is not None else data.spec if data is not None else None
    if spec is None:
        raise UsageError("neither a world nor data was given; give at least one")
    if data is not None:
        data = method.for_phase(plan[0].kind).select(data)
        data = with_transformed_rewards(data, settings.reward_scale, settings.reward_bias)
    parts = Parts(method, plan, settings, spec, data, weights, world, None, world and world.name, initial and begin)
    with tempfile.TemporaryDirectory(prefix="headstart-arm-") as folder:
        place = SeedFolder(Path(folder), seed)
        with place.record() as recorder:
            trainer = Trainer(parts, seed, recorder)

            def look(_: int) -> None:
                metrics = watch(trainer) if watch is not None else {}
                if metrics:
                    recorder.log(trainer.updates, trainer.environment_steps, trainer.phase.kind, metrics)

            trainer.watch = look
            look(0)
            trainer.run()
        return Trained(trainer.method, trainer.state, trainer.preprocessor, place.metrics())
