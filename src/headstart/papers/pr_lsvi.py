"""Learning from preferences by randomisation: plan on noisy rewards, ask only where they disagree (arXiv 2310.14554).

The newest policy is compared with the one before it, so that every answer bears on what will be played next; the
threshold of disagreement above which an answer is asked for trades regret against questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.evaluate.statistics import Interval, mean, paired_bootstrap, stratified_bootstrap
from headstart.finite.mdp import FiniteMDP
from headstart.finite.pr_lsvi import PRLSVI
from headstart.finite.preference_learning import PreferenceLearner, ReturnsAnnotator, simulate_preferences
from headstart.finite.preference_posterior_sampling import PreferencePosteriorSampling
from headstart.finite.preference_queries import AskAlways, AskAtRandom, AskWhenUnsure
from headstart.finite.preferences import Logistic
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.slopes import log_log_slope

LINK = Logistic(scale=4.0)
STATES = ACTIONS = HORIZON = 3
ROUNDS, QUICK_ROUNDS = 3000, 200
THRESHOLDS = (0.1, 0.3, 0.9)
PBTS_THRESHOLD = 0.1
POINTS = 40


def random_linear_world(seed: int) -> FiniteMDP:
    """Transitions from a Dirichlet distribution; one action of every step and state is better by up to a half."""
    generator = np.random.default_rng(seed)
    transition = generator.dirichlet(np.full(STATES, 0.2), (HORIZON, STATES, ACTIONS))
    best = np.eye(ACTIONS)[generator.integers(ACTIONS, size=(HORIZON, STATES))]
    reward = 0.5 * generator.random((HORIZON, STATES, ACTIONS)) + 0.5 * best
    return FiniteMDP.of(transition, reward, HORIZON)


def run(seed: int, quick: bool) -> Result:
    """All arms in one world; those that ask at random have the budget that their counterpart used."""
    world, rounds = random_linear_world(seed), QUICK_ROUNDS if quick else ROUNDS
    annotator = ReturnsAnnotator(world, LINK)
    kept = np.unique(np.geomspace(1, rounds, POINTS).round().astype(int))

    def play(learner: PreferenceLearner) -> dict[str, Any]:
        curves = simulate_preferences(learner, world, annotator, rounds, [seed])
        asked = curves.asked[0]
        return {
            "rounds": kept.tolist(),
            "regret": curves.regret[0, kept - 1].tolist(),
            "questions": int(asked.sum()),
            "late questions": int(asked[rounds // 2 :].sum()),
        }

    arms = {"always": play(PRLSVI(link=LINK, query=AskAlways()))}
    for threshold in THRESHOLDS:
        arms[f"active {threshold}"] = play(PRLSVI(link=LINK, query=AskWhenUnsure(threshold)))
        budget = AskAtRandom(arms[f"active {threshold}"]["questions"], rounds)
        arms[f"random {threshold}"] = play(PRLSVI(link=LINK, query=budget))
    arms["same policy 0.3"] = play(PRLSVI(link=LINK, query=AskWhenUnsure(0.3), comparator="same"))
    arms["PbTS"] = play(PreferencePosteriorSampling(link=LINK, query=AskWhenUnsure(PBTS_THRESHOLD)))
    budget = AskAtRandom(arms["PbTS"]["questions"], rounds)
    arms["PbTS random"] = play(PreferencePosteriorSampling(link=LINK, query=budget))
    return arms


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Regret is compared by its logarithm, world by world."""
    verdicts = []
    for claim, arm, other in (
        ("active-0.1", "active 0.1", "random 0.1"),
        ("active-0.3", "active 0.3", "random 0.3"),
        ("comparator", "active 0.3", "same policy 0.3"),
    ):
        ratio, low, high = _ratio(results, arm, other)
        verdicts.append(Verdict(claim=claim, holds=high < 1, numbers={"ratio": ratio, "low": low, "high": high}))

    questions = [[result[f"active {threshold}"]["questions"] for threshold in THRESHOLDS] for result in results]
    rate, late = log_log_slope(1 / np.array(THRESHOLDS), questions), _late_share(results, "active 0.1")
    numbers = {"slope": rate.estimate, "low": rate.low, "high": rate.high, "late share": late.estimate}
    holds = bool(rate.low > 0.7 and rate.high < 2.2 and late.high < 0.35)
    verdicts.append(Verdict(claim="questions", holds=holds, numbers=numbers | {"late share high": late.high}))

    slope = _growth(results, "active 0.1")
    numbers = {"slope": slope.estimate, "low": slope.low, "high": slope.high}
    verdicts.append(Verdict(claim="regret-growth", holds=bool(slope.high < 0.6), numbers=numbers))

    slope, late, (ratio, low, high) = (
        _growth(results, "PbTS"),
        _late_share(results, "PbTS"),
        _ratio(results, "PbTS", "PbTS random"),
    )
    holds = bool(slope.high < 0.6 and late.high < 0.35 and high < 1)
    numbers = {"slope": slope.estimate, "slope high": slope.high, "late share": late.estimate}
    numbers |= {"late share high": late.high, "ratio": ratio, "ratio low": low, "ratio high": high}
    return [*verdicts, Verdict(claim="posterior-sampling", holds=holds, numbers=numbers)]


