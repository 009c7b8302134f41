"""Trajectory weighting: draw the better trajectories more often and leave the method as it is (arXiv 2306.13085).

A few good trajectories among many bad ones are lost on methods that stay near their data. Weighted by how much better
they ended than their start promised, they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.bc import BC
from headstart.control.collect import collect
from headstart.control.cql import CQL
from headstart.control.iql import IQL
from headstart.control.td3_bc import TD3BC
from headstart.core.errors import DataError
from headstart.data.experience import Experience, concatenate
from headstart.data.weights import TrajectoryWeights
from headstart.envs.functional import noisy_controller, uniform_policy
from headstart.envs.pendulum import Pendulum, PendulumState
from headstart.evaluate.correlation import spearman
from headstart.evaluate.scores import reference
from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers import figures
from headstart.papers.offline import OfflineLearner
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

WORLD = Pendulum()
NOISE = {"expert": 0.1, "medium": 1.0}
SAMPLERS = {
    "uniform": None,
    "AW": TrajectoryWeights("advantage", alpha=0.1),
    "RW": TrajectoryWeights("return", alpha=0.1),
    "top 10%": TrajectoryWeights("top", fraction=0.1),
}
SIZES: dict[str, Any] = {"hidden": (64, 64), "learning_rate": 1e-3}
METHODS = {
    "TD3+BC": TD3BC(**SIZES, batch_size=128, alpha=2.5),
    "IQL": IQL(**SIZES, batch_size=128, expectile=0.7, temperature=3.0, actor_decay_steps=None),
    "CQL": CQL(
        **SIZES,
        batch_size=64,
        layer_norm=True,
        actor_learning_rate=1e-3,
        temperature_learning_rate=1e-3,
        conservative_weight=0.3,
        action_samples=2,
        gradient_actions=1,
    ),
    "BC": BC(**SIZES, batch_size=128),
}
MAIN, REGULAR = "random-expert-5%", "medium"
MIXTURES = tuple(f"random-{good}-{percent}%" for good in ("expert", "medium") for percent in (1, 5, 10))
GAP = reference(WORLD.name).high - reference(WORLD.name).low


@dataclass(frozen=True)
class Size:
    """How long the experiment is.

    Attributes:
        trajectories: in each dataset.
        updates: of every method on every dataset.
        episodes: in the evaluation at the end.
        starts: trajectories from lucky and unlucky starts.
        samples: from each of those starts, to know what it promises.
    """

    trajectories: int
    updates: int
    episodes: int
    starts: int
    samples: int


FULL, QUICK = Size(1000, 4000, 100, 400, 100), Size(100, 20, 5, 40, 10)
ARMS = {
    MAIN: {label: tuple(SAMPLERS) for label in METHODS},
    REGULAR: dict.fromkeys(("TD3+BC", "IQL", "CQL"), ("uniform", "AW")),
    **{mixture: {"TD3+BC": ("uniform", "AW")} for mixture in MIXTURES if mixture != MAIN},
}
QUICK_METHODS = ("TD3+BC",)


def run(seed: int, quick: bool) -> Result:
    """All datasets, samplers and methods of one seed, and what lucky starts do to weights."""
    size = QUICK if quick else FULL
    sources = _record(seed, size.trajectories)
    found: Result = {"datasets": {}, "luck": _luck(seed, size)}
    for name, arms in ARMS.items():
        data = _mixture(name, sources, size.trajectories)
        returns = data.returns()
        weighted = TrajectoryWeights("return").weigh(data)
        numbers = {
            "mean": float(returns.mean()),
            "positive-sided variance": weighted.positive_sided_variance(),
            "samplers": {label: _weights(label, data)[1] for label in dict.fromkeys(sum(arms.values(), ()))},
            "returns": {},
        }
        for method in (label for label in arms if not quick or label in QUICK_METHODS):
            numbers["returns"][method] = {s: _train(method, s, data, seed, size) for s in arms[method]}
        found["datasets"][name] = numbers
    return found


def _record(seed: int, trajectories: int) -> dict[str, Experience]:
    """Uniform actions, and the controller with little and with much noise: as many trajectories of each."""
    policies = {"random": uniform_policy(WORLD)} | {k: noisy_controller(WORLD, noise) for k, noise in NOISE.items()}
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 3), len(policies))
    return {
        name: collect(WORLD, policy, key, trajectories, from_state=True)
        for key, (name, policy) in zip(keys, policies.items(), strict=True)
    }


def _mixture(name: str, sources: dict[str, Experience], trajectories: int) -> Experience:
    if name in sources:
        return sources[name]
    _, good, percent = name.rstrip("%").split("-")
    count = round(trajectories * int(percent) / 100)
    bad = sources["random"].select(np.arange(trajectories - count))
    return concatenate([bad, sources[good].select(np.arange(count))])


def _weights(sampler: str, data: Experience) -> tuple[np.ndarray, dict[str, float]]:
    weights = SAMPLERS[sampler]
    if weights is None:  # equal weights rather than none, so that all samplers share one program
        count, mean = len(data.episodes()), float(data.returns().mean())
        return np.ones(len(data)), {"effective trajectories": float(count), "expected return": mean}
    weighted = weights.weigh(data)
    facts = {
        "effective trajectories": weighted.effective_trajectories(),
        "expected return": weighted.expected_return(),
    }
    return weights.transition_weights(data), facts


def _train(method: str, sampler: str, data: Experience, seed: int, size: Size) -> float:
    returns, weights = data.returns(), _weights(sampler, data)[0]
    scale = 100 / float(returns.max() - returns.min())
    learner = OfflineLearner(METHODS[method], data, seed, reward_scale=scale, weights=weights)
    return float(learner.learn(size.updates).evaluate(WORLD, size.episodes).returns.mean())


@dataclass(frozen=True)
class LuckyPendulum(Pendulum):
    """Half of the episodes start within a tenth of a radian of upright."""

    def reset(self, key: PRNGKeyArray) -> PendulumState:
        """Nearly upright or anywhere, as a coin falls; velocity within 1 rad/s."""
        key, coin_key = jax.random.split(key)
        state = super().reset(key)
        lucky = jax.random.bernoulli(coin_key)
        return state._replace(angle=jnp.where(lucky, 0.1 * state.angle / jnp.pi, state.angle))


def _luck(seed: int, size: Size) -> dict[str, float]:
    """How much better drawn trajectories are than the same policy does from their starts, under both weights."""
    world = LuckyPendulum()
    data_key, value_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), 4))
    data = collect(world, uniform_policy(world), data_key, size.starts)
    starts = data.observations[data.episodes().starts]
    promised = np.asarray(_expected_returns(jnp.asarray(starts), value_key, size.samples), np.float64)
    advantages = data.returns() - promised
    found = {}
    for label in ("AW", "RW"):
        weights = SAMPLERS[label]
        assert weights is not None
        found[label] = float(weights.weigh(data).probabilities @ advantages)
    return found


def _expected_returns(
    starts: Float[Array, "starts observation"], key: PRNGKeyArray, samples: int
) -> Float[Array, " starts"]:
    """Mean return of uniform actions from each start, over fresh episodes."""

    def one(start: Array, key: PRNGKeyArray) -> Array:
        def step(state: PendulumState, key: PRNGKeyArray) -> tuple[PendulumState, Array]:
            state, reward, _ = WORLD.step(state, jax.random.uniform(key, (1,), minval=-1))
            return state, reward

        state = PendulumState(jnp.arctan2(start[1], start[0]), 8 * start[2], key)
        return jnp.sum(jax.lax.scan(step, state, jax.random.split(key, WORLD.horizon))[1])

    keys = jax.random.split(key, (len(starts), samples))
    return jnp.mean(jax.jit(jax.vmap(jax.vmap(one, (None, 0))))(starts, keys), axis=1)


def _of(results: Sequence[Result], dataset: str, method: str, sampler: str) -> np.ndarray:
    return np.array([result["datasets"][dataset]["returns"][method][sampler] for result in results])


def _methods(results: Sequence[Result], dataset: str) -> list[str]:
    return list(results[0]["datasets"][dataset]["returns"])


def _gains(results: Sequence[Result], dataset: str, sampler: str) -> dict[str, tuple[float, float, float]]:
    """Return with a sampler minus uniformly, with its interval, by method."""
    return {
        method: paired_bootstrap(_of(results, dataset, method, sampler), _of(results, dataset, method, "uniform"))
        for method in _methods(results, dataset)
    }


def _numbers(gains: dict[str, tuple[float, float, float]]) -> dict[str, float]:
    return {
        f"{method} {name}": value
        for method, interval in gains.items()
        for name, value in zip(("gain", "low", "high"), interval, strict=True)
    }


def judge(results: Sequence[Result]) -> list[Verdict]:
    """All claims, paired by seed."""
    advantage, by_return = _gains(results, MAIN, "AW"), _gains(results, MAIN, "RW")
    regular = _gains(results, REGULAR, "AW")
    better = {method for method, (_, low, _) in advantage.items() if low > 0}
    variances = [float(_facts(results, name, "positive-sided variance").mean()) for name in MIXTURES]
    gains = [_gains(results, name, "AW")["TD3+BC"][0] for name in MIXTURES]
    luck = {label: [result["luck"][label] for result in results] for label in ("AW", "RW")}
    difference, low, high = paired_bootstrap(luck["AW"], luck["RW"])
    try:
        correlation = spearman(variances, gains)
    except DataError:  # nothing is gained anywhere
        correlation = 0.0
    return [
        Verdict(
            claim="advantage-weights",
            holds="TD3+BC" in better and bool(better & {"IQL", "CQL"}),
            numbers=_numbers(advantage),
        ),
        Verdict(
            claim="return-weights",
            holds=all(by_return[method][1] > 0 for method in ("TD3+BC", "IQL") if method in by_return),
            numbers=_numbers(by_return),
        ),
        Verdict(
            claim="regular-data",
            holds=all(
                low > -0.1 * GAP and high < 0.1 * GAP
                for _, low, high in (regular[method] for method in ("TD3+BC", "IQL") if method in regular)
            ),
            numbers=_numbers(regular) | {"a tenth of the gap": 0.1 * GAP},
        ),
        Verdict(
            claim="potential",
            holds=correlation > 0,
            numbers={"rank correlation": correlation, **dict(zip(MIXTURES, gains, strict=True))},
        ),
        Verdict(
            claim="lucky-starts",
            holds=all(ours > theirs for ours, theirs in zip(luck["AW"], luck["RW"], strict=True)),
            numbers={"difference": difference, "low": low, "high": high},
        ),
    ]


def _facts(results: Sequence[Result], dataset: str, name: str) -> np.ndarray:
    return np.array([result["datasets"][dataset][name] for result in results])


def table(results: Sequence[Result]) -> list[Row]:
    """What was drawn and what was learned, one line a dataset and sampler."""
    rows: list[Row] = []
    for dataset, found in results[0]["datasets"].items():
        for sampler in found["samplers"]:
            row: Row = {"dataset": dataset, "sampler": sampler}
            for fact in ("effective trajectories", "expected return"):
                row[fact] = float(np.mean([r["datasets"][dataset]["samplers"][sampler][fact] for r in results]))
            for method in _methods(results, dataset):
                row[method] = float(_of(results, dataset, method, sampler).mean())
            rows.append(row)
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Returns of every sampler on the mixture, and gains against the variance that promises them."""
    methods = _methods(results, MAIN)[:3]
    with figures.figure(
        path, len(methods) + 1, "Fifty good trajectories among a thousand", height=3.2, width=3.4
    ) as axes:
        for axis, method in zip(axes, methods, strict=False):
            figures.intervals(axis, {s: _of(results, MAIN, method, s).tolist() for s in SAMPLERS})
            axis.set(xlabel="return", title=method)
        for index, mixture in enumerate(MIXTURES):
            gain = _gains(results, mixture, "AW")["TD3+BC"][0]
            variance = _facts(results, mixture, "positive-sided variance").mean()
            color, marker = figures.COLORS[index], figures.MARKERS[index]
            axes[-1].plot([variance], [gain], marker, color=color, label=mixture)
        axes[-1].set(xlabel="positive-sided variance of returns", ylabel="gain of AW", title="TD3+BC, six mixtures")
        axes[-1].legend(fontsize=7)


