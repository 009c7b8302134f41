"""A policy of asking that is near the best at every level of difficulty (arXiv 2010.15382).

The first game is small enough for its exact minimax solution, and for exact errors of every policy. In the second,
animals are guessed, and policies play.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from headstart.bandits.active_learning import difficulty, draw_problems, thresholds
from headstart.bandits.active_learning_policy import (
    BISECTION,
    Asker,
    AskerTraining,
    error_rates,
    tabulate,
    train_by_play,
    train_exactly,
)
from headstart.bandits.active_minimax import States, bayes
from headstart.bandits.active_rules import round_robin, soft_bisection, uniform
from headstart.bandits.active_training import Adversary
from headstart.bandits.question_table import read_table
from headstart.evaluate.statistics import mean, paired_bootstrap, stratified_bootstrap
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

LEVELS = (5, 10, 20, 40)
RELIABILITY = 0.7
RULES = ("round robin", "uniform", "soft bisection", "Bayes")
SPECIALISTS = tuple(f"specialist {level}" for level in LEVELS)
ARMS = ("robust", "network", *RULES, *SPECIALISTS)
ADVERSARY = Adversary()
NETWORK, PLAYS = AskerTraining(), AskerTraining(iterations=2000, learning_rate=1e-3)


@dataclass(frozen=True)
class Size:
    """How large the experiment is.

    Attributes:
        questions: positions of the threshold.
        budget: questions asked about it.
        adversary: finds the problems for training.
        fresh: more problems for testing, at each level.
        training: of the network on the same game.
        plays: training of the network on the animals.
        games: of each animal for testing.
    """

    questions: int = 5
    budget: int = 7
    adversary: Adversary = ADVERSARY
    fresh: int = 400
    training: AskerTraining = NETWORK
    plays: AskerTraining = PLAYS
    games: int = 4000


FULL = Size()
QUICK = Size(
    3, 4, Adversary(20, 1, 40, 5, 40), 20, AskerTraining(iterations=10), AskerTraining(iterations=5, plays=4), 50
)
ANIMALS_BUDGET, WIDTH, BIAS = 12, 64, 10.0


def run(seed: int, quick: bool) -> Result:
    """Both games of one seed."""
    size = QUICK if quick else FULL
    return {"thresholds": _thresholds(seed, size), "animals": _animals(seed, size)}


def _thresholds(seed: int, size: Size) -> Result:
    game, generator = thresholds(size.questions, size.budget), np.random.default_rng(seed)
    states = States.of(game)
    solved = size.adversary.train(states, LEVELS, generator)
    everything, robust, alone = solved.everything, solved.robust, solved.specialists
    asker, network_gap = train_exactly(
        Asker(game, jax.random.key(seed)), states, everything, solved.targets, size.training
    )
    policies = {
        "robust": robust.policy,
        "network": tabulate(asker, states),
        "round robin": states.tabulate(round_robin(game)),
        "uniform": states.tabulate(uniform(game)),
        "soft bisection": states.tabulate(soft_bisection(game, RELIABILITY)),
        "Bayes": bayes(states, everything),
        **{name: solution.policy for name, solution in zip(SPECIALISTS, alone, strict=True)},
    }
    fresh = [draw_problems(game, level, size.fresh, generator) for level in LEVELS]
    tests = [np.concatenate([table, states.losses(theta)]) for table, theta in zip(solved.tables, fresh, strict=True)]
    arms: dict[str, Any] = {}
    for name, policy in policies.items():
        reached = states.reach(policy).astype(np.float32)
        errors = [test @ reached for test in tests]
        arms[name] = {"worst": [float(e.max()) for e in errors], "mean": [float(e.mean()) for e in errors]}
    best = [arms[name]["worst"][number] for number, name in enumerate(SPECIALISTS)]
    for arm in arms.values():
        arm["gap"] = float(np.max(np.subtract(arm["worst"], best)))
    reached = states.reach(robust.policy).astype(np.float32)
    measured = float((everything @ reached - solved.targets).max())
    certificate = {"lower": robust.lower, "measured": measured, "upper": robust.upper, "network": network_gap}
    return {"arms": arms, "certificate": certificate}


def _animals(seed: int, size: Size) -> dict[str, float]:
    """Errors on the quarter of animals that are hardest to tell apart, and on all of them."""
    table = read_table()
    reliability = np.random.default_rng([seed, 1]).choice(np.linspace(0.6, 0.95, 8), len(table.questions))
    table = table.answered(reliability)
    game, problems = table.game(ANIMALS_BUDGET), table.problems
    key, strength = jax.random.key(seed), float(reliability.mean())
    untrained, bisection = (Asker(game, key, WIDTH, bias, strength) for bias in (BIAS, BISECTION))
    trained = train_by_play(untrained, game, problems, training=size.plays, seed=seed)
    hard = np.argsort(difficulty(problems, game))[-len(problems) // 4 :]
    numbers = {}
    for name, asker in (("robust", trained), ("soft bisection", bisection)):
        errors = error_rates(asker, problems, size.games, seed + 1000)
        numbers |= {f"{name}, hardest": float(errors[hard].mean()), f"{name}, all": float(errors.mean())}
        numbers[f"{name}, worst"] = float(errors.max())
    return numbers


def _gaps(results: Sequence[Result], arm: str) -> list[float]:
    return [result["thresholds"]["arms"][arm]["gap"] for result in results]


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Each claim from its own numbers."""
    robust = stratified_bootstrap(_gaps(results, "robust"), mean)
    lows = {rule: float(stratified_bootstrap(_gaps(results, rule), mean).low) for rule in RULES}
    special = {name: paired_bootstrap(_gaps(results, "robust"), _gaps(results, name))[2] for name in SPECIALISTS}
    certificates = [result["thresholds"]["certificate"] for result in results]
    enclosed = [c["lower"] - 1e-4 <= c["measured"] <= c["upper"] + 1e-4 for c in certificates]
    network = max(c["network"] for c in certificates)
    ours, theirs = ([r["animals"][f"{arm}, hardest"] for r in results] for arm in ("robust", "soft bisection"))
    difference, low, high = paired_bootstrap(ours, theirs)
    return [
        Verdict(
            claim="small-gap",
            holds=float(robust.high) < 0.05,
            numbers={"largest gap": float(robust.estimate), "upper end": float(robust.high)},
        ),
        Verdict(
            claim="half-of-rules",
            holds=float(robust.high) < min(lows.values()) / 2,
            numbers={"robust, upper end": float(robust.high)} | {f"{n}, lower end": low for n, low in lows.items()},
        ),
        Verdict(
            claim="specialists",
            holds=max(special.values()) <= 0,
            numbers={f"robust - {name}, upper end": high for name, high in special.items()},
        ),
        Verdict(
            claim="certificate",
            holds=all(enclosed),
            numbers={
                "enclosed": sum(enclosed),
                "least lower": min(c["lower"] for c in certificates),
                "greatest upper": max(c["upper"] for c in certificates),
            },
        ),
        Verdict(claim="network", holds=network <= 0.06, numbers={"largest gap in training": network}),
        Verdict(claim="hard-animals", holds=high < 0, numbers={"difference": difference, "low": low, "high": high}),
    ]


