"""Behaviour policies: one recorded training run a world, whose policies and replay of every level are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from headstart.control.configuration import method_to_json
from headstart.control.method import Method
from headstart.control.plan import Phase, online, plan_to_json, warmup
from headstart.control.policy import Policy, restore_policy
from headstart.control.resolving import resolve
from headstart.control.sac import SAC
from headstart.control.trainer import Settings, Trainer
from headstart.control.training import parts_of
from headstart.core.checkpoint import load_arrays, save_tree
from headstart.core.errors import CheckpointError
from headstart.core.files import cache_folder
from headstart.core.progress import progress
from headstart.core.specs import Spec, spec_from_json, spec_to_json
from headstart.data.experience import Experience
from headstart.evaluate.scores import reference
from headstart.runs.checkpoints import Checkpoint, Checkpoints
from headstart.runs.folder import RunFolder

MEDIUM = 1 / 3
"""Part of the expert's reference return at which a policy counts as medium (Fu et al. 2020, section 5)."""


class _LevelReachedError(Exception):
    """Training has come as far as was asked."""


@dataclass(frozen=True)
class Level:
    """A policy of a behaviour run.

    Attributes:
        steps: environment steps it was trained for.
        evaluation: its mean greedy return when it was saved.
        wanted: the return it was to reach.
        checkpoint: its files.
    """

    steps: int
    evaluation: float
    wanted: float
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Behaviour:
    """How the behaviour policies of a world are trained.

    Networks are half as wide as SAC's own, which takes a third of the time on a processor.
    """

    world: str
    """Name of the world."""
    steps: int
    """Environment steps in all; one update each."""
    seed: int = 0
    """All randomness of the training comes from it."""
    name: str | None = None
    """What its run is called; the world's name by default."""
    method: Method = field(default_factory=lambda: SAC(hidden=(128, 128), batch_size=256, learning_rate=5e-4))
    """How it is trained."""
    random_steps: int = 5000
    """Steps with uniform actions before learning begins."""
    evaluate_every: int = 5000
    """Steps between two evaluations; the policy of each is kept."""
    evaluate_episodes: int = 10
    """Greedy episodes in each evaluation."""
    seconds_per_step: float = 0.004
    """What a step took on one core when this was written."""

    @property
    def folder(self) -> Path:
        """Where its run is recorded."""
        return cache_folder() / "behaviours" / f"{self.name or self.world}-seed-{self.seed}"

    @property
    def plan(self) -> Sequence[Phase]:
        """Random actions, then learning online."""
        return [warmup(self.random_steps, "random"), online(self.steps - self.random_steps)]

    def is_trained(self, until_medium: bool = False) -> bool:
        """Whether ``train`` would have nothing to do."""
        if not (self.folder / "run.json").exists():
            return False
        trained = Trained(RunFolder.open(self.folder))
        medium, latest = trained.medium_steps(), trained.seed_folder.checkpoints.latest_progress()
        if until_medium and medium is not None and latest is not None and latest >= medium:
            return True
        return trained.seed_folder.status().state == "finished"

    def train(self, until_medium: bool = False, show_progress: bool = True) -> Trained:
        """The recorded run, trained as far as is needed: a run that was stopped or killed goes on.

        Args:
            until_medium: stop where the medium level is reached, rather than after all steps.
            show_progress: whether to show a progress bar.
        """
        run = RunFolder.open(self.folder) if self.folder.exists() else self._create()
        trained = Trained(run)
        if self.is_trained(until_medium):
            return trained
        parts = parts_of(run)
        with (
            progress(f"behaviour policy of {self.world}", self.steps, show_progress) as bar,
            trained.seed_folder.record() as recorder,
        ):

            def watch(done: int) -> None:
                bar.update(done, "" if trainer.last_evaluation is None else f"return {trainer.last_evaluation:.0f}")
                if done % parts.settings.evaluate_every == 0 and trainer.phase.kind == "online":
                    _keep(trainer, trained.levels)
                    medium = trained.medium_steps()
                    if until_medium and medium is not None and done >= medium:
                        raise _LevelReachedError

            trainer = Trainer(parts, self.seed, recorder, watch)
            checkpoint = recorder.checkpoints.latest()
            if checkpoint is not None:
                trainer.restore(checkpoint)
            else:
                recorder.metrics.truncate_after(0)
            try:
                trainer.run()
            except _LevelReachedError:
                trainer.save()
                recorder.stop()
        return trained

    def _create(self) -> RunFolder:
        settings = Settings(
            log_every=min(1000, self.evaluate_every),
            evaluate_every=self.evaluate_every,
            evaluate_episodes=self.evaluate_episodes,
            checkpoint_every=4 * self.evaluate_every,
        )
        parts = resolve(self.method, self.world, None, self.plan, settings, None)
        config = {
            "method": method_to_json(self.method),
            "world": {"name": self.world, "source": self.world},
            "data": None,
            "plan": plan_to_json(self.plan),
            "settings": asdict(settings),
            "init_from": None,
            "spec": spec_to_json(parts.spec),
        }
        return RunFolder.create(self.folder, config, [self.seed])


