"""One seed of a run: goes through the plan, logs, evaluates, checkpoints, and continues bit for bit after a kill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from headstart.control import programs
from headstart.control.collecting import Collector, FunctionalCollector, HostCollector, Situation
from headstart.control.evaluation import Evaluation, evaluate_functional, evaluate_worlds
from headstart.control.grouped_updates import Pace, learn_in_groups
from headstart.control.handover import hand_over
from headstart.control.method import Method, State
from headstart.control.on_policy import rollout_and_learn
from headstart.control.plan import Phase
from headstart.control.policy import Policy
from headstart.control.ppo import PPO
from headstart.control.preprocessing import Preprocessor
from headstart.control.settings import Settings
from headstart.core.checkpoint import load_arrays, load_tree, save_arrays, save_tree
from headstart.core.errors import DivergenceError, WorldError
from headstart.core.specs import Spec
from headstart.data.experience import Experience
from headstart.data.replay import Replay
from headstart.data.row_weights import RowWeights
from headstart.data.sampling import AliasTable
from headstart.envs.functional import FunctionalWorld
from headstart.envs.worlds import Worlds
from headstart.evaluate.scores import find_reference, normalized_score
from headstart.runs.checkpoints import Checkpoint
from headstart.runs.folder import Recorder

# Rows chosen from data too large for memory stay out of it where the device's memory is this process's own.
_SCATTERED_MEGABYTES = 256

RETURNS_TAIL = "repeat"
"""Returns to go assume that the last reward goes on for ever beyond a truncation, as Cal-QL's code does."""


@dataclass
class Parts:
    """What a seed is trained from, already resolved and checked.

    Attributes:
        method: the method of the run.
        plan: its phases.
        settings: everything else.
        spec: shapes and bounds of world and data.
        data: recorded experience, rewards already transformed, or None.
        weights: sampling weight of every recorded row, or None.
        functional: the world if it is functional, else None.
        make_worlds: makes host worlds from (count, seed); None without a world.
        world_name: what scores are normalised by.
        initial: from a seed to the policy that its training starts from; None to start afresh.
        make_acting: makes the worlds acted in, where they are not those evaluated in.
    """

    method: Method
    plan: Sequence[Phase]
    settings: Settings
    spec: Spec
    data: Experience | None = None
    weights: np.ndarray | RowWeights | None = None
    functional: FunctionalWorld | None = None
    make_worlds: Callable[[int, int], Worlds] | None = None
    world_name: str | None = None
    initial: Callable[[int], Policy] | None = None
    make_acting: Callable[[int, int], Worlds] | None = None


