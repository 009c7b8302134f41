"""Contrastive-UCB: learn transitions by contrast, explore where their features are new (arXiv 2207.14800).

A lock seen through many observations has a decoy that greedy learners never leave; the bonus in learned features gets
past it, alone and against another player. Apart from that, contrast recovers low-rank transitions from data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from headstart.evaluate.statistics import paired_bootstrap
from headstart.finite.block_duel import block_duel
from headstart.finite.block_lock import block_lock
from headstart.finite.contrastive import LowRankModel, fit_contrastive, transition_of
from headstart.finite.contrastive_game import ContrastiveUCBGame
from headstart.finite.contrastive_ucb import ContrastiveUCB
from headstart.finite.games import exploitability
from headstart.finite.linear import random_linear_world
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.tables import fill

BONUS, ITERATIONS, PSEUDO_COUNT = 3.0, 40, 1e-3
DUEL_ITERATIONS = 40
STATES, ACTIONS, DIMENSION, SIZES, UPDATES = 50, 5, 5, (1_000, 3_000, 10_000, 30_000, 100_000), 3000


def run(seed: int, quick: bool) -> Result:
    """All three experiments of one seed, each in a world of its own."""
    iterations = 2 if quick else ITERATIONS
    return {
        "lock": {name: _lock(bonus, seed, iterations) for name, bonus in (("bonus", BONUS), ("greedy", 0.0))},
        "duel": {
            name: _duel(bonus, seed, 2 if quick else DUEL_ITERATIONS)
            for name, bonus in (("bonus", BONUS), ("greedy", 0.0))
        },
        "recovery": _recovery(seed, SIZES[:2] if quick else SIZES, 50 if quick else UPDATES),
    }


def _lock(bonus: float, seed: int, iterations: int) -> dict[str, Any]:
    """Values while exploring, and errors of the learned and of the counted transitions where there are data."""
    world = block_lock(seed=seed)
    explored = ContrastiveUCB(bonus=bonus).explore(world, iterations, seed)
    visits = explored.transitions.sum(-1)
    counted = (explored.transitions + PSEUDO_COUNT) / (visits[..., None] + PSEUDO_COUNT * world.states)
    truth = np.asarray(world.transition)
    return {
        "values": explored.values.tolist(),
        "learned_error": _distance(explored.transition, truth, visits),
        "counted_error": _distance(counted, truth, visits),
    }


def _duel(bonus: float, seed: int, iterations: int) -> float:
    """How exploitable the policies are that exploring the duel leads to."""
    game = block_duel(seed=seed)
    played = ContrastiveUCBGame(ContrastiveUCB(bonus=bonus)).explore(game, iterations, seed)
    return exploitability(game, played.rows, played.columns)


def _recovery(seed: int, sizes: Sequence[int], updates: int) -> dict[str, Any]:
    """Total variation distance of fitted from true transitions, as data grow; and without the negatives' weights."""
    random = np.random.default_rng([seed, 1])
    truth = np.asarray(random_linear_world(STATES, ACTIONS, DIMENSION, 1, int(random.integers(2**31))).transition)
    negatives = 0.5 / STATES + 0.5 * random.dirichlet(np.full(STATES, 2.0))
    result: dict[str, Any] = {"contrastive": [], "counts": []}
    even = np.ones(truth.shape[:-1])
    for size in sizes:
        visits = random.multinomial(size, np.full(STATES * ACTIONS, 1 / (STATES * ACTIONS))).reshape(truth.shape[:-1])
        transitions = random.multinomial(visits, truth / truth.sum(-1, keepdims=True)).astype(np.float64)
        model = LowRankModel.random(STATES, ACTIONS, DIMENSION, jax.random.key(seed))
        model = fit_contrastive(model, transitions, negatives, updates, decay=True)
        result["contrastive"].append(_distance(transition_of(model, negatives), truth, even))
        frequencies = np.where(visits[..., None] > 0, transitions / np.maximum(visits, 1)[..., None], 1 / STATES)
        result["counts"].append(_distance(frequencies, truth, even))
        result["unweighted"] = _distance(transition_of(model, np.full(STATES, 1 / STATES)), truth, even)
    return result