def _ratio(results: Sequence[Result], arm: str, other: str) -> tuple[float, float, float]:
    """Geometric mean over worlds of one arm's regret over another's, with its interval."""
    ours, theirs = ([np.log(result[name]["regret"][-1]) for result in results] for name in (arm, other))
    ratio, low, high = np.exp(paired_bootstrap(ours, theirs))
    return float(ratio), float(low), float(high)


def _growth(results: Sequence[Result], arm: str) -> Interval:
    """Slope of regret on rounds, both in logarithms, over the last nine tenths."""
    rounds = np.array(results[0][arm]["rounds"])
    late = rounds >= rounds[-1] / 10
    return log_log_slope(rounds[late], np.array([result[arm]["regret"] for result in results])[:, late])


def _late_share(results: Sequence[Result], arm: str) -> Interval:
    """Questions of the second half of the rounds as a share of all."""
    return stratified_bootstrap([r[arm]["late questions"] / max(r[arm]["questions"], 1) for r in results], mean)


def table(results: Sequence[Result]) -> list[Row]:
    """Means over worlds."""
    return [
        {
            "arm": arm,
            "regret": float(np.mean([result[arm]["regret"][-1] for result in results])),
            "least": float(np.min([result[arm]["regret"][-1] for result in results])),
            "greatest": float(np.max([result[arm]["regret"][-1] for result in results])),
            "questions": float(np.mean([result[arm]["questions"] for result in results])),
            "of them in the second half": float(np.mean([result[arm]["late questions"] for result in results])),
        }
        for arm in results[0]
    ]


def draw(results: Sequence[Result], path: Path) -> None:
    """Regret of the arms over rounds, and regret against questions."""
    with figures.figure(path, 2, "Asking only where plausible rewards disagree") as (curves, trade):
        shown = ("active 0.1", "active 0.3", "random 0.3", "same policy 0.3", "PbTS")
        for index, arm in enumerate(shown):
            values = np.array([result[arm]["regret"] for result in results])
            figures.curve(curves, results[0][arm]["rounds"], values, arm, index)
        curves.set(xlabel="rounds", ylabel="cumulative regret", xscale="log", yscale="log", title="Learning")
        curves.legend()
        for index, rule in enumerate(("active", "random")):
            arms = [[result[f"{rule} {threshold}"] for result in results] for threshold in THRESHOLDS]
            questions = [np.mean([arm["questions"] for arm in worlds]) for worlds in arms]
            regret = [np.mean([arm["regret"][-1] for arm in worlds]) for worlds in arms]
            color, marker = figures.COLORS[index], figures.MARKERS[index]
            trade.plot(questions, regret, color=color, marker=marker, linewidth=1.8, label=f"asked {rule}")
        trade.set(xlabel="questions", ylabel="regret", xscale="log", yscale="log", title="Regret against questions")
        trade.legend()