class Trainer:
    """Trains one seed.

    Args:
        parts: what to train from.
        seed: all randomness comes from it.
        recorder: where metrics and checkpoints go.
        watch: called with the total progress after every logged piece of work.
    """

    def __init__(self, parts: Parts, seed: int, recorder: Recorder, watch: Callable[[int], None] = lambda done: None):
        self.parts, self.seed, self.recorder, self.watch = parts, seed, recorder, watch
        self.key = jax.random.key(seed)
        self.phase_index, self.done, self.updates, self.environment_steps = 0, 0, 0, 0
        self.method = parts.method.for_phase(parts.plan[0].kind)
        self.initial = parts.initial(seed) if parts.initial is not None else None
        self.preprocessor = self._preprocessor()
        self.state = self._initial_state()
        self._data: Replay | None = None
        self._returns_to_go: np.ndarray | None = None  # of data that stay on disk
        self._table: AliasTable | None = None  # likewise
        self.replay: Replay | None = None
        self.collector: Collector | None = None
        self.last_evaluation: float | None = None
        self._pace = Pace()

    def _preprocessor(self) -> Preprocessor:
        if self.initial is not None:
            return self.initial.preprocessor
        if self.method.normalize_observations and self.parts.data is not None:
            return Preprocessor.standardizing(self.parts.data)
        return Preprocessor.identity(self.parts.spec)

    def _initial_state(self) -> State:
        init_key = jax.random.fold_in(self.key, 0)
        if self.initial is None:
            return programs.initialise(self.method, self.parts.spec, init_key)
        state, lines = hand_over(self.initial.state, self.initial.method, self.method, self.parts.spec, init_key)
        self.recorder.note(lines)
        return state

    def _phase_key(self, purpose: int) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(self.key, 1 + self.phase_index), purpose)

    @property
    def phase(self) -> Phase:
        """The phase that training is in."""
        return self.parts.plan[self.phase_index]

    @property
    def progress(self) -> int:
        """Steps done over all phases: a counter that only grows."""
        return sum(phase.steps for phase in self.parts.plan[: self.phase_index]) + min(self.done, self.phase.steps)

    def _empty_replay(self) -> Replay:
        method, settings = self.parts.method, self.parts.settings
        acting = sum(phase.steps for phase in self.parts.plan if phase.kind != "offline")
        return Replay.empty(
            self.parts.spec,
            min(settings.replay_capacity or acting, acting) + settings.worlds,
            discount=method.discount,
            n_step=method.n_step,
            streams=settings.worlds,
            returns_to_go=method.needs_returns_to_go,
            next_actions=method.needs_next_actions,
        )

    @property
    def data(self) -> Replay | None:
        """The recorded data on the device; None where there is none, or where it is too large."""
        if self._data is None and self.parts.data is not None and not self._streamed():
            self._data = Replay.from_experience(
                self.parts.data,
                discount=self.method.discount,
                n_step=self.method.n_step,
                returns_to_go=self.parts.method.needs_returns_to_go or self.method.needs_returns_to_go,
                next_actions=self.parts.method.needs_next_actions or self.method.needs_next_actions,
                weights=self.parts.weights,
                tail=RETURNS_TAIL,
            )
        return self._data

    def _streamed(self) -> bool:
        spec, data, megabytes = self.parts.spec, self.parts.data, self.parts.settings.device_megabytes
        if data is None:
            return False
        if data.scattered and jax.default_backend() == "cpu":
            megabytes = min(megabytes, _SCATTERED_MEGABYTES)
        row_bytes = 4 * (2 * spec.observation_size + (1 if spec.discrete else spec.action_size) + 4)
        return len(data) * row_bytes > megabytes * 2**20

    def _start_acting(self) -> None:
        parts, settings = self.parts, self.parts.settings
        if self.replay is None and not parts.method.on_policy:
            self.replay = self._empty_replay()
        if self.collector is None:
            if parts.functional is not None and parts.make_acting is None:
                key = jax.random.fold_in(self.key, 2**20)
                self.collector = FunctionalCollector(parts.functional, settings.worlds, key)
            elif (make := parts.make_acting or parts.make_worlds) is not None:
                self.collector = HostCollector(make(settings.worlds, self.seed))

    def run(self) -> None:
        """Go through what is left of the plan.

        Raises:
            DivergenceError: a network is no longer finite; the last checkpoint is from before.
            WorldError: the world failed; where training stood is checkpointed first.
        """
        while self.phase_index < len(self.parts.plan):
            self._run_phase()
            if self.phase_index + 1 == len(self.parts.plan):
                break
            self.phase_index, self.done = self.phase_index + 1, 0
        if self.recorder.checkpoints.latest_progress() != self.progress:
            self.save()

    def _run_phase(self) -> None:
        phase, settings = self.phase, self.parts.settings
        if phase.kind != "offline":
            self._start_acting()
        self._change_method(self.parts.method.for_phase(phase.kind))
        if self.done == 0 and phase.steps:
            self._evaluate()
        while self.done < phase.steps:
            before = self.done
            count = min(settings.log_every - before % settings.log_every, phase.steps - before)
            if phase.kind == "offline" and not self._streamed():
                self._offline_groups(count)
            else:
                self._log(self._one_group(count))
            ended = self.done >= phase.steps
            if not programs.all_finite(self.state):
                raise self._diverged(["a network"])
            if ended or self.done // settings.evaluate_every > before // settings.evaluate_every:
                self._evaluate()
            if ended or self.done // settings.checkpoint_every > before // settings.checkpoint_every:
                self.save()
            self.watch(self.progress)

    def _log(self, metrics: dict[str, float]) -> None:
        if bad := [name for name, value in metrics.items() if not np.isfinite(value)]:
            raise self._diverged(bad)
        self.recorder.log(self.updates, self.environment_steps, self.phase.kind, metrics)

    def _one_group(self, count: int) -> dict[str, float]:
        try:
            metrics = self._offline_streamed(count) if self.phase.kind == "offline" else self._online(count)
        except WorldError:
            self.save()
            raise
        self._settle(self.done >= self.phase.steps)
        return metrics

    def _change_method(self, method: Method) -> None:
        if method == self.method:
            return
        key = jax.random.fold_in(self.key, 2**21 + self.phase_index)
        self.state, lines = hand_over(self.state, self.method, method, self.parts.spec, key)
        self.method = method
        self.recorder.note(lines)

    def _offline_groups(self, every: int) -> None:
        settings, whole = self.parts.settings, self.parts.settings.log_every
        stops = [settings.evaluate_every, settings.checkpoint_every]
        room = min(self.phase.steps - self.done, *(stop - self.done % stop for stop in stops))
        groups = self._pace.groups(room // whole if every == whole else 1)
        assert self.data is not None
        self.state, metrics = learn_in_groups(
            self.method,
            self.preprocessor,
            self.state,
            self.data,
            self._phase_key(0),
            np.int32(self.done),
            np.int32(groups),
            np.int32(every),
        )
        columns = {name: np.asarray(values) for name, values in metrics.items()}
        for group in range(groups):
            self._updated(every)
            self._log({name: float(values[group]) for name, values in columns.items()})
        self._pace.done()

    def _updated(self, count: int) -> None:
        self.updates += count
        self.done += count

    def _offline_streamed(self, count: int, updates_at_once: int = 50) -> dict[str, float]:
        data, method, key, metrics = self.parts.data, self.method, self._phase_key(0), {}
        assert data is not None
        if method.needs_returns_to_go and self._returns_to_go is None:
            self._returns_to_go = data.returns_to_go(method.discount, RETURNS_TAIL)
        if self.parts.weights is not None and self._table is None:
            self._table = AliasTable.from_weights(self.parts.weights)
        for first in range(self.done, self.done + count, updates_at_once):
            now = min(updates_at_once, self.done + count - first)
            rows = programs.offline_indices(method, np.int32(len(data)), self._table, key, np.int32(first), now)
            drawn = np.asarray(rows).reshape(-1)
            to_go = self._returns_to_go if method.needs_returns_to_go else None
            batch = data.gather(drawn, method.discount, method.n_step, to_go, method.needs_next_actions)
            shape = (now, method.batch_size)
            batches = jax.tree.map(lambda column, shape=shape: column.reshape(*shape, *column.shape[1:]), batch)
            self.state, metrics = programs.learn_gathered(
                method, self.preprocessor, self.state, batches, key, np.int32(first)
            )
        self._updated(count)
        return {name: float(value) for name, value in metrics.items()}

    def _online(self, count: int) -> dict[str, float]:
        assert self.collector is not None
        phase, worlds, metrics = self._phase_of_all_worlds(), self.parts.settings.worlds, {}
        end = self.done + count
        while self.done < end:
            first = self.done // worlds
            if isinstance(self.method, PPO):
                metrics |= self._on_policy(first)
                continue
            wait = max(0, self.method.batch_size - self.environment_steps)  # a batch's worth has to be there
            learning = phase.kind == "online" and wait == 0
            left = end - self.done if learning or phase.kind == "warmup" else min(end - self.done, wait)
            situation = self._situation()
            try:
                metrics |= self.collector.collect(situation, phase, first, -(-left // worlds), learning)
            finally:
                self.state, self.replay = situation.state, situation.replay
                if learning and phase.period:
                    groups = len(range(-first % phase.period, situation.steps_taken, phase.period))
                    self.updates += phase.updates * groups
                self._acted(situation.steps_taken)
        return metrics

    def _on_policy(self, first: int) -> dict[str, float]:
        assert isinstance(self.method, PPO)
        assert isinstance(self.collector, HostCollector | FunctionalCollector)
        rewards = (self.parts.settings.reward_scale, self.parts.settings.reward_bias)
        self.state, metrics = rollout_and_learn(
            self.method, self.preprocessor, self.state, self.collector, rewards, self._phase_key(1), first
        )
        self.updates += self.method.epochs * self.method.minibatches
        self._acted(self.method.rollout_steps)
        return metrics

    def _acted(self, steps: int) -> None:
        self.done += steps * self.parts.settings.worlds
        self.environment_steps += steps * self.parts.settings.worlds

    def _phase_of_all_worlds(self) -> Phase:
        """The phase, its updates counted for one step of all worlds together."""
        return replace(self.phase, updates_per_step=self.phase.updates_per_step * self.parts.settings.worlds)

    def _situation(self) -> Situation:
        assert self.replay is not None
        settings = self.parts.settings
        data = self.data if self.phase.data_ratio > 0 else None
        return Situation(
            self.method,
            self.preprocessor,
            self.state,
            self.replay,
            data,
            self._phase_key(1),
            settings.reward_scale,
            settings.reward_bias,
        )

    def _settle(self, phase_ended: bool) -> None:
        if self.collector is None or self.replay is None or self.phase.kind == "offline":
            return
        if phase_ended:
            situation = self._situation()
            self.collector.settle(situation, self._phase_of_all_worlds())
            self.state, self.replay = situation.state, situation.replay
        if self.replay.returns_to_go:
            self.replay = self.replay.with_returns_to_go(RETURNS_TAIL)

    def _diverged(self, what: Sequence[str]) -> DivergenceError:
        kept = self.recorder.checkpoints.latest()
        where = f"the checkpoint at {kept.progress} is the last good one" if kept else "there is no checkpoint yet"
        return DivergenceError(
            f"{self.method.name} diverged in {self.phase.kind} training by step {self.done} "
            f"({', '.join(what)} not finite); {where}. Try a smaller learning rate, "
            "reward scaling, or layer normalisation in the critics"
        )

    def evaluate(self, episodes: int) -> Evaluation | None:
        """Greedy episodes in worlds of their own; None without a world."""
        parts = self.parts
        key = jax.random.fold_in(jax.random.fold_in(self.key, 2**22), self.progress)
        if parts.functional is not None:
            return evaluate_functional(self.method, parts.functional, self.preprocessor, self.state, key, episodes)
        if parts.make_worlds is None:
            return None
        worlds = parts.make_worlds(episodes, 10_000_000 + 1000 * self.seed + self.progress % 997)
        try:
            return evaluate_worlds(self.method, worlds, self.preprocessor, self.state, key)
        finally:
            worlds.close()

    def _evaluate(self) -> None:
        outcome = self.evaluate(self.parts.settings.evaluate_episodes)
        if outcome is None:
            return
        metrics = outcome.metrics()
        name = self.parts.world_name
        if name is not None and find_reference(name):
            metrics["evaluation/score"] = float(np.mean(normalized_score(name, outcome.returns)))
        self.last_evaluation = metrics["evaluation/return"]
        self.recorder.log(self.updates, self.environment_steps, self.phase.kind, metrics)

    def save(self) -> None:
        """Write a checkpoint of everything that training depends on."""
        rows = self.recorder.metrics.flush()
        facts = {
            "phase": self.phase_index,
            "done": self.done,
            "updates": self.updates,
            "environment_steps": self.environment_steps,
            "metric_rows": rows,
        }
        self.recorder.checkpoints.save(self.progress, self._write, facts, self.last_evaluation)

    def _write(self, folder: Path) -> None:
        save_tree(folder / "agent.safetensors", {"state": self.state, "preprocessor": self.preprocessor})
        if self.replay is not None:
            size = int(self.replay.size)
            replay = {"rows": self.replay.rows[:size], "size": self.replay.size, "position": self.replay.position}
            save_arrays(folder / "replay.safetensors", {name: np.asarray(array) for name, array in replay.items()})
        if self.collector is not None:
            save_arrays(folder / "worlds.safetensors", self.collector.save_state())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint; a ``CheckpointError`` says that its files do not fit this run."""
        facts, folder = checkpoint.metadata, checkpoint.folder
        self.phase_index, self.done = facts["phase"], facts["done"]
        self.updates, self.environment_steps = facts["updates"], facts["environment_steps"]
        self.last_evaluation = checkpoint.score
        self.method = self.parts.method.for_phase(self.phase.kind)
        fresh = programs.initialise(self.method, self.parts.spec, self.key)
        like = {"state": fresh, "preprocessor": self.preprocessor}
        loaded = load_tree(folder / "agent.safetensors", like)
        self.state, self.preprocessor = loaded["state"], loaded["preprocessor"]
        self.recorder.metrics.truncate_after(facts["metric_rows"])
        if (folder / "worlds.safetensors").exists():
            self._start_acting()
        if (folder / "replay.safetensors").exists() and self.replay is not None:
            arrays = load_arrays(folder / "replay.safetensors")
            rows = self.replay.rows.at[: len(arrays["rows"])].set(arrays["rows"])
            self.replay = replace(
                self.replay, rows=rows, size=jnp.asarray(arrays["size"]), position=jnp.asarray(arrays["position"])
            )
        if self.collector is not None and (folder / "worlds.safetensors").exists():
            try:
                self.collector.load_state(load_arrays(folder / "worlds.safetensors"))
            except WorldError as error:
                self.recorder.note(
                    [f"the world could not be brought back to where it was ({error}); new episodes begin"]
                )
                self.collector = None
                self._start_acting()