def _distance(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Total variation distance of next states, averaged over states and actions with the given weights."""
    return float((0.5 * np.abs(first - second).sum(-1) * weights).sum() / weights.sum())


def _slopes(results: Sequence[Result]) -> list[float]:
    """Slope of log error on log data of each seed."""
    lines = [result["recovery"]["contrastive"] for result in results]
    return [float(np.polyfit(np.log(SIZES[: len(line)]), np.log(line), 1)[0]) for line in lines]


def judge(results: Sequence[Result]) -> list[Verdict]:
    """A verdict on each claim."""
    final, greedy = ([result["lock"][arm]["values"][-1] for result in results] for arm in ("bonus", "greedy"))
    solved = float(np.mean(np.array(final) >= 0.9))
    difference = _interval(paired_bootstrap(final, greedy))
    learned, counted = (
        float(np.mean([result["lock"]["bonus"][f"{kind}_error"] for result in results]))
        for kind in ("learned", "counted")
    )
    slope = float(np.mean(_slopes(results)))
    errors = {kind: np.mean([result["recovery"][kind] for result in results], 0) for kind in ("contrastive", "counts")}
    worst = float((errors["contrastive"] / errors["counts"]).max())
    unweighted = float(np.mean([result["recovery"]["unweighted"] for result in results]))
    ratio = unweighted / float(errors["contrastive"][-1])
    greedy, explored = ([result["duel"][arm] for result in results] for arm in ("greedy", "bonus"))
    duel = _interval(paired_bootstrap(greedy, explored))
    return [
        Verdict(
            claim="exploration", holds=solved >= 0.9 and difference["low"] > 0, numbers={"solved": solved} | difference
        ),
        Verdict(
            claim="transitions",
            holds=learned < 0.5 * counted,
            numbers={"learned_error": learned, "counted_error": counted},
        ),
        Verdict(
            claim="recovery",
            holds=-0.8 <= slope <= -0.4 and worst < 1,
            numbers={"slope": slope, "largest_ratio_to_counts": worst},
        ),
        Verdict(claim="weights", holds=ratio > 2, numbers={"unweighted": unweighted, "ratio": ratio}),
        Verdict(claim="games", holds=duel["low"] > 0, numbers=duel),
    ]


def _interval(of: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("difference", "low", "high"), of, strict=True))


def table(results: Sequence[Result]) -> list[Row]:
    """Exploring with and without the bonus; and errors of fitted transitions by number of data."""
    rows: list[Row] = []
    for arm, name in (("bonus", f"bonus {BONUS:g}"), ("greedy", "no bonus")):
        values = np.array([result["lock"][arm]["values"][-1] for result in results])
        row: Row = {"what": name, "value in the lock": float(values.mean()), "solved": float((values >= 0.9).mean())}
        for kind in ("learned", "counted"):
            row[f"error, {kind}"] = float(np.mean([result["lock"][arm][f"{kind}_error"] for result in results]))
        rows.append(row | {"exploitability in the duel": float(np.mean([r["duel"][arm] for r in results]))})
    for kind in ("contrastive", "counts"):
        errors = np.mean([result["recovery"][kind] for result in results], axis=0)
        rows.append({"what": f"low rank, {kind}"} | {f"error, n = {n}": float(e) for n, e in zip(SIZES, errors)})
    unweighted = float(np.mean([result["recovery"]["unweighted"] for result in results]))
    last = SIZES[len(results[0]["recovery"]["counts"]) - 1]
    return fill([*rows, {"what": "low rank, without the negatives' weights", f"error, n = {last}": unweighted}])


def draw(results: Sequence[Result], path: Path) -> None:
    """Values while exploring, exploitability of the duel, errors against data."""
    with figures.figure(path, 3, "Features learned by contrast, and a bonus in them") as (lock, duel, recovery):
        arms = (("bonus", "with the bonus"), ("greedy", "without"))
        for index, (arm, label) in enumerate(arms):
            values = np.array([result["lock"][arm]["values"] for result in results])
            figures.curve(lock, list(range(1, values.shape[1] + 1)), values, label, index)
        lock.set(xlabel="iterations (60 episodes each)", ylabel="value of the greedy policy", title="Block lock")
        lock.legend()
        figures.intervals(duel, {label: [result["duel"][arm] for result in results] for arm, label in arms}, line=0.0)
        duel.set(xlabel="exploitability", title="Duel behind a lock")
        for index, kind in enumerate(("contrastive", "counts")):
            errors = np.array([result["recovery"][kind] for result in results])
            figures.curve(recovery, SIZES[: errors.shape[1]], errors, kind, index)
        recovery.set(
            xscale="log", yscale="log", xlabel="transitions", ylabel="total variation", title="Low-rank recovery"
        )
        recovery.legend()


PAPER = Paper(
    id="contrastive-ucb",
    title="Contrastive UCB: Provably Efficient Contrastive Self-Supervised Learning in Online Reinforcement Learning",
    authors="Qiu, Wang, Bai, Yang and Wang",
    year=2022,
    arxiv="2207.14800",
    summary=(
        "Telling true next states from replaced ones recovers a low-rank world's transitions and features; an "
        "elliptical bonus in these features explores, for one agent and in zero-sum games."
    ),
    claims=(
        Claim(
            name="exploration",
            sentence="With the bonus the lock is opened; without it learning stays with the decoy.",
            test=(
                "value of the bonus-free policy after 40 iterations: at least 0.9 of the optimum on at least 9 of 10 "
                "seeds; paired bootstrap, 95 % interval of its difference to bonus 0: lower end > 0"
            ),
        ),
        Claim(
            name="transitions",
            sentence="What is learned by contrast is far closer to the truth than counts of the same data.",
            test="total variation distance weighted by the data, mean over seeds: learned below half of counted",
        ),
        Claim(
            name="recovery",
            sentence="The error of recovered low-rank transitions falls about as one over the root of the data.",
            test=(
                "slope of log error on log n, mean over seeds, in [-0.8, -0.4]; mean error below that of counts at "
                "every n"
            ),
        ),
        Claim(
            name="weights",
            sentence="The ratio has to be weighted by the negatives' distribution to give transitions.",
            test="mean error at the largest n without the weights more than twice that with them",
        ),
        Claim(
            name="games",
            sentence="In a zero-sum game too, the bonus leads to policies that are harder to exploit.",
            test="paired bootstrap, 95 % interval of exploitability without minus with the bonus: lower end > 0",
        ),
    ),
    settings={
        "lock": "horizon 6, 4 actions, 3 hidden states of 10 observations, decoy 0.1; a lock of its own for each seed",
        "model": "decoder, hidden transitions of each step, emission; 150 steps of Adam (0.03) an iteration",
        "exploration": f"bonus {BONUS}, ridge 1, {ITERATIONS} iterations of 10 episodes for each step",
        "duel": f"horizon 6, 4 against 2 actions, 3 hidden states of 5 observations, {DUEL_ITERATIONS} iterations",
        "recovery": f"{STATES} states, {ACTIONS} actions, rank {DIMENSION}, {UPDATES} steps of Adam, cosine from 0.03",
        "sizes": list(SIZES),
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "The deep version and its 26 Atari games are not run.",
        "Expectations over negatives are exact, and the model has the block structure of the lock.",
        "Counts with a small pseudo-count, themselves optimistic, solve this lock as well: what is claimed is that the "
        "bonus is needed with learned features, and how close these come to the truth, not that they beat counts.",
        "In the duel the reported policies are the equilibrium of the learned model, not the average of those played.",
    ),
    tried=(
        "Bonus 3 was the smallest that opened all locks of a pilot with four other seeds. Here two locks of ten stay "
        "shut within 40 iterations (values 0.16 and 0.56). Both open within 20 with twice the steps of Adam (300) in "
        "an iteration, and with twice the bonus (6); with 80 iterations in place of 40 only one does. What is short is "
        "the fit between iterations, or the bonus, not the number of episodes. Neither was changed after the run.",
        "In one game of an earlier run a linear program of the equilibrium was not solved (nearly equal payoffs); "
        "other solvers are now tried in turn.",
    ),
)