_LESS = "paired bootstrap over worlds, 95 % interval of log(regret of {}) - log(regret of {}): upper end < 0"

PAPER = Paper(
    id="pr-lsvi",
    title="Making RL with Preference-based Feedback Efficient via Randomization",
    authors="Wu and Sun",
    year=2024,
    arxiv="2310.14554",
    summary=(
        "Rewards are fitted to preferences between trajectories by maximum likelihood, values by least squares, and "
        "Gaussian noise on both makes the learner explore. Every new policy is compared with the one before it, and "
        "the annotator is asked only when two noisy rewards disagree about the pair by more than a threshold."
    ),
    claims=(
        Claim(
            name="active-0.1",
            sentence="With a threshold of 0.1, regret is lower than with as many questions at random times.",
            test=_LESS.format("PR-LSVI at 0.1", "PR-LSVI asking at random, as often"),
        ),
        Claim(
            name="active-0.3",
            sentence="With a threshold of 0.3, regret is lower than with as many questions at random times.",
            test=_LESS.format("PR-LSVI at 0.3", "PR-LSVI asking at random, as often"),
        ),
        Claim(
            name="comparator",
            sentence="Comparing with the policy before has less regret than comparing two episodes of the same policy.",
            test=_LESS.format("PR-LSVI at 0.3", "the same with the newest policy as comparator"),
        ),
        Claim(
            name="questions",
            sentence="Questions are polynomial in one over the threshold, and end.",
            test=(
                "thresholds 0.1, 0.3, 0.9: slope of log(mean questions) on log(1 / threshold), 95 % bootstrap interval "
                "over worlds within [0.7, 2.2]; and at 0.1 the second half of the rounds has a share of the questions "
                "whose interval lies below 0.35"
            ),
        ),
        Claim(
            name="regret-growth",
            sentence="With a small threshold, regret grows about as the square root of the rounds.",
            test=(
                "threshold 0.1: slope of log(mean regret) on log(rounds), rounds 300 to 3000, 95 % bootstrap interval "
                "over worlds: upper end < 0.6"
            ),
        ),
        Claim(
            name="posterior-sampling",
            sentence="Sampling world and rewards from their posterior (PbTS) has bounds of the same shape.",
            test=(
                "PbTS at 0.1: slope as above, upper end < 0.6; share of questions in the second half, upper end < "
                "0.35; and paired bootstrap as above against PbTS asking at random, as often: upper end < 0"
            ),
        ),
    ),
    settings={
        "worlds": f"{STATES} states, {ACTIONS} actions, {HORIZON} steps; transitions Dirichlet(0.2) for every step, "
        "state and action; rewards uniform in [0, 0.5], plus 0.5 for one action of every step and state",
        "features": "one for every state and action (9; 27 for a trajectory)",
        "annotator": "prefers the first with probability sigmoid(4 x difference of returns)",
        "rounds": ROUNDS,
        "PR-LSVI": "reward noise 0.8, value noise 0.6, trusted 0.35, unknown 0.7, ridge 1, reward ridge 0.3",
        "PbTS": f"Dirichlet(1) and N(0, 1) priors, Laplace's approximation for rewards, threshold {PBTS_THRESHOLD}",
        "random questions": "as many as the counterpart asked, at a rate that falls linearly to nothing",
        "regret": "exact: twice the optimal value minus the values of both policies, summed over rounds",
    },
    seeds=tuple(range(16)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0, 1),
    deviations=(
        "The paper has no experiments: worlds, sizes and tests are this project's. Noise and trust are constants that "
        "work at this size, not theory's polynomials, which would explore throughout.",
        "The expected disagreement of two reward samples has a closed form and is not estimated from draws.",
        "The length of the rewards is kept in bounds by a ridge penalty, and they are fitted again after every tenth "
        "answer beyond the first fifty.",
        "PbTS uses Laplace's approximation for the posterior of rewards; its oracle is exact planning.",
    ),
)
