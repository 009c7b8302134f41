"""Bandits set a linear solver's relaxation from iteration counts alone (arXiv 2310.02246).

The cost of every system with every relaxation of the grid is computed once; the bandits then choose, and see only the
cost of what they chose. The table also gives every fixed relaxation, and the best of them in hindsight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.bandits.binned import Binned
from headstart.bandits.chebyshev_cb import ChebCB
from headstart.bandits.linear_systems import ShiftedLaplacians, optimal_omega, sor_iterations
from headstart.bandits.solver_tuning import replay_costs
from headstart.bandits.tsallis_inf import TsallisINF
from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.slopes import log_log_slope

VARIANCES = ("low", "high")
GRID = np.linspace(1, 1.95, 20)
BINS = 5
ARMS = {
    "omega 1": "omega = 1",
    "fixed": "best fixed omega in hindsight",
    "Tsallis-INF": "Tsallis-INF",
    "binned": f"Tsallis-INF in {BINS} bins",
    "ChebCB": "ChebCB",
    "optimal": "optimal omega of each system",
}


@dataclass(frozen=True)
class Size:
    """How long the experiment is.

    Attributes:
        systems: solved one after another.
        windows: equal parts whose mean costs are kept.
    """

    systems: int = 3000
    windows: int = 30


FULL, QUICK = Size(), Size(90, 6)


def run(seed: int, quick: bool) -> Result:
    """Both spreads of shifts, all arms of one seed."""
    return {variance: _run_variance(variance, seed, QUICK if quick else FULL) for variance in VARIANCES}


def _run_variance(variance: Any, seed: int, size: Size) -> Result:
    world = ShiftedLaplacians(variance)
    shifts, right = world.draw(size.systems, np.random.default_rng([seed, VARIANCES.index(variance)]))
    repeated_shifts, repeated_right = (np.repeat(values, len(GRID), axis=0) for values in (shifts, right))
    table = sor_iterations(repeated_shifts, repeated_right, np.tile(GRID, size.systems)).reshape(
        size.systems, len(GRID)
    )
    tsallis, (low, high) = TsallisINF(scale="running"), world.context_interval
    rows = np.arange(size.systems)
    costs = {
        "omega 1": table[:, 0],
        "fixed": table[:, table.sum(0).argmin()],
        "Tsallis-INF": table[rows, replay_costs(tsallis, table, seed=seed)],
        "binned": table[rows, replay_costs(Binned(tsallis, BINS, low, high), table, shifts, seed)],
        "ChebCB": table[rows, replay_costs(ChebCB(low, high), table, shifts, seed)],
        "optimal": sor_iterations(shifts, right, optimal_omega(shifts, world.side)),
    }
    regret = np.cumsum(costs["Tsallis-INF"] - costs["fixed"])
    places = np.unique(np.geomspace(size.systems // 10, size.systems, 20).astype(int))
    return {
        "omega": float(GRID[table.sum(0).argmin()]),
        "arms": {arm: _summary(cost, size) for arm, cost in costs.items()},
        "regret": {"systems": places.tolist(), "iterations": regret[places - 1].tolist()},
    }


def _summary(costs: np.ndarray, size: Size) -> dict[str, Any]:
    return {
        "mean": float(costs.mean()),
        "last quarter": float(costs[-(size.systems // 4) :].mean()),
        "windows": costs.reshape(size.windows, -1).mean(1).tolist(),
    }


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Each claim by intervals over seeds, in both spreads of shifts."""

    def gaps(*comparisons: tuple[str, str, str, float]) -> dict[str, float]:
        """Upper ends of the intervals of one arm's measure minus a factor times another's."""
        numbers = {}
        for variance in VARIANCES:
            for ours, theirs, measure, factor in comparisons:
                a, b = ([result[variance]["arms"][arm][measure] for result in results] for arm in (ours, theirs))
                high = paired_bootstrap(a, factor * np.array(b))[2]
                numbers[f"{variance}: {ours} - {factor:g} x {theirs}, {measure}, upper end"] = high
        return numbers

    numbers = {
        "beats-fixed": gaps(("ChebCB", "fixed", "mean", 1.0), ("ChebCB", "binned", "mean", 1.0)),
        "near-fixed": gaps(("Tsallis-INF", "fixed", "last quarter", 1.15), ("Tsallis-INF", "omega 1", "mean", 0.5)),
        "instance-optimal": gaps(("ChebCB", "optimal", "last quarter", 1.15)),
    }
    verdicts = [Verdict(claim=claim, holds=max(ends.values()) < 0, numbers=ends) for claim, ends in numbers.items()]
    slopes = {f"{variance}: slope, upper end": regret_slope(results, variance) for variance in VARIANCES}
    return [*verdicts, Verdict(claim="sublinear", holds=bool(max(slopes.values()) < 0.9), numbers=slopes)]