def table(results: Sequence[Result]) -> list[Row]:
    """Worst error at each level, largest gap to the specialists, and mean error: what robustness costs."""
    rows: list[Row] = []
    for arm in ARMS:
        arms = [result["thresholds"]["arms"][arm] for result in results]
        row: Row = {"game": "thresholds", "policy": arm}
        row |= {f"worst, {level}": float(np.mean([a["worst"][i] for a in arms])) for i, level in enumerate(LEVELS)}
        row |= {"largest gap": float(np.mean([a["gap"] for a in arms]))}
        row |= {f"mean, {level}": float(np.mean([a["mean"][i] for a in arms])) for i, level in enumerate(LEVELS)}
        rows.append(row)
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Gaps by level of difficulty, and errors on hard animals."""
    with figures.figure(path, 2, "Asking: one policy for every level of difficulty", width=5.0) as (gaps, animals):
        worst = {arm: np.array([result["thresholds"]["arms"][arm]["worst"] for result in results]) for arm in ARMS}
        best = np.stack([worst[name][:, number] for number, name in enumerate(SPECIALISTS)], axis=1)
        for index, arm in enumerate(("robust", "network", *RULES)):
            figures.curve(gaps, LEVELS, worst[arm] - best, arm, index)
        gaps.set(xlabel="difficulty", ylabel="worst error less the specialist's", title="Thresholds", xscale="log")
        gaps.set_xticks(LEVELS, [str(level) for level in LEVELS])
        gaps.minorticks_off()
        gaps.legend(fontsize=8)
        groups: dict[str, Sequence[float]] = {
            f"{arm}, {part}": [result["animals"][f"{arm}, {part}"] for result in results]
            for part in ("hardest", "all", "worst")
            for arm in ("robust", "soft bisection")
        }
        figures.intervals(animals, groups)
        animals.set(xlabel="error", title="Animals")


PAPER = Paper(
    id="learn-active",
    title="Learning to Actively Learn: A Robust Approach",
    authors="Zhang and Jamieson",
    year=2020,
    arxiv="2010.15382",
    summary=(
        "A policy of asking is trained against an adversary who picks the problem, its loss compared with what can be "
        "achieved at the problem's level of difficulty. It is near the best at every level, where rules and policies "
        "trained for an average are far from it somewhere."
    ),
    claims=(
        Claim(
            name="small-gap",
            sentence="The robust policy is near the best achievable at every level of difficulty.",
            test=(
                "largest gap over 4 levels between its worst error on test problems and that of the policy trained "
                "for the level; bootstrap over seeds: upper end of the 95 % interval < 0.05"
            ),
        ),
        Claim(
            name="half-of-rules",
            sentence="Rules of thumb and the best policy on average have large gaps somewhere.",
            test=(
                "largest gaps of round robin, uniform, soft bisection and the Bayes policy for all training problems: "
                "the lower end of each one's interval is above twice the upper end of the robust policy's"
            ),
        ),
        Claim(
            name="specialists",
            sentence="No policy trained for one level is as good over all levels.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the robust policy's largest gap minus each "
                "specialist's: all upper ends <= 0"
            ),
        ),
        Claim(
            name="certificate",
            sentence="The solution's certificate encloses its largest gap on the training problems.",
            test="lower <= measured <= upper on every seed, up to 1e-4 for 32-bit sums",
        ),
        Claim(
            name="network",
            sentence="A network trained by gradients comes close to the exact solution.",
            test="largest gap on the training problems at the best of 300 steps, on every seed: at most 0.06",
        ),
        Claim(
            name="hard-animals",
            sentence="Guessing animals by 12 questions, the robust policy errs less on the hardest ones than soft "
            "bisection does.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the error on the quarter of animals of largest "
                "difficulty, robust minus soft bisection: upper end < 0"
            ),
        ),
    ),
    settings={
        "thresholds": f"{FULL.questions} positions, {FULL.questions + 1} hypotheses, {FULL.budget} questions, "
        f"difficulties {', '.join(map(str, LEVELS))}",
        "problems": f"{ADVERSARY.problems} a level, and {ADVERSARY.rounds} times up to {2 * ADVERSARY.added} of "
        f"{ADVERSARY.candidates} fresh ones on which the solutions do worst; tested on those and {FULL.fresh} more; "
        "errors are exact",
        "solution": f"multiplicative weights against best responses, {ADVERSARY.iterations} iterations",
        "network": f"two layers of 128, exact gradients, Adam {FULL.training.learning_rate}, "
        f"{FULL.training.iterations} steps",
        "animals": f"24 animals, 12 questions of reliability 0.6 to 0.95 drawn for each seed, {ANIMALS_BUDGET} asked; "
        f"two layers of {WIDTH} on top of soft bisection, {FULL.plays.iterations} steps of {FULL.plays.plays} games of "
        f"each animal; tested on {FULL.games} games of each",
        "final answer": "of every policy: the hypothesis that agrees most with the answers, ties at random",
        "soft bisection": f"takes answers for right with probability {RELIABILITY}, the mean reliability for animals",
    },
    seeds=tuple(range(10, 15)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(10,),
    deviations=(
        "The exact solver, and its certificate, are additions; the paper trains by gradients alone.",
        "Problems lie on their level of difficulty by scaling, which is exact. The paper's adversary moves its "
        "problems by gradients; this one looks for bad ones among many.",
        "The games are far smaller than the paper's (20 and more questions), and animals stand in for its celebrities; "
        "joke recommendation is left out.",
        "On animals every item is one problem and nothing is subtracted from its error.",
    ),
    tried=(
        "With 120 or 480 problems a level that were merely drawn, one of a few trial seeds (none of these) met a test "
        "problem on which the robust policy's gap was 0.1 to 0.5; hence the adversary.",
        "network: 0.047 to 0.086 on the five seeds of the first full run, one of them within the 0.06 asked. More "
        "steps or a wider network were not tried after that.",
    ),
)
