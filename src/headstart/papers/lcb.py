"""Pessimism in offline learning: as good as imitation on an expert's data, as good as can be on mixed data, without
being told which they are (arXiv 2103.12021).

Logged bandits whose share of the expert's choices is known; in each, the worst case over families of logs and gaps.
Then random discounted worlds, from the data of mixtures of the best and the worst policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from headstart.bandits.composition import LoggedBandit, concentrated, rare, spread
from headstart.bandits.lcb import LCB, EmpiricalBest, MostPlayed, OfflineLearner
from headstart.evaluate.statistics import mean, paired_bootstrap, stratified_bootstrap
from headstart.finite.drawing import draw_pairs
from headstart.finite.episodes import Counts
from headstart.finite.mdp import DiscountedMDP
from headstart.finite.planning import discounted_occupancy, evaluate_stationary, greedy, value_iteration
from headstart.finite.vi_lcb import VILCB
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

LEARNERS: dict[str, OfflineLearner] = {"LCB": LCB(), "greedy": EmpiricalBest(), "cloning": MostPlayed()}
PLANNERS = ("VI-LCB", "value iteration", "cloning")
ALMOST_EXPERT = "1 + 1/N"
COMPOSITIONS: dict[str, float | None] = {ALMOST_EXPERT: None, "1.05": 1.05, "1.3": 1.3, "2": 2.0, "4": 4.0}
"""Concentrability by name; None is ``1 + 1 / rows``."""
CONTEXTS, STATES, ACTIONS, DISCOUNT = 20, 10, 5, 0.8
MIXES = (0.95, 0.7, 0.4, 0.1)
"""Share of the data that the optimal policy made."""


@dataclass(frozen=True)
class Size:
    """How large the experiment is.

    Attributes:
        rows: lengths of the logs of bandits.
        gaps: how many gaps between the best arm and the others, from 0.01 to 1.
        logs: of each length, family and gap.
        bandit_rows: length of the logs without context.
        bandit_logs: how many of them.
        worlds: random discounted worlds.
        transitions: how many are recorded in each.
    """

    rows: tuple[int, ...] = (300, 1000, 3000, 10000, 30000)
    gaps: int = 15
    logs: int = 200
    bandit_rows: int = 1000
    bandit_logs: int = 2000
    worlds: int = 5
    transitions: tuple[int, ...] = (200, 1000, 5000, 25000)


FULL, QUICK = Size(), Size(rows=(300, 3000), gaps=3, logs=10, bandit_logs=100, worlds=1, transitions=(200, 5000))


def worst_cases(
    problems: Sequence[LoggedBandit],
    learners: Mapping[str, OfflineLearner],
    rows: int,
    logs: int,
    generator: np.random.Generator,
) -> dict[str, float]:
    """The largest mean suboptimality over the problems, by learner; all learners see the same logs."""
    largest = dict.fromkeys(learners, 0.0)
    for problem in problems:
        counts = problem.draw(rows, logs, generator)
        for name, learner in learners.items():
            loss = float(problem.suboptimality(learner.fit(counts)).mean())
            largest[name] = max(largest[name], loss)
    return largest


def sweep(size: Size, generator: np.random.Generator) -> dict[str, dict[str, list[float]]]:
    """Worst cases in contextual bandits, ``[learner][concentrability][length of the log]``."""
    curves: dict[str, dict[str, list[float]]] = {name: {label: [] for label in COMPOSITIONS} for name in LEARNERS}
    for label, value in COMPOSITIONS.items():
        for rows in size.rows:
            composition = 1 + 1 / rows if value is None else value
            problems = [
                problem
                for gap in np.geomspace(0.01, 1, size.gaps)
                for problem in (
                    spread(CONTEXTS, gap, composition),
                    rare(CONTEXTS, gap, composition, rows),
                    concentrated(CONTEXTS, gap, composition),
                )
            ]
            for name, worst in worst_cases(problems, LEARNERS, rows, size.logs, generator).items():
                curves[name][label].append(worst)
    return curves


def without_context(size: Size, generator: np.random.Generator) -> dict[str, float]:
    """Worst cases over gaps in a bandit of two arms, two thirds of whose log are the best arm."""
    log = np.array([[1 / 3, 2 / 3]])
    problems = [
        LoggedBandit(np.ones(1), np.array([[0.5 - gap / 2, 0.5 + gap / 2]]), log)
        for gap in np.geomspace(0.01, 1, size.gaps)
    ]
    learners = {"LCB": LCB(), "LCB, theory's width": LCB(penalty_scale=0.707), "most played": MostPlayed()}
    return worst_cases(problems, learners, size.bandit_rows, size.bandit_logs, generator)


def random_world(generator: np.random.Generator) -> DiscountedMDP:
    """Few likely successors, rewards in [0.25, 1], any state to start from."""
    transition = generator.dirichlet(np.full(STATES, 0.3), (STATES, ACTIONS))
    reward = generator.uniform(0.25, 1, (STATES, ACTIONS))
    return DiscountedMDP.of(transition, reward, DISCOUNT, np.full(STATES, 1 / STATES))


def recorded(
    world: DiscountedMDP, action_values: Float[np.ndarray, "states actions"], mix: float
) -> Float[np.ndarray, "states actions"]:
    """Frequencies in data of which a share ``mix`` is from the best policy and the rest from the one that always takes
    the worst action; either takes any action one time in fifty."""
    policies = (0.98 * greedy(values) + 0.02 / ACTIONS for values in (action_values, -action_values))
    best, worst = (np.asarray(discounted_occupancy(world, policy)) for policy in policies)
    return mix * best + (1 - mix) * worst


def planned(size: Size, generator: np.random.Generator) -> dict[str, dict[str, list[float]]]:
    """Mean suboptimality in random worlds, ``[planner][mix][number of transitions]``."""
    planners = {"VI-LCB": VILCB(DISCOUNT), "value iteration": VILCB(DISCOUNT, penalty_scale=0)}
    losses = np.zeros((len(PLANNERS), len(MIXES), len(size.transitions)))
    for _ in range(size.worlds):
        world = random_world(generator)
        optimum = value_iteration(world)
        best = world.initial @ evaluate_stationary(world, optimum.policy)
        for i, mix in enumerate(MIXES):
            frequency = recorded(world, optimum.action_values, mix)
            for j, rows in enumerate(size.transitions):
                counts = draw_pairs(world, frequency, rows, generator)
                policies = [planners[name].plan(counts).policy for name in PLANNERS[:2]] + [cloned(counts)]
                values = [world.initial @ evaluate_stationary(world, policy) for policy in policies]
                losses[:, i, j] += best - np.array(values)
    losses /= size.worlds
    return {name: {str(mix): losses[k, i].tolist() for i, mix in enumerate(MIXES)} for k, name in enumerate(PLANNERS)}


def cloned(counts: Counts) -> Float[np.ndarray, "states actions"]:
    """The most frequent action of each state; any where it was not seen."""
    seen = counts.visits.sum(-1, keepdims=True) > 0
    return np.where(seen, greedy(counts.visits), 1 / ACTIONS)


def run(seed: int, quick: bool) -> Result:
    """All three experiments, with data of their own."""
    size, generator = QUICK if quick else FULL, np.random.default_rng(seed)
    return {
        "rows": list(size.rows),
        "contextual": sweep(size, generator),
        "without context": without_context(size, generator),
        "transitions": list(size.transitions),
        "planned": planned(size, generator),
    }


def slopes(results: Sequence[Result], learner: str, composition: str) -> list[float]:
    """For each seed, the slope of the worst case over the length of the log, on logarithmic axes."""
    return [
        float(np.polyfit(np.log(result["rows"]), np.log(result["contextual"][learner][composition]), 1)[0])
        for result in results
    ]


def judge(results: Sequence[Result]) -> list[Verdict]:
    """All claims, by bootstrap over seeds."""
    return [
        _adaptive_rate(results),
        _beats("greedy-fails", results, "greedy", ALMOST_EXPERT, 0.1),
        _beats("imitation-fails", results, "cloning", "1.3", 0.05),
        _bandit_exception(results),
        _planning(results),
    ]


def _adaptive_rate(results: Sequence[Result]) -> Verdict:
    numbers: dict[str, float] = {}
    for label in COMPOSITIONS:
        interval = stratified_bootstrap(slopes(results, "LCB", label), mean)
        numbers |= {f"slope at {label}": float(interval.estimate)}
        numbers |= {f"low at {label}": float(interval.low), f"high at {label}": float(interval.high)}
    means = [numbers[f"slope at {label}"] for label in COMPOSITIONS]
    fast = numbers[f"high at {ALMOST_EXPERT}"] <= -0.9
    slow = all(numbers[f"low at {label}"] >= -0.6 and numbers[f"high at {label}"] <= -0.4 for label in ("2", "4"))
    return Verdict(
        claim="adaptive-rate", holds=fast and slow and bool(np.all(np.diff(means) >= -0.05)), numbers=numbers
    )


def _beats(claim: str, results: Sequence[Result], other: str, composition: str, share: float) -> Verdict:
    ours, theirs = ([result["contextual"][name][composition][-1] for result in results] for name in ("LCB", other))
    _, _, high = paired_bootstrap(ours, share * np.array(theirs))
    numbers = {"LCB": float(np.mean(ours)), other: float(np.mean(theirs)), "high of the difference": high}
    return Verdict(claim=claim, holds=high < 0, numbers=numbers)


def _bandit_exception(results: Sequence[Result]) -> Verdict:
    numbers: dict[str, float] = {}
    holds = True
    for name in ("LCB", "LCB, theory's width"):
        lcb, most = ([result["without context"][arm] for result in results] for arm in (name, "most played"))
        difference, low, _ = paired_bootstrap(lcb, most)
        numbers |= {f"{name}: worse by": difference, f"{name}: low": low}
        holds &= low > 0
    return Verdict(claim="bandit-exception", holds=holds, numbers=numbers)


def _planning(results: Sequence[Result]) -> Verdict:
    numbers: dict[str, float] = {}
    holds = True
    for mix, least in (("0.95", -0.005), ("0.7", 0.0), ("0.4", 0.0)):
        for column, rows in enumerate(results[0]["transitions"]):
            if rows < 5000:
                continue
            ours = [result["planned"]["VI-LCB"][mix][column] for result in results]
            for other in PLANNERS[1:]:
                theirs = [result["planned"][other][mix][column] for result in results]
                _, low, _ = paired_bootstrap(theirs, ours)
                numbers[f"{mix}, {rows}: low of {other} - VI-LCB"] = low
                holds &= low >= least if least < 0 else low > 0
    return Verdict(claim="planning", holds=holds, numbers=numbers)


def table(results: Sequence[Result]) -> list[Row]:
    """Worst cases in contextual bandits for the longest logs, and slopes; then losses in discounted worlds."""
    rows: list[Row] = []
    for name in LEARNERS:
        for label in COMPOSITIONS:
            worst = np.mean([result["contextual"][name][label] for result in results], axis=0)
            rows.append(
                {
                    "problem": f"contextual bandit, C* = {label}",
                    "arm": name,
                    "slope": float(np.mean(slopes(results, name, label))),
                    "loss, least data": float(worst[0]),
                    "loss, most data": float(worst[-1]),
                }
            )
    for mix in MIXES:
        for name in PLANNERS:
            losses = np.mean([result["planned"][name][str(mix)] for result in results], axis=0)
            rows.append(
                {
                    "problem": f"discounted worlds, {mix:.0%} optimal",
                    "arm": name,
                    "slope": "",
                    "loss, least data": float(losses[0]),
                    "loss, most data": float(losses[-1]),
                }
            )
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Worst cases by length of the log, for almost an expert's data and for mixed data; losses of planners."""
    with figures.figure(path, 3, "Pessimism adapts to what the data are made of") as panels:
        notes = {ALMOST_EXPERT: " (LCB = cloning)", "1.3": ""}
        for axes, (label, note) in zip(panels[:2], notes.items(), strict=True):
            for index, name in enumerate(LEARNERS):
                curves = np.array([result["contextual"][name][label] for result in results])
                figures.curve(axes, results[0]["rows"], curves, name, index)
            axes.set(xscale="log", yscale="log", xlabel="rows of the log (N)", ylabel="worst-case loss")
            axes.set_title(f"Contexts, C* = {label}{note}")
        for index, name in enumerate(PLANNERS):
            curves = np.array([result["planned"][name]["0.4"] for result in results])
            figures.curve(panels[2], results[0]["transitions"], curves, name, index)
        panels[2].set(xscale="log", xlabel="transitions", ylabel="loss", title="Discounted worlds, 40 % optimal data")
        panels[2].set_yscale("symlog", linthresh=1e-3)
        panels[2].set_ylim(bottom=0)
        for axes in panels:
            axes.legend()


