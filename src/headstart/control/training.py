"""``train``: from method, world, data and plan to a recorded run, one seed or many."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.control.configuration import method_from_json, method_to_json
from headstart.control.method import Method
from headstart.control.plan import Phase, check_plan, offline, online, plan_from_json, plan_to_json, warmup
from headstart.control.policy import Policy, load_policy
from headstart.control.registry import METHODS
from headstart.control.resolving import resolve
from headstart.control.settings import Settings
from headstart.control.starting import snapshots_digest
from headstart.control.trainer import Parts, Trainer
from headstart.control.workers import run_workers
from headstart.core.errors import UsageError
from headstart.core.interruption import interruptions_put_off
from headstart.core.progress import progress
from headstart.core.specs import spec_to_json
from headstart.data.experience import Experience
from headstart.envs.functional import FunctionalWorld
from headstart.runs.folder import RunFolder, SeedFolder
from headstart.runs.naming import fresh_folder


def default_plan(
    method: Method,
    *,
    has_data: bool,
    has_world: bool,
    offline_steps: int | None = None,
    warmup_steps: int | None = None,
    online_steps: int | None = None,
    updates_per_step: float | None = None,
    data_ratio: float | None = None,
) -> list[Phase]:
    """The phases a method is usually run with, given what there is; every number can be set.

    Defaults: with data, methods that can learn offline do so for 250 000 updates; with a world, and without an offline
    phase, 100 000 online steps after a warm-up (at random, at most a twentieth of them) follow.
    """
    if offline_steps is None:
        learns_offline = has_data and method.learns_offline_first and method.for_phase("offline").offline
        offline_steps = 250_000 if learns_offline else 0
    if online_steps is None:
        online_steps = 100_000 if has_world and (offline_steps == 0 or warmup_steps) else 0
    if warmup_steps is None:
        usual = method.default_warmup_steps if offline_steps else 5000
        warmup_steps = 0 if method.on_policy else min(usual, online_steps // 20)
    phases = [offline(offline_steps)]
    phases.append(warmup(warmup_steps, "current" if offline_steps else "random"))
    ratio = (method.default_data_ratio if has_data else 0.0) if data_ratio is None else data_ratio
    per_step = method.default_updates_per_step if updates_per_step is None else updates_per_step
    phases.append(online(online_steps, per_step, ratio))
    return [phase for phase in phases if phase.steps]


@dataclass(frozen=True)
class Run:
    """A recorded run.

    Attributes:
        folder: its record on disk.
    """

    folder: RunFolder

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder.path

    def metrics(self, names: Sequence[str] | None = None) -> Any:
        """All seeds' metrics as a polars table."""
        return self.folder.metrics(names)

    def policy(self, seed: int | None = None, which: str = "latest") -> Policy:
        """The trained policy of one seed."""
        return load_policy(self.folder, seed, which)

    def curve(self, name: str = "evaluation/return", seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Environment steps and values of one metric of one seed, in the order logged."""
        table = self.folder.seed(self.folder.seeds[0] if seed is None else seed).metrics([name])
        return table["environment_steps"].to_numpy(), table["value"].to_numpy()

    def final(self, name: str = "evaluation/return") -> np.ndarray:
        """The last value of one metric, one number a seed."""
        return np.array([self.curve(name, seed)[1][-1] for seed in self.folder.seeds])


def train(
    method: Method | str,
    *,
    world: str | FunctionalWorld | Callable[[], Any] | None = None,
    data: str | Path | Experience | None = None,
    plan: Sequence[Phase] | None = None,
    seeds: Sequence[int] | int = 1,
    folder: Path | str | None = None,
    settings: Settings | None = None,
    init_from: Path | str | None = None,
    workers: int | None = None,
    show_progress: bool = True,
    **steps: Any,
) -> Run:
    """Train a method and record the run.

    Args:
        method: a method, or the name of one.
        world: a name (ours, a Gymnasium id, or ``module:Env``), a functional world, or a function that makes a
            Gymnasium environment.
        data: a dataset's name or path, or experience in memory.
        plan: the phases; by default those of ``default_plan``, which takes ``offline_steps``, ``warmup_steps``,
            ``online_steps``, ``updates_per_step`` and ``data_ratio``.
        seeds: seeds, or how many.
        folder: where the run is recorded; under ``runs/`` by default.
        settings: everything else.
        init_from: a run whose latest policies training starts from (the same seed where it has it, else its first).
        workers: processes; by default one for each core on a CPU. Named worlds and data only: objects in memory are
            trained on in this process, one seed after another.
        show_progress: whether to show progress bars.

    Raises:
        UsageError: an option cannot work; nothing has been written.
        DataError: the data cannot be learned from, or do not fit the world.
    """
    method = METHODS.get(method)() if isinstance(method, str) else method
    assert isinstance(method, Method)
    settings = settings or Settings()
    if settings.snapshots is not None:
        settings = replace(settings, snapshots=str(Path(settings.snapshots).resolve()))
    seeds = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if settings.evaluate_every % settings.log_every or settings.checkpoint_every % settings.log_every:
        raise UsageError(
            f"evaluate_every {settings.evaluate_every} and checkpoint_every {settings.checkpoint_every} "
            f"must be multiples of log_every {settings.log_every}"
        )
    if plan is None:
        plan = default_plan(method, has_data=data is not None, has_world=world is not None, **steps)
    elif steps:
        raise UsageError(f"give either a plan or {', '.join(steps)}, not both")
    check_plan(plan, data is not None, world is not None, settings.worlds)
    parts = resolve(method, world, data, plan, settings, init_from)
    config = {
        "method": method_to_json(parts.method),
        "world": _world_record(world, parts.world_name),
        "data": _data_record(data, parts.data),
        "plan": plan_to_json(plan),
        "settings": asdict(settings),
        "init_from": None if init_from is None else str(Path(init_from).resolve()),
        "spec": spec_to_json(parts.spec),
    }
    if settings.snapshots is not None:
        config["snapshots"] = {"digest": snapshots_digest(settings)}
    about = (method.name, *((config[part] or {}).get("name") for part in ("world", "data")))
    path = Path(folder) if folder is not None else fresh_folder("runs", *about)
    run = RunFolder.create(path, config, seeds)
    named = not isinstance(data, Experience) and (world is None or isinstance(world, str))
    train_seeds(run, seeds, parts, named, workers, show_progress)
    return Run(run)


def resume(
    folder: Path | str,
    *,
    world: Any = None,
    data: Experience | None = None,
    workers: int | None = None,
    show_progress: bool = True,
) -> Run:
    """Go on with a run that was stopped, killed or failed; seeds that finished are left alone.

    Args:
        folder: the run.
        world: needed again if the run was given a world as an object rather than a name.
        data: needed again if the run was given experience in memory.
        workers: as for ``train``.
        show_progress: whether to show progress bars.
    """
    run = RunFolder.open(folder)
    unfinished = [seed.seed for seed in run.seed_folders() if seed.status().state != "finished"]
    if unfinished:
        parts = parts_of(run, world, data)
        train_seeds(run, unfinished, parts, world is None and data is None, workers, show_progress)
    return Run(run)


def train_seeds(
    run: RunFolder, seeds: Sequence[int], parts: Parts, named: bool, workers: int | None, show_progress: bool
) -> None:
    """Train seeds of a run: in processes of their own where worlds and data can be named, else here in turn."""
    total = sum(phase.steps for phase in parts.plan)
    workers = min(len(seeds), workers or _cores())
    if named and workers > 1:
        run_workers(run, seeds, workers, total, show_progress)
        return
    for seed in seeds:
        with progress(f"{run.path.name} seed {seed}", total, show_progress) as bar:
            train_seed(run.seed(seed), parts, lambda done, bar=bar: bar.update(done))


def train_seed(folder: SeedFolder, parts: Parts, watch: Callable[[int], None]) -> None:
    """Train one seed, from its latest checkpoint if it has one; asked to stop, it writes another one first."""
    total = sum(phase.steps for phase in parts.plan)

    def look(done: int) -> None:
        watch(done)
        if asked() and done < total:
            if recorder.checkpoints.latest_progress() != done:
                trainer.save()
            raise KeyboardInterrupt

    with interruptions_put_off() as asked, folder.record() as recorder:
        trainer = Trainer(parts, folder.seed, recorder, look)
        checkpoint = recorder.checkpoints.latest()
        if checkpoint is not None:
            trainer.restore(checkpoint)
        else:
            recorder.metrics.truncate_after(0)
        trainer.run()


def parts_of(run: RunFolder, world: Any = None, data: Experience | None = None) -> Parts:
    """What a recorded run is trained from, resolved from its record.

    Raises:
        UsageError: the run was given a world or data as an object, which is needed again.
        DataError: the data are no longer what they were.
    """
    config = run.config
    recorded_data, recorded_world = config["data"], config["world"]
    if recorded_data is not None and recorded_data["source"] is None and data is None:
        raise UsageError(f"{run.path} was given data in memory; pass the same experience as data= to go on")
    if recorded_world is not None and recorded_world["source"] is None and world is None:
        raise UsageError(f"{run.path} was given a world as an object; pass the same one as world= to go on")
    method, plan = method_from_json(config["method"]), plan_from_json(config["plan"])
    source = data if data is not None else recorded_data and recorded_data["source"]
    parts = resolve(
        method,
        recorded_world and recorded_world["source"] if world is None else world,
        source,
        plan,
        Settings(**config["settings"]),
        config["init_from"],
    )
    if parts.data is not None and recorded_data is not None and recorded_data["digest"] != parts.data.digest():
        raise UsageError(f"the data of {run.path} ({recorded_data['source']}) have changed since it was begun")
    snapshots = parts.settings.snapshots
    if snapshots is not None and config["snapshots"]["digest"] != snapshots_digest(parts.settings):
        raise UsageError(f"the snapshots of {run.path} ({snapshots}) have changed since it was begun")
    return parts


def _world_record(world: Any, name: str | None) -> dict[str, Any] | None:
    return None if world is None else {"name": name, "source": world if isinstance(world, str) else None}


def _data_record(data: Any, experience: Experience | None) -> dict[str, Any] | None:
    if experience is None:
        return None
    source = None if isinstance(data, Experience) else str(data)
    name = experience.metadata.get("name") or (source and Path(source).name) or "in memory"
    returns = experience.returns()
    facts = {"transitions": len(experience), "episodes": len(returns)}
    if len(returns):
        numbers = {"mean": np.mean(returns), "lowest": np.min(returns), "highest": np.max(returns)}
        facts |= {f"{which}_return": round(float(number), 3) for which, number in numbers.items()}
    return {"name": name, "source": source, "digest": experience.digest(), **facts}


def _cores() -> int:
    import jax

    return len(os.sched_getaffinity(0)) if jax.default_backend() == "cpu" else 1
