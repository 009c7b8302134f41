"""Demonstration-regularised reinforcement learning: the more demonstrations, the fewer episodes a certificate takes
(arXiv 2310.17303).

A world whose best actions are easy to imitate and hard to be sure of. Three experiments: episodes until a policy is
certified, the rate at which an imitation approaches its demonstrator, and learning from preferences alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from headstart.evaluate.statistics import mean, paired_bootstrap, stratified_bootstrap
from headstart.finite.behavior_cloning import BehaviorCloning, held_out_divergence, trajectory_divergence
from headstart.finite.bpi_ucbvi import BPIUCBVI
from headstart.finite.demo_regularized import DemoRegularizedRL, temperature_for
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodes import collect, count
from headstart.finite.identification import Identified
from headstart.finite.mdp import FiniteMDP
from headstart.finite.noisy_choices import noisy_choices
from headstart.finite.planning import backward_induction, soft_backward_induction, soft_maximum, value_of
from headstart.finite.preference_reward import PreferenceReward
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

DEMONSTRATIONS = (100, 400, 1600, 6400)
ACCURACIES = (0.1, 0.05, 0.02)
TEMPERATURES = (0.01, 0.1, 0.3, 1.0)
CLONED_FROM = 30
"""Demonstrations that the policy is cloned from whose episodes are compared by preference."""


@dataclass(frozen=True)
class Size:
    """How large the experiment is.

    Attributes:
        accuracies: those certified.
        cloned: numbers of demonstrations in the experiment on imitation.
        repetitions: of each, with demonstrations of its own.
        preference_worlds: worlds of the experiment on preferences.
        preferences: numbers of them.
    """

    accuracies: tuple[float, ...] = ACCURACIES
    cloned: tuple[int, ...] = (50, 100, 200, 400, 800, 1600, 3200, 6400)
    repetitions: int = 20
    preference_worlds: int = 5
    preferences: tuple[int, ...] = (50, 200, 800, 3200)


FULL, QUICK = Size(), Size((0.2, 0.1), (50, 400, 3200), 2, 1, (50, 3200))


def certify(world: FiniteMDP, size: Size, seed: int) -> dict[str, Any]:
    """Episodes to a certificate with and without demonstrations, and how far from optimal what was returned is.

    Keys of the outcomes are ``accuracy``, or ``accuracy, demonstrations``.
    """
    optimum = backward_induction(world)
    best = float(world.initial @ optimum.values[0])
    outcomes: dict[str, dict[str, float]] = {}

    def note(key: str, found: Identified) -> None:
        assert found.certified
        outcomes[key] = {"episodes": found.episodes, "loss": best - float(value_of(world, found.policy))}

    for accuracy in size.accuracies:
        note(f"{accuracy}", BPIUCBVI(accuracy).run(world, seed))
        for number in DEMONSTRATIONS:
            demonstrations = collect(world, optimum.policy, number, seed)
            clone = BehaviorCloning().fit(count(demonstrations, world.spec))
            divergence = trajectory_divergence(world, optimum.policy, clone)
            learner, key = DemoRegularizedRL(accuracy), f"{accuracy}, {number}"
            note(key, learner.run(world, clone, temperature_for(accuracy, divergence), seed))
            fresh = collect(world, optimum.policy, 100, 2**20 + seed)
            estimated = temperature_for(accuracy, held_out_divergence(fresh, clone))
            note(f"{key}, estimated", learner.run(world, clone, estimated, seed))
            if (accuracy, number) == (0.05, 1600):
                straight = DemoRegularizedRL(accuracy, deviate=False)
                note(f"{key}, straight", straight.run(world, clone, temperature_for(accuracy, divergence), seed))
    return outcomes


def imitate(world: FiniteMDP, size: Size, generator: np.random.Generator) -> list[float]:
    """Divergence of a random demonstrator from its imitation, by number of demonstrations."""
    values = backward_induction(world).action_values
    demonstrator = np.asarray(soft_maximum(values, np.full(values.shape, 1 / world.actions), 0.1)[1])
    divergences = []
    for number in size.cloned:
        clones = [
            BehaviorCloning().fit(draw_episodes(world, demonstrator, number, generator))
            for _ in range(size.repetitions)
        ]
        divergences.append(float(np.mean([trajectory_divergence(world, demonstrator, clone) for clone in clones])))
    return divergences


def prefer(world: FiniteMDP, size: Size, seed: int) -> Float[np.ndarray, "preferences temperatures"]:
    """What a policy learned from preferences is worth more than the cloned one whose episodes were compared."""
    generator, judge = np.random.default_rng(seed), PreferenceReward()
    clone = BehaviorCloning().fit(draw_episodes(world, backward_induction(world).policy, CLONED_FROM, generator))
    gains = np.zeros((len(size.preferences), len(TEMPERATURES)))
    for i, number in enumerate(size.preferences):
        both = collect(world, clone, 2 * number, seed)
        first, second = both.select(slice(number)), both.select(slice(number, None))
        rewards = judge.fit(first, second, judge.prefer(first, second, generator), world.spec)
        believed = FiniteMDP(world.transition, rewards[None], world.initial, world.horizon)  # not within [0, 1]
        for j, temperature in enumerate(TEMPERATURES):
            policy = soft_backward_induction(believed, clone, temperature).policy
            gains[i, j] = value_of(world, policy) - value_of(world, clone)
    return gains


def run(seed: int, quick: bool) -> Result:
    """All three experiments, in worlds of the seed's own."""
    size = QUICK if quick else FULL
    world = noisy_choices(seed)
    worlds = [1000 * (seed + 1) + index for index in range(size.preference_worlds)]
    gains = np.mean([prefer(noisy_choices(other), size, other) for other in worlds], axis=0)
    return {
        "certified": certify(world, size, seed),
        "accuracies": list(size.accuracies),
        "cloned": list(size.cloned),
        "divergences": imitate(world, size, np.random.default_rng(seed)),
        "preferences": list(size.preferences),
        "gains": gains.tolist(),
    }