def reached(kept: Checkpoint, wanted: float) -> bool:
    """Whether a policy's evaluation is at least ``wanted``."""
    return kept.score is not None and kept.score >= wanted


def _keep(trainer: Trainer, levels: Checkpoints) -> None:
    facts = {"phase": trainer.phase_index, "environment_steps": trainer.environment_steps}
    agent = {"state": trainer.state, "preprocessor": trainer.preprocessor}
    levels.save(
        trainer.progress, lambda folder: save_tree(folder / "agent.safetensors", agent), facts, trainer.last_evaluation
    )


class Trained:
    """What a behaviour run has left behind.

    Args:
        run: the run.
    """

    def __init__(self, run: RunFolder):
        self.run = run
        self.seed_folder = run.seed_folders()[0]
        self.levels = Checkpoints(self.seed_folder.path / "levels", keep=1_000_000)
        self.world: str = run.config["world"]["name"]
        self.wanted = MEDIUM * reference(self.world).high

    def medium_steps(self) -> int | None:
        """Environment steps until the first evaluation at the medium level; None where there is none yet."""
        return next((kept.progress for kept in self.levels.all() if reached(kept, self.wanted)), None)

    def medium(self) -> Level:
        """The first policy whose evaluation reached the medium level.

        Raises:
            CheckpointError: none did.
        """
        for kept in self.levels.all():
            if kept.score is not None and reached(kept, self.wanted):
                return Level(kept.progress, kept.score, self.wanted, kept)
        best = self.expert()
        raise CheckpointError(
            f"no policy of {self.run.path} reached {self.wanted:.0f}, a third of the reference return of {self.world}; "
            f"the best, after {best.steps} steps, had {best.evaluation:.0f}"
        )

    def expert(self) -> Level:
        """The policy with the best evaluation of the whole run; how far it came is for its level to say.

        Raises:
            CheckpointError: none was kept.
        """
        best = self.levels.best()
        if best is None or best.score is None:
            raise CheckpointError(f"{self.run.path} has kept no evaluated policy; train it first")
        return Level(best.progress, best.score, reference(self.world).high, best)

    def policy(self, level: Level) -> Policy:
        """The policy of a level."""
        return restore_policy(self.run, level.checkpoint)

    def replay(self, steps: int | None = None) -> Experience:
        """What the run collected in its first ``steps`` steps (by default, in all of them), in order.

        Raises:
            CheckpointError: the run has no checkpoint that holds it.
        """
        latest = self.seed_folder.checkpoints.latest()
        if latest is None:
            raise CheckpointError(f"{self.run.path} has no checkpoint yet; train it first")
        rows = load_arrays(latest.folder / "replay.safetensors")["rows"][:steps]
        return _unpacked(spec_from_json(self.run.config["spec"]), rows)


def _unpacked(spec: Spec, rows: np.ndarray) -> Experience:
    """The columns that ``Replay`` packs side by side."""
    observation = spec.observation_size
    action = 1 if spec.discrete else spec.action_size
    widths = [observation, action, 1, 1, 1, observation]
    parts = np.split(rows[:, : sum(widths)], np.cumsum(widths)[:-1], axis=1)
    observations, actions, rewards, terminations, truncations, following = parts
    columns = {
        "observations": observations.reshape(-1, *spec.observation.shape),
        "actions": actions[:, 0].astype(np.int32) if spec.discrete else actions,
        "rewards": rewards[:, 0],
        "next_observations": following.reshape(-1, *spec.observation.shape),
        "terminations": terminations[:, 0] > 0,
        "truncations": truncations[:, 0] > 0,
    }
    return Experience(spec, columns)
