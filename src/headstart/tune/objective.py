"""What a search trains: a method of this library, or any function that can be imported."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from headstart.core.errors import DivergenceError, HeadstartError, UsageError
from headstart.core.files import read_json, write_json
from headstart.core.registry import load_attribute, unknown
from headstart.tune.searcher import Schedule
from headstart.tune.space import Configuration, Space

Watch = Callable[[int], None]
"""Told the steps done so far, now and then."""


class Objective(Protocol):
    """Trains a configuration with one seed. Describable in JSON, so that any process can do it."""

    def train(self, schedule: Schedule, seed: int, folder: Path, watch: Watch) -> float:
        """Go through a schedule from where ``folder`` has got to, leave the state there, and return the score.

        Raises:
            HeadstartError: it cannot be trained, or the score is not a finite number.
        """
        ...

    def progress(self, folder: Path) -> int:
        """Steps that the state in a folder has been trained for; 0 where there is none."""
        ...

    def prepare(self, folder: Path, configuration: Configuration, seeds: Sequence[int]) -> None:
        """Make the folder of a trial; its seeds train in ``seed-<k>`` below it. Nothing changes where it exists."""
        ...

    def check(self, space: Space, while_training: bool) -> None:
        """Refuse a space that cannot be searched: with ``while_training``, one that changes the shape of the state."""
        ...

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        ...


@dataclass(frozen=True)
class FunctionObjective:
    """A function ``score = function(configuration, seed, steps, folder)``.

    It trains the configuration until ``steps`` in all, from whatever state it finds in ``folder`` (which for a copied
    trial is its parent's), leaves the new state there, and returns the score: larger is better.

    Attributes:
        name: where the function is, ``module:function``.
    """

    name: str

    def train(self, schedule: Schedule, seed: int, folder: Path, watch: Watch) -> float:
        """See ``Objective.train``."""
        function, done = load_attribute(self.name), self.progress(folder)
        score = read_json(folder / "done.json")["score"] if done else math.nan
        folder.mkdir(parents=True, exist_ok=True)
        watch(done)
        for steps, configuration in schedule:
            if steps > done:
                score = float(function(configuration, seed, steps, folder))
                if not math.isfinite(score):
                    raise DivergenceError(f"{self.name} returned {score}; a score is a finite number")
                write_json(folder / "done.json", {"steps": steps, "score": score})
                watch(steps)
        return score

    def progress(self, folder: Path) -> int:
        """See ``Objective.progress``."""
        path = folder / "done.json"
        return int(read_json(path)["steps"]) if path.exists() else 0

    def prepare(self, folder: Path, configuration: Configuration, seeds: Sequence[int]) -> None:
        """See ``Objective.prepare``."""
        for seed in seeds:
            (folder / f"seed-{seed}").mkdir(parents=True, exist_ok=True)

    def check(self, space: Space, while_training: bool) -> None:
        """The function must be there; whether it can change values while training is its own affair."""
        load_attribute(self.name)

    def to_json(self) -> dict[str, Any]:
        """See ``Objective.to_json``."""
        return {"kind": "function", "name": self.name}


METRICS = ("evaluation/return", "evaluation/score", "evaluation/length", "evaluation/terminated")
"""What trials can be scored by: greedy episodes, never what training itself reports."""


@dataclass(frozen=True)
class TrainingObjective:
    """A method, trained by a plan on named data and in a named world; every trial is a run.

    Attributes:
        method: name and fields that are not searched, as recorded.
        world: name of the world.
        data: name or path of the dataset, or None.
        plan: its phases, as recorded.
        settings: the trainer's, as recorded.
        metric: what a trial is scored by: the mean of its last evaluation.
        minimize: whether a smaller metric is better; scores are then its negative.
        init_from: a run whose policies training starts from, or None.
    """

    method: dict[str, Any]
    world: str
    data: str | None
    plan: list[dict[str, Any]]
    settings: dict[str, Any]
    metric: str = "evaluation/return"
    minimize: bool = False
    init_from: str | None = None

    @property
    def full(self) -> int:
        """Steps of the whole plan."""
        return sum(phase["steps"] for phase in self.plan)

    @property
    def points(self) -> tuple[int, ...]:
        """Steps, counted over all phases, at which learning is evaluated."""
        found, before, every = [], 0, self.settings["evaluate_every"]
        for phase in self.plan:
            end = before + phase["steps"]
            if phase["kind"] != "warmup":
                found += [*range(before + every, end, every), end]
            before = end
        return tuple(found)

    def parts(self, configuration: Configuration) -> Any:
        """Everything the trainer needs, loaded and checked."""
        from headstart.control.configuration import method_from_json
        from headstart.control.plan import plan_from_json
        from headstart.control.resolving import resolve
        from headstart.control.trainer import Settings

        method, plan = method_from_json(self.method | configuration), plan_from_json(self.plan)
        return resolve(method, self.world, self.data, plan, Settings(**self.settings), self.init_from)

    def train(self, schedule: Schedule, seed: int, folder: Path, watch: Watch) -> float:
        """See ``Objective.train``."""
        from headstart.runs.folder import SeedFolder
        from headstart.tune.stretches import train_until

        place, before = SeedFolder(folder, seed), self.progress(folder)
        watch(before)
        for steps, configuration in schedule:
            if steps > before:
                train_until(place, self.parts(configuration), steps, configuration, watch)
        values = place.metrics([self.metric])["value"]
        if not len(values):
            raise UsageError(f"the run recorded no {self.metric}")
        score = -float(values[-1]) if self.minimize else float(values[-1])
        if not math.isfinite(score):
            raise DivergenceError(f"{self.metric} is {score}")
        return score

    def progress(self, folder: Path) -> int:
        """See ``Objective.progress``."""
        from headstart.runs.checkpoints import Checkpoints

        return Checkpoints(folder / "checkpoints").latest_progress() or 0

    def prepare(self, folder: Path, configuration: Configuration, seeds: Sequence[int]) -> None:
        """See ``Objective.prepare``."""
        from headstart.control.configuration import method_to_json
        from headstart.core.specs import spec_to_json
        from headstart.runs.folder import RunFolder

        if (folder / "run.json").exists():
            return
        parts = self.parts(configuration)
        data = None
        if parts.data is not None:
            name = parts.data.metadata.get("name") or Path(str(self.data)).name
            data = {"name": name, "source": self.data, "digest": parts.data.digest()}
        config = {
            "method": method_to_json(parts.method),
            "world": {"name": parts.world_name, "source": self.world},
            "data": data,
            "plan": self.plan,
            "settings": self.settings,
            "init_from": self.init_from,
            "spec": spec_to_json(parts.spec),
        }
        RunFolder.create(folder, config, seeds)

    def check(self, space: Space, while_training: bool) -> None:
        """Load world and data, and see that both ends of the space make methods.

        Raises:
            UsageError: the metric is unknown, or the world has no reference for scores; or values are to change while
                training that decide the shape of what is trained.
        """
        from headstart.control.configuration import method_from_json
        from headstart.evaluate.scores import find_reference

        if self.metric not in METRICS:
            raise unknown("metric", self.metric, METRICS, "Trials are scored by their greedy evaluation episodes.")
        parts = self.parts({})
        if self.metric == "evaluation/score" and not find_reference(parts.world_name):
            raise UsageError(f"{parts.world_name} has no reference scores; use --metric evaluation/return")
        for name, domain in space.domains.items():
            ends = [method_from_json(self.method | {name: domain.from_unit(end)}) for end in (0.0, 1.0)]
            shapes = [_shapes(method, parts.spec) for method in ends]
            if while_training and shapes[0] != shapes[1]:
                raise UsageError(
                    f"{name} decides the shape of the networks, so it cannot change while they train; leave it out of "
                    "the space, or use the sampler random, tpe, cmaes or dehb"
                )

    def to_json(self) -> dict[str, Any]:
        """See ``Objective.to_json``."""
        return {"kind": "training", **asdict(self)}


def _shapes(method: Any, spec: Any) -> Any:
    import jax

    state = jax.eval_shape(lambda key: method.init(key, spec), jax.random.key(0))
    return jax.tree.structure(state), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state)]


def objective_from_json(record: dict[str, Any]) -> FunctionObjective | TrainingObjective:
    """The objective that ``to_json`` wrote.

    Raises:
        HeadstartError: it is of no known kind.
    """
    fields = dict(record)
    kind = fields.pop("kind")
    if kind not in ("function", "training"):
        raise HeadstartError(f"an objective of kind {kind!r} is not known; the search is of another version")
    return FunctionObjective(**fields) if kind == "function" else TrainingObjective(**fields)