def judge(results: Sequence[Result]) -> list[Verdict]:
    """All claims, by bootstrap over seeds."""
    return [
        _fewer_episodes(results),
        _beats_none(results),
        _returned(results),
        _accuracy_rate(results),
        _imitation_rate(results),
        _preferences(results),
    ]


def _episodes(results: Sequence[Result], key: str) -> list[float]:
    return [result["certified"][key]["episodes"] for result in results]


def _hardest(results: Sequence[Result]) -> float:
    return min(results[0]["accuracies"])


def _slope(x: Sequence[float], curves: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Mean slope on logarithmic axes over seeds, with its interval."""
    slopes = [float(np.polyfit(np.log(x), np.log(curve), 1)[0]) for curve in curves]
    estimate, low, high = stratified_bootstrap(slopes, mean)
    return float(estimate), float(low), float(high)


def _by_demonstrations(results: Sequence[Result], accuracy: float, ending: str = "") -> np.ndarray:
    """Episodes ``[seeds, demonstrations]``."""
    return np.array([_episodes(results, f"{accuracy}, {number}{ending}") for number in DEMONSTRATIONS]).T


def _fewer_episodes(results: Sequence[Result]) -> Verdict:
    estimate, low, high = _slope(DEMONSTRATIONS, _by_demonstrations(results, _hardest(results)).tolist())
    return Verdict(claim="fewer-episodes", holds=high <= -0.65, numbers={"slope": estimate, "low": low, "high": high})


def _beats_none(results: Sequence[Result]) -> Verdict:
    accuracy = _hardest(results)
    ours, theirs = _by_demonstrations(results, accuracy)[:, -1], np.array(_episodes(results, f"{accuracy}"))
    _, _, high = paired_bootstrap(ours, theirs / 3)
    numbers = {"6400 demonstrations": float(ours.mean()), "none": float(theirs.mean()), "high of the difference": high}
    return Verdict(claim="beats-none", holds=high < 0, numbers=numbers)


def _returned(results: Sequence[Result]) -> Verdict:
    shares = [
        outcome["loss"] / float(key.split(",")[0]) for result in results for key, outcome in result["certified"].items()
    ]
    return Verdict(
        claim="certificates-are-true",
        holds=max(shares) <= 1,
        numbers={"searches": float(len(shares)), "largest loss as a share of the accuracy": max(shares)},
    )


def _accuracy_rate(results: Sequence[Result]) -> Verdict:
    accuracies = results[0]["accuracies"]
    curves = np.array([_episodes(results, f"{accuracy}, 1600") for accuracy in accuracies]).T
    estimate, low, high = _slope([1 / accuracy for accuracy in accuracies], curves.tolist())
    holds = low >= 1.4 and high <= 2.2
    return Verdict(claim="accuracy-rate", holds=holds, numbers={"slope": estimate, "low": low, "high": high})


def _imitation_rate(results: Sequence[Result]) -> Verdict:
    estimate, low, high = _slope(results[0]["cloned"], [result["divergences"] for result in results])
    holds = low >= -1.15 and high <= -0.85
    return Verdict(claim="imitation-rate", holds=holds, numbers={"slope": estimate, "low": low, "high": high})


def _preferences(results: Sequence[Result]) -> Verdict:
    gains = np.array([result["gains"] for result in results])
    few, many = gains[:, 0], gains[:, -1]
    _, few_low, _ = paired_bootstrap(few[:, -1], few[:, 0])
    _, clone_low, _ = paired_bootstrap(few[:, -1], np.zeros(len(few)))
    _, many_low, _ = paired_bootstrap(many[:, 0], many[:, -1])
    best = gains.mean(0).argmax(-1)
    falls = bool((np.diff(best) <= 0).all() and best[0] > best[-1])
    numbers = {
        "few: low of temperature 1 - temperature 0.01": few_low,
        "few: low of temperature 1 - clone": clone_low,
        "many: low of temperature 0.01 - temperature 1": many_low,
    } | {
        f"best temperature of {number} preferences": TEMPERATURES[index]
        for number, index in zip(results[0]["preferences"], best, strict=True)
    }
    holds = few_low > 0 and clone_low >= 0 and many_low > 0 and falls
    return Verdict(claim="preferences", holds=holds, numbers=numbers)


def table(results: Sequence[Result]) -> list[Row]:
    """Mean episodes to a certificate, by accuracy."""
    arms = {"none": ""} | {f"{number}": f", {number}" for number in DEMONSTRATIONS}
    arms |= {f"{number}, estimated divergence": f", {number}, estimated" for number in DEMONSTRATIONS}
    arms |= {"1600, exploring without deviations": ", 1600, straight"}
    rows: list[Row] = []
    for arm, ending in arms.items():
        row: Row = {"demonstrations": arm}
        for accuracy in results[0]["accuracies"]:
            key = f"{accuracy}{ending}"
            known = key in results[0]["certified"]
            row[f"episodes to {accuracy}"] = float(np.mean(_episodes(results, key))) if known else ""
        rows.append(row)
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Episodes by demonstrations, divergence by demonstrations, gains by preferences."""
    with figures.figure(path, 3, "Demonstrations make certificates cheap") as (episodes, cloning, preferences):
        for index, accuracy in enumerate(results[0]["accuracies"]):
            curves = _by_demonstrations(results, accuracy)
            figures.curve(episodes, DEMONSTRATIONS, curves, f"accuracy {accuracy}", index)
            none = np.mean(_episodes(results, f"{accuracy}"))
            episodes.axhline(none, color=figures.COLORS[index], linestyle=":", linewidth=1.2)
        episodes.set(xscale="log", yscale="log", xlabel="demonstrations", ylabel="episodes to a certificate")
        episodes.set_title("Certified episodes (dotted: no demonstrations)")
        divergences = np.array([result["divergences"] for result in results])
        figures.curve(cloning, results[0]["cloned"], divergences, "random demonstrator", 0)
        cloning.set(xscale="log", yscale="log", xlabel="demonstrations", ylabel="divergence", title="Imitation")
        gains = np.array([result["gains"] for result in results])
        for index, temperature in enumerate(TEMPERATURES):
            curve = gains[:, :, index]
            figures.curve(preferences, results[0]["preferences"], curve, f"temperature {temperature}", index)
        preferences.axhline(0, color="#888888", linewidth=1, linestyle=":")
        preferences.set(
            xscale="log", xlabel="preferences", ylabel="gain over the clone", title="Learning from preferences"
        )
        episodes.legend()
        preferences.legend()


PAPER = Paper(
    id="demo-regularized",
    title="Demonstration-Regularized RL",
    authors="Tiapkin et al.",
    year=2023,
    arxiv="2310.17303",
    summary=(
        "Clone the demonstrations, then explore while paying for divergence from the clone. The more demonstrations, "
        "the dearer divergence may be and the fewer episodes a certified policy takes; with rewards learned from "
        "preferences, the same price takes the place of pessimism."
    ),
    claims=(
        Claim(
            name="fewer-episodes",
            sentence="Episodes to a certified policy fall nearly in proportion to the number of demonstrations.",
            test=(
                "accuracy 0.02, demonstrations 100, 400, 1600, 6400: slope of the episodes on log-log axes, mean over "
                "seeds with its 95 % bootstrap interval: upper end <= -0.65 (-1 in theory)"
            ),
        ),
        Claim(
            name="beats-none",
            sentence="With 6400 demonstrations a certificate takes less than a third of the episodes it takes without.",
            test=(
                "accuracy 0.02; paired bootstrap over seeds, 95 % interval of the episodes with 6400 demonstrations "
                "minus a third of those of BPI-UCBVI without: upper end < 0"
            ),
        ),
        Claim(
            name="certificates-are-true",
            sentence="Every policy returned is as good as its certificate says.",
            test="exact loss of every returned policy, of all arms and seeds, is at most the accuracy",
        ),
        Claim(
            name="accuracy-rate",
            sentence="With the number of demonstrations fixed, episodes grow like the accuracy to the power -2.",
            test=(
                "1600 demonstrations, accuracies 0.1, 0.05, 0.02: slope of the episodes over one by the accuracy on "
                "log-log axes, mean over seeds with its 95 % bootstrap interval within [1.4, 2.2]"
            ),
        ),
        Claim(
            name="imitation-rate",
            sentence="The divergence of a demonstrator, even a random one, from its clone falls like 1/demonstrations.",
            test=(
                "50 to 6400 demonstrations: slope of the exact divergence on log-log axes, mean over seeds with its "
                "95 % bootstrap interval within [-1.15, -0.85]"
            ),
        ),
        Claim(
            name="preferences",
            sentence=(
                "With a reward learned from few preferences, a high price of divergence from the clone replaces "
                "pessimism; with many preferences a low price is better."
            ),
            test=(
                "paired bootstrap over seeds, 95 % intervals: 50 preferences, value at temperature 1 minus at 0.01, "
                "lower end > 0, and minus the clone's, lower end >= 0; 3200 preferences, value at 0.01 minus at 1, "
                "lower end > 0; the temperature of best mean value never rises with the number of preferences, and "
                "falls from 50 to 3200"
            ),
        ),
    ),
    settings={
        "world": "noisy-choices: 4 contexts, 4 actions, horizon 4; one world a seed",
        "demonstrator": "the optimal policy; for imitation softmax of its action values at temperature 0.1",
        "learner": "UCBVI-Ent+, bonus scale 0.1, temperature = accuracy / (2 divergence), exact or estimated from 100 "
        "held-out demonstrations; plans every 50 episodes or 2 %",
        "without demonstrations": "BPI-UCBVI, the same widths",
        "imitation": f"{FULL.repetitions} clones for each number of demonstrations",
        "preferences": f"{FULL.preference_worlds} worlds a seed, pairs of episodes of a clone of {CLONED_FROM} "
        "demonstrations, preferred with probability sigmoid(4 difference); tabular reward with ridge 0.1; exact "
        "planning",
    },
    seeds=tuple(range(8)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "The paper has no experiments; these are ours, in finite worlds only (not its linear ones).",
        "Not claimed, but in the table: with few demonstrations certificates take more episodes than without any, and "
        "exploration that never leaves the policy takes many times more.",
        "Widths are Bernstein's with a small constant; rewards are known, as in the paper.",
        "The temperature uses the exact divergence in the claims; that estimated from held-out demonstrations is in "
        "the table.",
        "Preferences are tested with exact planning, so that only the learned reward errs; its size is kept by a "
        "ridge, not a bound.",
    ),
)