PAPER = Paper(
    id="lcb",
    title="Bridging Offline Reinforcement Learning and Imitation Learning: A Tale of Pessimism",
    authors="Rashidinejad et al.",
    year=2021,
    arxiv="2103.12021",
    summary=(
        "Choosing by a lower confidence bound is, without being told what the data are made of, as good as imitation "
        "on an expert's data and as good as possible on mixed data, in contextual bandits and, with value iteration, "
        "in finite worlds."
    ),
    claims=(
        Claim(
            name="adaptive-rate",
            sentence=(
                "In contextual bandits the worst-case loss of LCB falls like 1/N on almost an expert's data and like "
                "1/sqrt(N) on mixed data, and the rate changes from one to the other as the data get worse."
            ),
            test=(
                "slope of the worst case on log-log axes, mean over seeds with its 95 % bootstrap interval: upper end "
                "<= -0.9 at C* = 1 + 1/N; interval within [-0.6, -0.4] at C* = 2 and at C* = 4; slopes do not fall by "
                "more than 0.05 from one C* to the next larger one"
            ),
        ),
        Claim(
            name="greedy-fails",
            sentence="The arm of best average loses a constant even on almost an expert's data; LCB does not.",
            test=(
                "N = 30000, C* = 1 + 1/N; paired bootstrap over seeds, 95 % interval of the worst case of LCB minus "
                "0.1 times that of the arm of best average: upper end < 0"
            ),
        ),
        Claim(
            name="imitation-fails",
            sentence="Playing the most frequent arm loses a constant once the data are not all an expert's.",
            test=(
                "N = 30000, C* = 1.3; paired bootstrap over seeds, 95 % interval of the worst case of LCB minus 0.05 "
                "times that of the most frequent arm: upper end < 0"
            ),
        ),
        Claim(
            name="bandit-exception",
            sentence="Without context, where most of the data are an expert's, the most played arm beats LCB.",
            test=(
                "two arms, C* = 1.5, N = 1000; paired bootstrap over seeds, 95 % interval of the worst case over gaps "
                "of LCB minus that of the most played arm, with the practical and with theory's width: lower ends > 0"
            ),
        ),
        Claim(
            name="planning",
            sentence=(
                "In random discounted worlds VI-LCB loses no more than the better of value iteration and imitation, "
                "and less on mixed data."
            ),
            test=(
                "5000 and 25000 transitions, 95, 70 and 40 % optimal data; paired bootstrap over seeds, 95 % interval "
                "of the loss of value iteration, and of that of imitation, minus that of VI-LCB: lower ends >= -0.005 "
                "at 95 % and > 0 at 70 and 40 %"
            ),
        ),
    ),
    settings={
        "contextual bandits": f"{CONTEXTS} contexts, worst case over 3 families of logs x {FULL.gaps} gaps from 0.01 "
        f"to 1, mean over {FULL.logs} logs each",
        "without context": f"2 arms, worst case over {FULL.gaps} gaps, mean over {FULL.bandit_logs} logs each",
        "discounted worlds": f"{STATES} states, {ACTIONS} actions, discount {DISCOUNT}, {FULL.worlds} a seed; data "
        "of the best policy, the rest of the worst, 2 % uniform actions",
        "LCB": "width sqrt(0.15 log(2 S A N) / n)",
        "VI-LCB": "width 0.1 / (1 - discount) sqrt(log(2 S A N) / n), 200 sweeps, all data in each",
    },
    seeds=tuple(range(20)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    deviations=(
        "The paper has no experiments; these are ours.",
        "Widths have small constants in place of the analysis's (sqrt(2000) for contexts and worlds), and VI-LCB uses "
        "all data in every sweep, so its lower values are not certain.",
        "Transitions are drawn independently from the discounted frequencies of the policies that made them.",
        "Not claimed, but in the table: with 200 transitions, of which few are the best policy's, VI-LCB loses more "
        "than value iteration.",
    ),
    tried=(
        "First the best and the worst action were mixed in every step of the policy that made the data. The most "
        "frequent action was then the best one everywhere at 70 %, imitation lost exactly nothing, and the last claim, "
        "that VI-LCB loses less, failed. Now the data are mixed of two policies' transitions; the test is the same.",
    ),
)
