"""A trained policy: from the world's observations to its actions, with nothing else needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from headstart.control.configuration import method_from_json
from headstart.control.method import Method, State
from headstart.control.preprocessing import Preprocessor
from headstart.control.programs import act, initialise
from headstart.core.checkpoint import load_tree
from headstart.core.errors import CheckpointError, UsageError
from headstart.core.specs import Spec, spec_from_json
from headstart.runs.checkpoints import Checkpoint
from headstart.runs.folder import RunFolder


@dataclass
class Policy:
    """Acts in the world's own units.

    Attributes:
        method: how the state is turned into actions.
        state: what was learned.
        preprocessor: observation scaling and action bounds.
    """

    method: Method
    state: State
    preprocessor: Preprocessor

    @property
    def spec(self) -> Spec:
        """Shapes and bounds of observations and actions."""
        return self.preprocessor.spec

    def __call__(self, observations: Any, key: Array | None = None) -> np.ndarray:
        """Greedy actions; sampled ones when a random key is given.

        Args:
            observations: one observation, or a batch along a leading axis, in the world's own units.
            key: random key for exploring actions.

        Raises:
            UsageError: the shape is not that of the world's observations.
        """
        observations = np.asarray(observations, np.float32)
        shape = self.spec.observation.shape
        single = observations.shape == shape
        batch = observations[None] if single else observations
        if batch.shape[1:] != shape:
            raise UsageError(f"observations of shape {observations.shape} given; expected {shape} or (batch, *{shape})")
        mode = "greedy" if key is None else "explore"
        key = jax.random.key(0) if key is None else key
        actions = np.asarray(act(self.method, self.preprocessor, self.state, batch, key, mode))
        return actions[0] if single else actions


def load_policy(run: RunFolder | Path | str, seed: int | None = None, which: str = "latest") -> Policy:
    """The policy of a run.

    Args:
        run: the run, or its folder.
        seed: which seed; the run's first by default.
        which: "latest" or "best" checkpoint.

    Raises:
        UsageError: ``which`` is neither.
        CheckpointError: the seed has no checkpoint yet.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    seed_folder = folder.seed(folder.seeds[0] if seed is None else seed)
    if which not in ("latest", "best"):
        raise UsageError(f"which={which!r}; expected latest or best")
    found = seed_folder.checkpoints.latest() if which == "latest" else seed_folder.checkpoints.best()
    if found is None:
        raise CheckpointError(f"{seed_folder.path} has no {which} checkpoint yet; train it first")
    return restore_policy(folder, found)


def restore_policy(run: RunFolder, checkpoint: Checkpoint) -> Policy:
    """The policy of one checkpoint of a run."""
    spec = spec_from_json(run.config["spec"])
    kind = run.config["plan"][checkpoint.metadata["phase"]]["kind"]
    method = method_from_json(run.config["method"]).for_phase(kind)
    like = {"state": initialise(method, spec, jax.random.key(0)), "preprocessor": Preprocessor.identity(spec)}
    loaded = load_tree(checkpoint.folder / "agent.safetensors", like)
    return Policy(method, loaded["state"], loaded["preprocessor"])
