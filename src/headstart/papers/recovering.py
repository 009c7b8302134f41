"""Recovering rewards: periodic plans near the best possible, and learning to make them (arXiv 2106.14813).

Offline, plans for known curves are held against the bound that no policy beats, and against pulling what pays most now.
Online, the curves are unknown, and the loss to the offline plan is followed as the horizon grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart.bandits.periodic_plan import PeriodicPlanner, Plan, upper_bound
from headstart.bandits.recovering import RecoveringBandit, simulate_recovering
from headstart.bandits.recovering_ucb import (
    EpsilonPeriodic,
    GreedyRecoveringUCB,
    Myopic,
    RecoveringUCB,
    RecoveryBlindUCB,
)
from headstart.bandits.recovery_curves import RecoveryCurves, dirichlet_curves, geometric_curves, step_curves
from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.slopes import log_log_slope

LONGEST, ARMS_PER_SLOT, CONCENTRATION = 24, 6, 0.15
CAPACITIES, RATE_CAPACITIES, MYOPIC_AT = (1, 2, 4, 8, 16, 32, 64), (4, 8, 16, 32, 64), 32
FAMILIES = {
    "mono": lambda arms, generator: dirichlet_curves(arms, LONGEST, CONCENTRATION, generator),
    "step": lambda arms, generator: step_curves(arms, LONGEST, generator),
    "geometric": lambda arms, generator: geometric_curves(arms, LONGEST, generator),
}
PLANNERS = ("paper", "restricted")
MYOPIC_PERIODS, MYOPIC_START = 2500, 500

ONLINE_ARMS, ONLINE_CAPACITY, ONLINE_LONGEST, ONLINE_CONCENTRATION = 12, 4, 8, 0.3
HORIZONS, COMPARED_AT = (1024, 4096, 16384, 65536), 16384
SCALE, RESOLUTION = 0.1, 1
OTHERS = {
    "UCB blind to recovery": RecoveryBlindUCB,
    "greedy UCB": GreedyRecoveringUCB,
    "epsilon-periodic": EpsilonPeriodic,
}


def run(seed: int, quick: bool) -> Result:
    """Both parts with the curves of one seed."""
    capacities = CAPACITIES[:4] if quick else CAPACITIES
    offline = {name: [offline_shares(seed, family, size) for size in capacities] for name, family in FAMILIES.items()}
    horizons = HORIZONS[:2] if quick else HORIZONS
    return {"capacities": list(capacities), "offline": offline, "horizons": list(horizons), **online(seed, horizons)}


def offline_shares(seed: int, family, capacity: int) -> dict[str, float]:
    """What each planner and the myopic rule earn, as shares of the bound, and how well the schedules are kept."""
    generator = np.random.default_rng((seed, capacity))
    curves = family(ARMS_PER_SLOT * capacity, generator)
    best = upper_bound(curves, capacity)
    shares, off, excess = {}, 0.0, 0
    for rounding in PLANNERS:
        plan = PeriodicPlanner(capacity, rounding).plan(curves)
        average, most = played(plan, curves, capacity)
        shares[rounding] = plan.value / best
        off, excess = max(off, abs(average - plan.value)), max(excess, most - capacity)
    world = RecoveringBandit(curves, capacity, "none")
    points = MYOPIC_PERIODS // MYOPIC_START
    earned = simulate_recovering(Myopic(world.capacity, curves), world, MYOPIC_PERIODS, points=points).earned[0]
    shares["myopic"] = float(earned[-1] - earned[0]) / (MYOPIC_PERIODS - MYOPIC_START) / best
    return shares | {"off": float(off), "excess": int(excess)}


def played(plan: Plan, curves: RecoveryCurves, capacity: int) -> tuple[float, int]:
    """Simulated income per period, each arm's over whole cycles of its own, and the most pulls in one period."""
    generator, longest = np.random.default_rng(0), int(plan.periods.max())
    count = 10 * max(LONGEST, longest)
    world = RecoveringBandit(curves, len(curves), "none")
    begun = world.play(plan.pulls(longest), world.rested, generator)
    pulls = plan.pulls(count, longest)
    income = world.play(pulls, begun.after, generator).means
    cycles = {arm: count // plan.periods[arm] * plan.periods[arm] for arm in np.flatnonzero(plan.periods)}
    return sum(income[:end, arm].sum() / end for arm, end in cycles.items()), int(pulls.sum(axis=1).max())


def online(seed: int, horizons: Sequence[int]) -> Result:
    """Loss to the offline plan at each horizon of the learners that plan, and at one horizon of all."""
    curves = dirichlet_curves(
        ONLINE_ARMS, ONLINE_LONGEST, ONLINE_CONCENTRATION, np.random.default_rng((seed, ONLINE_ARMS))
    )
    world = RecoveringBandit(curves, ONLINE_CAPACITY)

    values = {name: PeriodicPlanner(ONLINE_CAPACITY, name, RESOLUTION).plan(curves).value for name in PLANNERS}

    def regret(kind, horizon: int, plan: str = "restricted", **fields) -> float:
        learner = kind(ONLINE_CAPACITY, horizon=horizon, scale=SCALE, **fields)
        return float(simulate_recovering(learner, world, horizon, (seed,), points=1).regret(values[plan])[0, -1])

    growth = {
        name: [regret(RecoveringUCB, horizon, name, rounding=name, resolution=RESOLUTION) for horizon in horizons]
        for name in PLANNERS
    }
    at = min(COMPARED_AT, horizons[-1])
    compared = {"UCB with plans": growth["restricted"][list(horizons).index(at)]}
    return {"growth": growth, "compared": compared | {name: regret(kind, at) for name, kind in OTHERS.items()}}


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Rates by slopes on log-log axes, comparisons by paired bootstraps, schedules by what they earned when played."""
    slopes = {}
    for rounding in PLANNERS:
        gaps = 1 - _shares(results, "mono", rounding)
        chosen = [i for i, capacity in enumerate(results[0]["capacities"]) if capacity in RATE_CAPACITIES]
        fit = log_log_slope(np.array(results[0]["capacities"])[chosen], gaps[:, chosen])
        slopes |= {f"{rounding}: slope": fit.estimate, f"{rounding}: low": fit.low, f"{rounding}: high": fit.high}
    at = results[0]["capacities"].index(min(MYOPIC_AT, results[0]["capacities"][-1]))
    myopic = _difference(*(_shares(results, "mono", name)[:, at] for name in ("restricted", "myopic")))
    cells = [cell for result in results for family in result["offline"].values() for cell in family]
    kept = {"largest difference": max(cell["off"] for cell in cells), "pulls too many": max(c["excess"] for c in cells)}
    growth = log_log_slope(results[0]["horizons"], [result["growth"]["restricted"] for result in results])
    saved = _difference(
        *([result["compared"][name] for result in results] for name in ("UCB blind to recovery", "UCB with plans"))
    )
    return [
        Verdict(claim="near-optimal", holds=all(slopes[f"{name}: high"] <= -0.4 for name in PLANNERS), numbers=slopes),
        Verdict(claim="myopic", holds=myopic["low"] > 0, numbers=myopic),
        Verdict(
            claim="schedules",
            holds=kept["largest difference"] <= 1e-9 and kept["pulls too many"] <= 0,
            numbers=kept,
        ),
        Verdict(claim="regret-rate", holds=bool(growth.high < 0.65), numbers=growth._asdict()),
        Verdict(claim="recovery-blind", holds=saved["low"] > 0, numbers=saved),
    ]


def _shares(results: Sequence[Result], family: str, name: str) -> np.ndarray:
    return np.array([[cell[name] for cell in result["offline"][family]] for result in results])


def _difference(more, less) -> dict[str, float]:
    return dict(zip(("difference", "low", "high"), paired_bootstrap(more, less)))


def table(results: Sequence[Result]) -> list[Row]:
    """Mean shares of the bound for each family of curves and way of planning; mean regrets of each learner."""
    rows: list[Row] = []
    for family in FAMILIES:
        for name in (*PLANNERS, "myopic"):
            shares = _shares(results, family, name).mean(axis=0)
            columns = {f"K={capacity}": round(float(s), 4) for capacity, s in zip(results[0]["capacities"], shares)}
            rows.append({"arm": f"{family} curves, {name}", "measure": "share of the bound"} | columns)
    for name in PLANNERS:
        regrets = np.array([result["growth"][name] for result in results])
        fit = log_log_slope(results[0]["horizons"], regrets, floor=1.0)
        columns = {f"T={horizon}": round(float(r), 1) for horizon, r in zip(results[0]["horizons"], regrets.mean(0))}
        label = {"arm": f"UCB with plans, {name} rounding", "measure": "regret"}
        rows.append(label | columns | {"slope": round(float(fit.estimate), 3)})
    at = min(COMPARED_AT, results[0]["horizons"][-1])
    for name in OTHERS:
        regret = float(np.mean([result["compared"][name] for result in results]))
        rows.append({"arm": name, "measure": "regret", f"T={at}": round(regret, 1)})
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """What is lost to the bound as capacity grows, regret as the horizon grows, and who learns."""
    with figures.figure(path, 3, "Arms that recover while they rest: periodic plans, known and learned") as axes:
        gap, regret, others = axes
        for index, name in enumerate((*PLANNERS, "myopic")):
            label = name if name == "myopic" else f"plan, {name} rounding"
            figures.curve(gap, results[0]["capacities"], 1 - _shares(results, "mono", name), label, index)
        gap.set(xscale="log", yscale="log", xlabel="pulls a period, K", ylabel="share of the bound lost")
        gap.set(title="Curves known")
        gap.legend()
        for index, name in enumerate(PLANNERS):
            values = np.array([result["growth"][name] for result in results])
            figures.curve(regret, results[0]["horizons"], values, f"UCB, {name} rounding", index)
        regret.set(xscale="log", yscale="log", xlabel="periods, T", ylabel="regret to the plan", title="Curves learned")
        regret.legend()
        names = results[0]["compared"]
        figures.intervals(others, {name: [result["compared"][name] for result in results] for name in names}, 0.0)
        others.set(xlabel=f"regret at T = {min(COMPARED_AT, results[0]['horizons'][-1])}", title="Who learns")


PAPER = Paper(
    id="recovering",
    title="Offline Planning and Online Learning under Recovering Rewards",
    authors="Simchi-Levi, Zheng and Zhu",
    year=2021,
    arxiv="2106.14813",
    summary=(
        "At most K arms are pulled a period, and each pays more the longer it has rested. Pulling every arm at a fixed "
        "period of its own comes close to the best possible as K grows, and can be learned by planning for upper "
        "confidence bounds of the recovery curves."
    ),
    claims=(
        Claim(
            name="near-optimal",
            sentence="What periodic plans lose to the bound on all policies shrinks about like 1 / sqrt K, or faster.",
            test=(
                "log-log slope over K = 4 to 64, N = 6 K, of the mean of 1 - value / bound, seeds resampled: upper end "
                "of the 95 % interval <= -0.4, for the paper's rounding and for the restricted planner"
            ),
        ),
        Claim(
            name="myopic",
            sentence="Pulling what pays most right now stays a constant share below the bound; plans do not.",
            test=(
                "paired bootstrap over seeds, 95 % interval of value / bound at K = 32 of the restricted planner minus "
                "that of the myopic rule simulated with known curves: lower end > 0"
            ),
        ),
        Claim(
            name="schedules",
            sentence="Plans can be carried out: they never pull more than K arms, and earn what they promise.",
            test=(
                "every plan of every seed, family and K, simulated with its curves free of noise: at most K pulls in "
                "every period, and arms' incomes over whole cycles sum to the plan's value within 1e-9"
            ),
        ),
        Claim(
            name="regret-rate",
            sentence="Planning for upper bounds loses about sqrt T to the plan for the true curves.",
            test=(
                "log-log slope over T = 1024 to 65536 of the mean regret to the offline plan, restricted planner, "
                "seeds resampled: upper end of the 95 % interval < 0.65"
            ),
        ),
        Claim(
            name="recovery-blind",
            sentence="It loses less than UCB that ignores recovery.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the regret at T = 16384 of UCB blind to idle times "
                "minus that of UCB with plans: lower end > 0"
            ),
        ),
    ),
    settings={
        "offline": f"N = {ARMS_PER_SLOT} K arms, curves level after {LONGEST} periods, resolution a searched for",
        "families": (
            f"mono: Dirichlet({CONCENTRATION}) increments; step: one jump; geometric: 1 - g^d; heights from U(0.3, 1)"
        ),
        "myopic": f"{MYOPIC_PERIODS} periods, the first {MYOPIC_START} left out",
        "online": (
            f"N = {ONLINE_ARMS}, K = {ONLINE_CAPACITY}, curves level after {ONLINE_LONGEST} periods, "
            f"Dirichlet({ONLINE_CONCENTRATION}) increments, Bernoulli rewards"
        ),
        "learners": f"squared width {SCALE} log T / n, phases of sqrt T periods, resolution a = {RESOLUTION}",
    },
    seeds=tuple(range(8)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    deviations=(
        "Planner and learner are rebuilt from the paper's statements; constants and details may differ from its own.",
        "The restricted planner, which chooses among schedulable periods to begin with, is ours. The regret's rate is "
        "claimed for it; with the paper's rounding small errors of the curves flip periods, and the paper compares "
        "with its approximation factor times the bound only. Both are in the table.",
        "Width 0.1 log T / n in place of the analysed 2 log T / n.",
    ),
)
