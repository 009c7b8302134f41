"""Finite worlds and their learners by name."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from headstart.core.errors import UsageError
from headstart.core.registry import Registry, unknown

if TYPE_CHECKING:
    from headstart.finite.mdp import DiscountedMDP, FiniteMDP
    from headstart.finite.simulation import Learner

_AT = "headstart.finite"

WORLDS = Registry("finite world")
WORLDS.add("random", f"{_AT}.worlds:random_world", "random transitions and rewards, the same at every step")
WORLDS.add("river-swim", f"{_AT}.worlds:river_swim", "against the stream to the reward, or drift for a little")
WORLDS.add("combination-lock", f"{_AT}.worlds:combination_lock", "one code of actions opens it; a decoy pays at once")
WORLDS.add("deep-sea", f"{_AT}.worlds:deep_sea", "always right, at a cost, to the treasure")
WORLDS.add("two-rooms", f"{_AT}.worlds:two_rooms", "the lower bounds' instance: one action is better by a gap")
WORLDS.add("grid", f"{_AT}.worlds:grid", "from corner to corner on slippery ground")
WORLDS.add("random-linear", f"{_AT}.linear:random_linear_world", "random, of low rank, with its features")
WORLDS.add("noisy-choices", f"{_AT}.noisy_choices:noisy_choices", "right answers that show only on average")
WORLDS.add("slip-lock", f"{_AT}.slip_lock:slip_lock", "a code whose right actions may fail, rewards at the end")
WORLDS.add("block-lock", f"{_AT}.block_lock:block_lock", "a lock of three hidden states seen through many observations")
WORLDS.add("rare-rooms", f"{_AT}.rare_rooms:rare_rooms", "doors that seldom open, one of them to a prize")

LEARNERS = Registry("learner of finite worlds")
LEARNERS.add("ucbvi", f"{_AT}.ucbvi:UCBVI", "value iteration in the empirical world, with a bonus for the unknown")
LEARNERS.add(
    "psrl", f"{_AT}.posterior_sampling:PosteriorSampling", "acts optimally in a world drawn from the posterior"
)
LEARNERS.add("ucb-q", f"{_AT}.q_learning:UCBQ", "Q-learning with a bonus; no model")
LEARNERS.add("lsvi-ucb", f"{_AT}.lsvi_ucb:LSVIUCB", "least squares on features, with an elliptical bonus")
LEARNERS.add("fitted-q", f"{_AT}.fitted_q:FittedQ", "least squares on features, exploring at random")
LEARNERS.add("npg", f"{_AT}.natural_policy_gradient:OptimisticNPG", "small multiplicative steps, with a bonus")

TRIALS = Registry("learner with a world of its own")
TRIALS.add("vi-lcb", f"{_AT}.trials:PessimisticTrial", "recorded transitions alone, pessimistically")
TRIALS.add("glow", f"{_AT}.trials:GLOWTrial", "optimism over value functions not yet refuted")
TRIALS.add("hyglow", f"{_AT}.trials:HyGLOWTrial", "records and own episodes (H2O with MABO)")
TRIALS.add("ftpedel", f"{_AT}.trials:FTPedelTrial", "the fewest online episodes that records leave necessary")
TRIALS.add("pr-lsvi", f"{_AT}.trials:PRLSVITrial", "preferences between episodes, asked when unsure")
TRIALS.add("preference-thompson", f"{_AT}.trials:PreferenceThompsonTrial", "the same with a posterior over worlds")
TRIALS.add("demo-regularized", f"{_AT}.trials:DemoRegularizedTrial", "imitation, then certified exploring around it")
TRIALS.add("demo-preferences", f"{_AT}.trials:DemoPreferencesTrial", "the same with rewards fitted to preferences")
TRIALS.add("contrastive-ucb", f"{_AT}.hidden_trials:ContrastiveTrial", "a bonus in features learned by contrast")
TRIALS.add("contrastive-game", f"{_AT}.hidden_trials:ContrastiveGameTrial", "the same for two players of a Markov game")
TRIALS.add("omle", f"{_AT}.hidden_trials:OMLETrial", "hidden states: the most promising world that is likely")
TRIALS.add("collision-explore", f"{_AT}.hidden_trials:CollisionTrial", "hidden states: explore by coincidences, commit")
TRIALS.add("window-q", f"{_AT}.hidden_trials:WindowTrial", "hidden states: Q-learning on the last observations")
TRIALS.add("cascading-vi", f"{_AT}.hidden_trials:CascadingVITrial", "short lists, clicks that change the user")
TRIALS.add("cascading-bpi", f"{_AT}.hidden_trials:CascadingBPITrial", "the same until the lists are certainly good")


def make_world(reference: str) -> FiniteMDP | DiscountedMDP:
    """A world from a path to ``.npz``, a name, or a name with options such as ``river-swim:states=10,horizon=40``.

    Raises:
        UsageError: the name or an option is unknown, or an option's value is of the wrong kind.
        DataError: the file is not a world's.
    """
    if reference.endswith(".npz") or Path(reference).is_file():
        from headstart.finite.world_files import read_world

        return read_world(reference)
    name, _, listed = reference.partition(":")
    build = WORLDS.get(name)
    kinds = {key: kind for key, kind in get_type_hints(build).items() if key != "return"}
    options = {}
    for part in filter(None, listed.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{part!r} in {reference!r} is not an option; write them as name:key=value,key=value")
        if key not in kinds:
            raise unknown(f"option of {name}", key, kinds)
        options[key] = _parse(value, kinds[key], f"{key} of {name}")
    return build(**options)


def world_options(name: str) -> dict[str, Any]:
    """The options of a named world and their defaults."""
    return {key: option.default for key, option in inspect.signature(WORLDS.get(name)).parameters.items()}


def make_learner(name: str, **fields: Any) -> Learner:
    """A learner by name, with some of its fields set.

    Raises:
        UsageError: the learner or a field is unknown, or a value is impossible.
    """
    kind = LEARNERS.get(name)
    known = [field.name for field in dataclasses.fields(kind)]
    for field in fields:
        if field not in known:
            raise unknown(f"field of {name}", field, known, f"`headstart finite learners {name}` explains them.")
    return kind(**fields)


def _parse(value: str, kind: Any, what: str) -> Any:
    if kind not in (int, float):
        return value
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(f"{what} is {value!r}; expected {'a whole number' if kind is int else 'a number'}") from error