PAPER = Paper(
    id="trajectory-weighting",
    title="Harnessing Mixed Offline Reinforcement Learning Datasets via Trajectory Weighting",
    authors="Hong et al.",
    year=2023,
    arxiv="2306.13085",
    summary=(
        "Trajectories are drawn with a probability that grows with their return minus the return expected from their "
        "start (AW), or with their return (RW). Any offline method then learns from mixed data as if bad trajectories "
        "were fewer."
    ),
    claims=(
        Claim(
            name="advantage-weights",
            sentence="On mixed data, advantage weights (AW) make offline methods better than uniform sampling does.",
            test=(
                f"{MAIN}: paired bootstrap over seeds, 95 % interval of the return with AW minus with uniform "
                "sampling: lower end > 0 for TD3+BC and for at least one of IQL and CQL"
            ),
        ),
        Claim(
            name="return-weights",
            sentence="So do return weights (RW).",
            test=f"{MAIN}: the same of RW minus uniform: lower end > 0 for TD3+BC and for IQL",
        ),
        Claim(
            name="regular-data",
            sentence="On data of one behaviour, nothing is lost.",
            test=(
                "1000 trajectories of the noisy controller alone: the 95 % interval of AW minus uniform lies within "
                "a tenth of the gap between controller and random policy, for TD3+BC and for IQL"
            ),
        ),
        Claim(
            name="potential",
            sentence="The more returns vary above their mean, the more there is to gain.",
            test=(
                "six mixtures: rank correlation of the positive-sided variance of returns with the mean gain of AW "
                "over uniform for TD3+BC > 0"
            ),
        ),
        Claim(
            name="lucky-starts",
            sentence="Where starts differ in luck, advantage weights find better trajectories than return weights do.",
            test=(
                "random policy, half of the starts nearly upright; no training: expected advantage of the drawn "
                "trajectories over fresh episodes from the same starts, greater with AW than with RW in every seed"
            ),
        ),
    ),
    settings={
        "world": "pendulum swing-up, 200 steps, pure JAX",
        "data": f"{FULL.trajectories} trajectories: uniform actions with 1, 5 or 10 % of the scripted controller with "
        "noise 0.1 (expert) or 1 (medium); or the medium controller alone",
        "weights": "alpha 0.1; advantages from a linear baseline of the first observation",
        "all methods": f"2x64, learning rate 1e-3, batch 128 (CQL 64), {FULL.updates} updates, discount 0.99, rewards "
        "times 100 / (largest - smallest return)",
        "TD3+BC": "alpha 2.5, standardised observations",
        "IQL": "expectile 0.7, temperature 3",
        "CQL": "conservative weight 0.3, 2 actions of each kind, layer norm",
        "evaluation": f"{FULL.episodes} greedy episodes at the end",
        "starts": f"{FULL.starts} trajectories, {FULL.samples} fresh episodes from each start",
    },
    seeds=tuple(range(5)),
    quick_seeds=(0,),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    deviations=(
        "A pendulum stands for the D4RL locomotion mixtures, a script for their trained policies.",
        "Good trajectories are drawn without replacement, a fixed number of them.",
        "CQL's gradient passes through one sampled action, drawn by its share of the log-sum-exp: the same on average.",
        "Training is two hundred times shorter.",
    ),
)
