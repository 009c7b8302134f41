"""Bandit worlds and learners by name, imported when they are asked for."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import TYPE_CHECKING, Any

from headstart.core.errors import UsageError
from headstart.core.registry import Registry, unknown

if TYPE_CHECKING:
    from headstart.bandits.bandit import Bandit, Learner
    from headstart.bandits.log import Log

_AT = "headstart.bandits"

LEARNERS = Registry("learner")
LEARNERS.add("ucb", f"{_AT}.ucb:UCB", "upper confidence bounds (UCB1)")
LEARNERS.add("kl-ucb", f"{_AT}.kl_ucb:KLUCB", "confidence bounds by divergence, for bounded rewards")
LEARNERS.add("imed", f"{_AT}.imed:IMED", "least empirical divergence, for bounded rewards")
LEARNERS.add("beta-thompson", f"{_AT}.thompson:BetaThompson", "Thompson sampling, for bounded rewards")
LEARNERS.add("gaussian-thompson", f"{_AT}.thompson:GaussianThompson", "Thompson sampling, for normal rewards")
LEARNERS.add("epsilon-greedy", f"{_AT}.epsilon_greedy:EpsilonGreedy", "the best so far, now and then any arm")
LEARNERS.add("exp3", f"{_AT}.exponential_weights:EXP3", "exponential weights, for rewards that an adversary may set")
LEARNERS.add("exp4", f"{_AT}.exponential_weights:EXP4", "exponential weights over experts whose advice is the context")
LEARNERS.add("tsallis-inf", f"{_AT}.tsallis_inf:TsallisINF", "one learner for adversarial and for random rewards")
LEARNERS.add("lin-ucb", f"{_AT}.lin_ucb:LinUCB", "confidence bounds on a linear function of features")
LEARNERS.add("lin-thompson", f"{_AT}.lin_thompson:LinThompson", "Thompson sampling of a linear function of features")
LEARNERS.add("neu-square-cb", f"{_AT}.neural_square_cb:NeuSquareCB", "inverse gaps of a neural network's predictions")
LEARNERS.add("neu-fast-cb", f"{_AT}.neural_square_cb:NeuFastCB", "the same with KL loss, for small losses")
LEARNERS.add("neural-ucb", f"{_AT}.neural_baselines:NeuralUCB", "confidence bounds on a neural network")
LEARNERS.add("neural-thompson", f"{_AT}.neural_baselines:NeuralThompson", "Thompson sampling of a neural network")
LEARNERS.add(
    "neural-epsilon-greedy", f"{_AT}.neural_baselines:NeuralEpsilonGreedy", "a network's best, now and then any"
)

TRIALS = Registry("learner with a world of its own")
TRIALS.add("lcb", f"{_AT}.trials:LCBTrial", "logs alone, pessimistically")
TRIALS.add("recovering-ucb", f"{_AT}.trials:RecoveringTrial", "arms that recover while they rest: periodic plans")
TRIALS.add("groupwise", f"{_AT}.trials:GroupwiseTrial", "predictions with small regret on every group at once")
TRIALS.add("sor-bandit", f"{_AT}.trials:RelaxationTrial", "a solver's relaxation, tuned from iteration counts")
TRIALS.add("heat", f"{_AT}.trials:HeatTrial", "the same for a preconditioner while heat spreads")
TRIALS.add("sparse-search", f"{_AT}.trials:SparseTrial", "a good action in few queries, few features matter")

LOGS = Registry("log")
LOGS.add("open-bandit", f"{_AT}.real_data:open_bandit", "clicks on fashion items, by behaviour and campaign")

WORLDS = Registry("bandit")
WORLDS.add("bernoulli-gap", f"{_AT}.named_worlds:bernoulli_gap", "one arm better than all others, rewards 0 or 1")
WORLDS.add("bernoulli", f"{_AT}.named_worlds:bernoulli", "arms of random probability, rewards 0 or 1")
WORLDS.add("gaussian", f"{_AT}.named_worlds:gaussian", "arms of random mean, normal noise")
WORLDS.add("linear", f"{_AT}.named_worlds:linear", "fixed arms with features, normal noise")
WORLDS.add("linear-fresh", f"{_AT}.named_worlds:linear_fresh", "arms with features drawn anew at every step")
WORLDS.add("advised", f"{_AT}.named_worlds:advised", "random situations, and experts who advise in them")
WORLDS.add("table", f"{_AT}.classification:table_bandit", "classes of a table of scikit-learn: digits, wine, …")
WORLDS.add("rings", f"{_AT}.classification:rings_bandit", "four classes by a sum of squares, not linear")


def make_learner(name: str, /, **fields: Any) -> Learner:
    """A learner by name, with some of its fields set.

    Raises:
        UsageError: the learner or a field is unknown; the nearest names are offered.
    """
    kind = LEARNERS.get(name)
    known = {field.name: field.default for field in dataclasses.fields(kind)}
    return _make(name, kind, fields, known, f"`headstart bandit learners {name}` explains them.")


def make_world(name: str, /, **options: Any) -> Bandit:
    """A named world, with some of its options set; errors as for ``make_learner``."""
    return _make_named(WORLDS, name, options)


def make_log(name: str, /, **options: Any) -> Log:
    """A named log of real feedback, with some of its options set; errors as for ``make_learner``."""
    return _make_named(LOGS, name, options)


def split_text(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``name:option=value,option=value``; values are JSON, or else text.

    Raises:
        UsageError: an option without a value.
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in rest.split(",") if rest else ():
        option, equals, value = part.partition("=")
        if not equals or not option:
            raise UsageError(f"{part!r} in {text!r} is not option=value; write it as {name}:option=value,option=value")
        try:
            options[option.strip().replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            options[option.strip().replace("-", "_")] = value
    return name, options


def _make_named(registry: Registry, name: str, options: dict[str, Any]) -> Any:
    maker = registry.get(name)
    known = {parameter.name: parameter.default for parameter in inspect.signature(maker).parameters.values()}
    return _make(name, maker, options, known, f"{name} takes {', '.join(known)}.")


def _make(name: str, maker: Any, options: dict[str, Any], known: dict[str, Any], advice: str) -> Any:
    """Call ``maker``; ``known`` are its options and their defaults, text or numbers."""
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of {name}", option, known, advice)
        text = isinstance(known[option], str)
        if not isinstance(value, str if text else int | float | None):
            kind = "text" if text else "a number, true, false or null"
            raise UsageError(f"{option} of {name} must be {kind}; given {value!r}")
    return maker(**options)


def learner_to_json(learner: Learner) -> dict[str, Any]:
    """The learner's name and fields; for a class of one's own, ``module:Class`` in place of the name."""
    kind = type(learner)
    names = [entry.name for entry in LEARNERS if entry.target == f"{kind.__module__}:{kind.__qualname__}"]
    return {"name": names[0] if names else f"{kind.__module__}:{kind.__qualname__}", **dataclasses.asdict(learner)}


def learner_from_json(record: dict[str, Any]) -> Learner:
    """The learner that ``learner_to_json`` wrote.

    Raises:
        UsageError: it is of a class of one's own (a record never makes this library import code), or the fields are
            not those of the learner.
    """
    fields = dict(record)
    name = fields.pop("name")
    if ":" in name:
        raise UsageError(f"the learner is {name}, which is not part of headstart; pass it along (learner=…)")
    return make_learner(name, **fields)