def regret_slope(results: Sequence[Result], variance: str) -> float:
    """Upper end of the interval of the slope of Tsallis-INF's mean regret, both axes logarithmic."""
    curves = [result[variance]["regret"] for result in results]
    return float(log_log_slope(curves[0]["systems"], [curve["iterations"] for curve in curves], floor=1.0).high)


def table(results: Sequence[Result]) -> list[Row]:
    """Mean iterations a system over seeds, of all systems and of the last quarter."""
    rows: list[Row] = []
    for arm, label in ARMS.items():
        row: Row = {"arm": label}
        for variance in VARIANCES:
            for measure in ("mean", "last quarter"):
                values = [result[variance]["arms"][arm][measure] for result in results]
                row[f"{variance} variance, {measure}"] = float(np.mean(values))
        rows.append(row)
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Iterations a system over time, for both spreads of shifts."""
    with figures.figure(path, 2, "Relaxation learned from iteration counts (SOR on shifted Laplacians)") as panels:
        for axes, variance in zip(panels, VARIANCES, strict=True):
            for index, (arm, label) in enumerate(list(ARMS.items())[1:]):
                curves = np.array([result[variance]["arms"][arm]["windows"] for result in results])
                ends = (np.arange(curves.shape[1]) + 0.5) * FULL.systems / curves.shape[1]
                figures.curve(axes, ends.tolist(), curves, label, index)
            axes.set(xlabel="systems solved", ylabel="iterations a system", title=f"{variance} variance of the shift")
        panels[1].legend()


PAPER = Paper(
    id="learning-to-relax",
    title="Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances",
    authors="Khodak et al.",
    year=2023,
    arxiv="2310.02246",
    summary=(
        "A bandit over a grid of relaxations sees only how many iterations each solution took, and comes close to the "
        "best fixed relaxation. Given how the matrix is shifted, ChebCB comes close to the best one for each system."
    ),
    claims=(
        Claim(
            name="beats-fixed",
            sentence="ChebCB needs fewer iterations in all than the best fixed relaxation in hindsight, and than a "
            "bandit for each bin of the shift.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the mean iterations a system, ChebCB minus each of the "
                "two, for low and for high variance of the shift: all four upper ends < 0"
            ),
        ),
        Claim(
            name="near-fixed",
            sentence="Without context, Tsallis-INF comes close to the best fixed relaxation and far below omega = 1.",
            test=(
                "paired bootstrap over seeds, 95 % intervals, both variances: iterations in the last quarter minus "
                "1.15 times those of the best fixed relaxation, and iterations in all minus 0.5 times those of "
                "omega = 1: all four upper ends < 0"
            ),
        ),
        Claim(
            name="instance-optimal",
            sentence="ChebCB comes within 15 % of the asymptotically optimal relaxation of every single system.",
            test=(
                "paired bootstrap over seeds, 95 % interval of ChebCB's iterations in the last quarter minus 1.15 "
                "times those with the optimal relaxation of each system, both variances: both upper ends < 0"
            ),
        ),
        Claim(
            name="sublinear",
            sentence="The regret of Tsallis-INF against the best fixed relaxation grows more slowly than the number "
            "of systems.",
            test=(
                "slope of the regret (mean over seeds) against the number of systems from 300 to 3000, 20 places, "
                "both axes logarithmic, bootstrap over seeds, both variances: upper end of the 95 % interval < 0.9"
            ),
        ),
    ),
    settings={
        "systems": f"{FULL.systems} of (Laplacian of a 10 x 10 grid + c I) x = b, c = -0.15 + 0.6 Beta(2, 6) (low "
        "variance) or Beta(1/2, 3/2) (high), b standard normal of norm at most 10",
        "solver": "SOR from zero to a relative residual of 1e-8, at most 10,000 iterations",
        "relaxations": "20 from 1 to 1.95",
        "Tsallis-INF": "learning rate 2 / sqrt(t), losses divided by their running mean, as in the authors' code",
        "bins": f"{BINS} over [-0.15, 0.65]",
        "ChebCB": "6 terms over [-0.15, 0.65], constants from the losses seen, as in the authors' code",
    },
    seeds=tuple(range(8)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "3,000 systems and 8 seeds in place of 5,000 and 40; the simulation of heat with preconditioned conjugate "
        "gradients (headstart.bandits.heat) is not part of this row.",
        "The normaliser of Tsallis-INF is found by Newton's method from a start where it cannot overshoot; the "
        "authors' code starts at -1 each round, from where it leaves the right branch once losses are large.",
        "ChebCB measures the regression's regret against all arms' fits, where the authors' code subtracts the "
        "residual of one; the term of the series' own error outweighs both.",
    ),
)
