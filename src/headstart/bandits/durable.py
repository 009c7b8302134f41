"""An agent that survives being killed: every choice and reward is in a journal before it is acknowledged.

A folder holds ``journal.jsonl``, all that ever happened, and ``state.safetensors``, the agent as it was some way into
the journal, which only shortens the next start. The journal is also the log that ``headstart bandit replay`` reads.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from headstart.bandits.bandit import BanditSpec, Learner
from headstart.bandits.journal import Journal, JournalError
from headstart.bandits.live import Agent, Decision, spec_from_json, spec_to_json
from headstart.bandits.registry import learner_from_json, learner_to_json
from headstart.core.checkpoint import read_metadata
from headstart.core.errors import CheckpointError, DataError, UsageError

FORMAT = "headstart bandit journal 1"


class DurableAgent:
    """``Agent`` with a journal. Nothing is safe, and nobody must be told of it, before ``commit`` has returned.

    Args:
        folder: made where it is missing; gone on from where it holds a journal.
        learner: what chooses; needed for a new folder only.
        spec: of what; likewise.
        seed: all randomness comes from it.
        save_every: rewards between two savings of the state.

    Raises:
        UsageError: another process works in the folder, its journal is of another learner, or it is new and no
            learner is given.
        DataError: the journal is damaged.
    """

    def __init__(
        self,
        folder: Path | str,
        learner: Learner | None = None,
        spec: BanditSpec | None = None,
        seed: int | None = None,
        save_every: int = 50_000,
    ):
        self.folder, self.save_every = Path(folder), save_every
        path = self.folder / "journal.jsonl"
        begun = path.exists() and path.stat().st_size > 0
        agent = None if begun else self._new(learner, spec, seed)  # refused before anything is written
        self.journal = Journal(path)
        try:
            self.agent = self._restored(learner, spec, seed) if agent is None else self._begin(agent)
        except BaseException:
            self.journal.close()
            raise

    @property
    def state_path(self) -> Path:
        """Where the state is saved."""
        return self.folder / "state.safetensors"

    def choose(self, context: ArrayLike | None = None) -> Decision:
        """As ``Agent.choose``, and into the journal."""
        self.journal.check()
        decision = self.agent.choose(context)
        record = {"choose": decision.number, "action": decision.action, "propensity": decision.propensity}
        if self.agent.spec.features:
            record["context"] = self.agent.pending[decision.number].context.tolist()
        self.journal.append(record | {"time": round(time.time(), 3)})
        return decision

    def observe(self, number: int, reward: float) -> bool:
        """As ``Agent.observe``, and into the journal."""
        self.journal.check()
        new = self.agent.observe(number, reward)
        if new:
            self.journal.append({"observe": number, "reward": float(reward), "time": round(time.time(), 3)})
            if self.agent.observations % self.save_every == 0:
                self._save_or_warn()
        return new

    def commit(self) -> None:
        """Return once everything so far is on disk. May be called from another thread.

        Raises:
            JournalError: the disk refused it.
        """
        self.journal.flush()

    def save(self) -> None:
        """Save the state, so that the next start has less of the journal to read."""
        self.journal.flush()
        self.agent.save(self.state_path, journal_bytes=self.journal.size)

    def close(self) -> None:
        """Save, and let others work in the folder."""
        try:
            self._save_or_warn()
        finally:
            self.journal.close()

    def _save_or_warn(self) -> None:
        try:
            self.save()
        except JournalError:
            raise
        except OSError as error:
            warnings.warn(f"the state could not be saved ({error}); the journal alone is enough", stacklevel=3)

    def _new(self, learner: Learner | None, spec: BanditSpec | None, seed: int | None) -> Agent:
        if learner is None or spec is None:
            raise UsageError(f"{self.folder} holds no journal yet: name a learner and its number of arms to begin one")
        return Agent(learner, spec, seed or 0)

    def _begin(self, agent: Agent) -> Agent:
        facts = {"learner": learner_to_json(agent.learner), "spec": spec_to_json(agent.spec), "seed": agent.seed}
        self.journal.append({"format": FORMAT, **facts})
        self.journal.flush()
        return agent

    def _restored(self, learner: Learner | None, spec: BanditSpec | None, seed: int | None) -> Agent:
        header = next(self.journal.read(), {})
        if header.get("format") != FORMAT:
            raise DataError(f"{self.journal.path} does not begin as a journal of this version does ({FORMAT!r})")
        given = {
            "learner": None if learner is None else learner_to_json(learner),
            "spec": None if spec is None else spec_to_json(spec),
            "seed": seed,
        }
        for name, value in given.items():
            if value is not None and value != header[name]:
                raise UsageError(
                    f"{self.folder} was begun with {name} {header[name]}, not {value}; leave it out to go on, or take "
                    "another folder"
                )
        if learner is None:
            learner = learner_from_json(header["learner"])
        agent, start = self._saved(learner)
        if agent is None:
            agent, start = Agent(learner, spec_from_json(header["spec"]), header["seed"]), 0
        for record in self.journal.read(start):
            _repeat(agent, record)
        return agent

    def _saved(self, learner: Learner) -> tuple[Agent | None, int]:
        """The saved state and where in the journal it stands; nothing where there is none to trust."""
        if not self.state_path.exists():
            return None, 0
        try:
            start = read_metadata(self.state_path)["journal_bytes"]
            return (Agent.load(self.state_path, learner), start) if start <= self.journal.size else (None, 0)
        except (CheckpointError, KeyError):
            return None, 0  # the journal alone is enough


def _repeat(agent: Agent, record: dict[str, Any]) -> None:
    """Do again what a record says was done."""
    if "choose" in record:
        context = np.asarray(record.get("context", np.zeros(agent.spec.context_shape)), np.float32)
        agent.restore_choice(Decision(record["choose"], record["action"], record["propensity"]), context)
    elif "observe" in record:
        agent.observe(record["observe"], record["reward"])
