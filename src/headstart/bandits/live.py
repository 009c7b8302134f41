"""A learner at work: one decision at a time, rewards when they come, its state on disk when asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from headstart.bandits.bandit import BanditSpec, Choice, Context, Learner
from headstart.bandits.log import Log
from headstart.bandits.norms import warn_of_norms
from headstart.bandits.registry import learner_from_json, learner_to_json
from headstart.bandits.replay import absorb
from headstart.core.checkpoint import load_tree, read_metadata, save_tree
from headstart.core.errors import CheckpointError, UsageError

LARGEST = float(np.finfo(np.float32).max)


class Decision(NamedTuple):
    """An arm to pull.

    Attributes:
        number: by which its reward is reported; counted from 0.
        action: the arm.
        propensity: probability with which it was chosen.
    """

    number: int
    action: int
    propensity: float


class Pending(NamedTuple):
    """A decision whose reward is still to come, with the context as the learner saw it."""

    context: Float[np.ndarray, "arms features"]
    action: int
    propensity: float


class UnknownDecisionError(UsageError):
    """A reward for a decision that was never made."""


class RewardedBeforeError(UsageError):
    """A second reward for a decision, or one for a decision that was given up."""


@partial(jax.jit, static_argnums=(0, 1))  # one program, found again at the next start
def _init(learner: Learner, spec: BanditSpec, seed: Int[Array, ""]) -> Any:
    return learner.init(spec, jax.random.fold_in(jax.random.key(seed), 2**31 - 1))


@partial(jax.jit, static_argnums=0)
def _choose(learner: Learner, state: Any, context: Context, seed: Int[Array, ""], number: Int[Array, ""]) -> Choice:
    return learner.choose(state, context, jax.random.fold_in(jax.random.key(seed), number))


@partial(jax.jit, static_argnums=0)
def _observe(
    learner: Learner,
    state: Any,
    context: Context,
    action: Int[Array, ""],
    propensity: Float[Array, ""],
    reward: Float[Array, ""],
) -> Any:
    return learner.observe(state, context, action, reward, propensity)


class Agent:
    """Chooses and learns. The same seed, contexts and rewards give the same decisions.

    Rewards may come late, in any order, or never: a decision whose reward is outstanding longest is given up when
    more than ``pending_limit`` are.

    Args:
        learner: what chooses.
        spec: of what.
        seed: all randomness comes from it.
        pending_limit: how many decisions may wait for their reward, and how many rewards are remembered in order to
            recognise one that is sent again.

    Raises:
        UsageError: a learner that cannot work with such a bandit, or a seed that is not a 32-bit number.
    """

    def __init__(self, learner: Learner, spec: BanditSpec, seed: int = 0, pending_limit: int = 100_000):
        self.learner, self.spec, self.seed, self.pending_limit = learner, spec, seed, pending_limit
        if not 0 <= seed < 2**32:
            raise UsageError(f"seed must lie within 0 and 2^32 - 1; given {seed}")
        self.state = _init(learner, spec, np.uint32(seed))
        self.decisions = 0
        self.observations = 0
        self.total_reward = 0.0
        self.pending: OrderedDict[int, Pending] = OrderedDict()
        self.rewarded: OrderedDict[int, float] = OrderedDict()
        self._warned = False

    def choose(self, context: ArrayLike | None = None) -> Decision:
        """Choose an arm.

        Args:
            context: ``[arms, features]`` numbers; None for a bandit without context.

        Raises:
            UsageError: a context of another shape, or numbers that are not finite.
        """
        seen = self.checked_context(context)
        action, propensity = _choose(self.learner, self.state, seen, np.uint32(self.seed), np.uint32(self.decisions))
        decision = Decision(self.decisions, action.item(), propensity.item())
        self.restore_choice(decision, seen)
        return decision

    def restore_choice(self, decision: Decision, context: Float[np.ndarray, "arms features"]) -> None:
        """Take up a decision that was made before, such as one read from a journal."""
        self.decisions = decision.number + 1
        self.pending[decision.number] = Pending(context, decision.action, decision.propensity)
        if len(self.pending) > self.pending_limit:
            self.pending.popitem(last=False)

    def observe(self, number: int, reward: float) -> bool:
        """Learn from a decision's reward.

        Returns:
            True; False where this very reward was reported before and nothing was learned again.

        Raises:
            UnknownDecisionError: no such decision was made.
            RewardedBeforeError: another reward was reported for it, or it waited too long and was given up.
            UsageError: a reward outside the declared range.
        """
        reward = self.checked_reward(number, reward)
        if self.rewarded.get(number) == reward:
            return False
        self.state = _observe(self.learner, self.state, *self.pending.pop(number), np.float32(reward))
        self.observations += 1
        self.total_reward += reward
        self.rewarded[number] = reward
        if len(self.rewarded) > self.pending_limit:
            self.rewarded.popitem(last=False)
        return True

    def learn_from(self, log: Log) -> None:
        """Learn from feedback that something else logged, before or between decisions of one's own.

        Raises:
            UsageError: the log has other arms, features or bounds of rewards.
        """
        if log.spec != self.spec:
            raise UsageError(
                f"the log is of {log.spec}, the agent of {self.spec}; give the log the same arms and bounds"
            )
        self.state = absorb(self.learner, self.state, log)

    def checked_context(self, context: ArrayLike | None) -> Float[np.ndarray, "arms features"]:
        """A context as 32-bit numbers of the right shape; errors as in ``choose``."""
        shape = self.spec.context_shape
        if context is None:
            if self.spec.features:
                raise UsageError(f"a context of {shape[0]} rows of {shape[1]} features is needed, one row an arm")
            return np.zeros(shape, np.float32)
        try:
            seen = np.array(context, np.float32)  # a copy: it is kept until the reward comes
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"the context must be {shape[0]} rows of {shape[1]} numbers: {error}") from error
        if seen.shape != shape:
            raise UsageError(f"the context has shape {list(seen.shape)}, expected {list(shape)} (arms, features)")
        if not np.isfinite(seen).all():
            arm, feature = np.argwhere(~np.isfinite(seen))[0]
            raise UsageError(
                f"the context holds {seen[arm, feature]} for arm {arm}, feature {feature}; expected finite numbers: "
                "fill in what is missing before asking for a choice"
            )
        if not self._warned and seen.size and np.max(np.sum(seen * seen, axis=1)) > 1.0001:
            self._warned = True
            warn_of_norms(self.learner, seen)
        return seen

    def checked_reward(self, number: int, reward: float) -> float:
        """The reward as a number; errors as in ``observe``."""
        low, high = self.spec.reward_low, self.spec.reward_high
        known = isinstance(reward, int | float | np.floating | np.integer) and not isinstance(reward, bool)
        if not (known and low <= reward <= high and abs(reward) < LARGEST):
            raise UsageError(
                f"the reward must be a number within [{low:g}, {high:g}], the declared range; given {reward!r}"
            )
        if isinstance(number, bool) or not isinstance(number, int):
            raise UsageError(f"a decision is named by its number; given {number!r}")
        if not 0 <= number < self.decisions:
            raise UnknownDecisionError(
                f"there is no decision {number}: {self.decisions} were made; choose before observing"
            )
        if number not in self.pending and self.rewarded.get(number) != float(reward):
            before = self.rewarded.get(number)
            why = f"was rewarded with {before:g} before" if before is not None else "is no longer waiting for a reward"
            raise RewardedBeforeError(f"decision {number} {why}; each decision takes one reward")
        return float(reward)

    def warm_up(self) -> None:
        """Compile what ``choose`` and ``observe`` run, so that the first decision is as quick as any."""
        context = np.zeros(self.spec.context_shape, np.float32)
        choice = _choose(self.learner, self.state, context, np.uint32(self.seed), np.uint32(0))
        chosen = (int(choice.action), float(choice.propensity))
        jax.block_until_ready(_observe(self.learner, self.state, context, *chosen, np.float32(0)))

    def save(self, path: Path | str, **metadata: Any) -> None:
        """Write everything needed to go on to one safetensors file, atomically; ``metadata`` is kept beside it."""
        facts = {
            "learner": learner_to_json(self.learner),
            "spec": spec_to_json(self.spec),
            "seed": self.seed,
            "pending_limit": self.pending_limit,
            "decisions": self.decisions,
            "observations": self.observations,
            "total_reward": self.total_reward,
            "pending": len(self.pending),
            "rewarded": len(self.rewarded),
        }
        save_tree(path, _tree(self.state, self.pending, self.rewarded), metadata | facts)

    @classmethod
    def load(cls, path: Path | str, learner: Learner | None = None) -> Agent:
        """Go on from what ``save`` wrote.

        Args:
            path: the file.
            learner: the learner, where it is of a class of your own; by default the one that the file names.

        Raises:
            CheckpointError: the file is missing, damaged, or of another learner.
        """
        facts = read_metadata(path)
        if "learner" not in facts:
            raise CheckpointError(f"{path} does not hold a bandit learner's state")
        learner = learner_from_json(facts["learner"]) if learner is None else learner
        agent = cls(learner, spec_from_json(facts["spec"]), facts["seed"], facts["pending_limit"])
        agent.decisions, agent.observations = facts["decisions"], facts["observations"]
        agent.total_reward = facts["total_reward"]
        blank = Pending(np.zeros(agent.spec.context_shape, np.float32), 0, 0.0)
        shapes = _tree(
            agent.state, dict.fromkeys(range(facts["pending"]), blank), dict.fromkeys(range(facts["rewarded"]), 0)
        )
        tree = load_tree(path, shapes)
        agent.state = tree["state"]
        waiting, rewards = tree["pending"], tree["rewarded"]
        rows = zip(waiting["context"], waiting["action"].tolist(), waiting["propensity"].tolist())
        agent.pending.update(zip(waiting["number"].tolist(), map(Pending._make, rows)))
        agent.rewarded.update(zip(rewards["number"].tolist(), rewards["reward"].tolist()))
        return agent


def _tree(state: Any, pending: Mapping[int, Pending], rewarded: Mapping[int, float]) -> dict[str, Any]:
    """All that is saved, as arrays."""
    rows = list(pending.values())
    return {
        "state": state,
        "pending": {
            "number": np.array(list(pending), np.int64),
            "context": np.array([row.context for row in rows], np.float32),
            "action": np.array([row.action for row in rows], np.int64),
            "propensity": np.array([row.propensity for row in rows], np.float64),
        },
        "rewarded": {
            "number": np.array(list(rewarded), np.int64),
            "reward": np.array(list(rewarded.values()), np.float64),
        },
    }


def spec_to_json(spec: BanditSpec) -> dict[str, Any]:
    """The fields; a bound that is infinite is null."""
    fields = asdict(spec)
    return {name: None if value in (-np.inf, np.inf) else value for name, value in fields.items()}


def spec_from_json(record: dict[str, Any]) -> BanditSpec:
    """The spec that ``spec_to_json`` wrote."""
    low, high = record["reward_low"], record["reward_high"]
    return BanditSpec(
        record["arms"], record["features"], -np.inf if low is None else low, np.inf if high is None else high
    )
