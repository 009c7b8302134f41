"""INPO: self-play that settles at the equilibrium of preferences that go in circles (arXiv 2407.00617).

Nine responses each beat the next four of a circle, so no reward explains them. Regression on a target that mixes the
reference with the policy of the last round takes a step of mirror descent from labels alone; iterative DPO runs after
whichever response wins at the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.envs.preference_game import PreferenceGame, cyclic_game
from headstart.language.dpo import DPO
from headstart.language.inpo import INPO
from headstart.language.method import LanguageMethod
from headstart.language.self_play import SelfPlay, anchored, expected_loss, minimise
from headstart.papers import figures
from headstart.papers.differences import difference, values
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.slopes import log_log_slope
from headstart.papers.tables import fill

TAU, ETA, ITERATIONS, SIZES, REPEATS = 0.1, 0.5, 40, (1_000, 10_000, 100_000), 5
OURS = "INPO"
SAMPLED, EXTREMES = SelfPlay(iterations=ITERATIONS), SelfPlay(iterations=ITERATIONS, responses="extremes")
ARMS: dict[str, tuple[LanguageMethod, SelfPlay]] = {
    OURS: (INPO(eta=ETA, tau=TAU), SAMPLED),
    "INPO eta 1": (INPO(eta=1.0, tau=TAU), SAMPLED),
    "INPO without tie": (INPO(eta=ETA, tau=0.0), SAMPLED),
    "INPO, best and worst of 8": (INPO(eta=ETA, tau=TAU), EXTREMES),
    "DPO beta 0.1": (DPO(beta=0.1), SAMPLED),
    "DPO beta 0.5": (DPO(beta=0.5), SAMPLED),
    "DPO beta 1": (DPO(beta=1.0), SAMPLED),
    "DPO beta 2": (DPO(beta=2.0), SAMPLED),
}
BASELINES = tuple(name for name in ARMS if name.startswith("DPO"))
TRANSITIVE = (OURS, "DPO beta 0.1", "DPO beta 1")
PLANNED = (5, 10, 20, 50, 100, 200)
"""Iterations after which exact mirror descent with growing eta is compared with the equilibrium."""


def run(seed: int, quick: bool) -> Result:
    """All arms of one seed in a game of its own."""
    iterations, smaller = (2, {"pairs": 50, "steps": 2}) if quick else (ITERATIONS, {})
    game, transitive = cyclic_game(seed), cyclic_game(seed, cycle=0.0)
    result: Result = {"circle": {}, "transitive": {}}
    for name, (method, play) in ARMS.items():
        play = replace(play, iterations=iterations, **smaller)
        policies = play.play(game, method, seed)
        result["circle"][name] = {
            "gap": game.duality_gap(policies, TAU).tolist(),
            "kl": float(game.kl(policies[-1])),
        }
        if name in TRANSITIVE:
            policies = play.play(transitive, method, seed)
            result["transitive"][name] = {"gap": transitive.duality_gap(policies, TAU).tolist()}
    exact = [game.reference]
    for _ in range(iterations):
        exact.append(game.mirror_step(exact[-1], ETA, TAU))
    result["mirror"] = game.duality_gap(np.stack(exact), TAU).tolist()
    result["errors"] = [one_step_error(game, n, seed) for n in (SIZES[:2] if quick else SIZES)]
    result["planned"] = last_iterates(game)
    return result


def one_step_error(game: PreferenceGame, pairs: int, seed: int) -> float:
    """Greatest difference in log-probability between one iteration from that many pairs and the exact step."""
    method, play = INPO(eta=ETA, tau=TAU), SelfPlay(pairs=pairs)
    reference, exact = torch.from_numpy(game.reference), game.mirror_step(game.reference, ETA, TAU)
    errors = []
    for repeat in range(REPEATS):
        wins = play.label(game, game.reference, np.random.default_rng([seed, pairs, repeat]))
        found = minimise(expected_loss(method, wins, anchored(method, reference, reference)), reference)
        errors.append(np.abs(found.numpy() - exact).max())
    return float(np.mean(errors))


def last_iterates(game: PreferenceGame) -> list[float]:
    """KL(equilibrium || policy) of exact mirror descent with eta = tau (t + 2) / 2, after some numbers of steps."""
    equilibrium = game.reference
    for _ in range(5000):
        equilibrium = game.mirror_step(equilibrium, ETA, TAU)
    policy, found = game.reference, []
    for count in range(PLANNED[-1]):
        policy = game.mirror_step(policy, TAU * (count + 2) / 2, TAU)
        if count + 1 in PLANNED:
            found.append(float((np.exp(equilibrium) * (equilibrium - policy)).sum()))
    return found


def judge(results: Sequence[Result]) -> list[Verdict]:
    """A verdict on each claim."""
    final = {name: np.array(values(results, "circle", name, "gap", -1)) for name in ARMS}
    near = float((final[OURS] < 0.02).mean())
    best = min(BASELINES, key=lambda name: final[name].mean())
    ahead = difference(final[OURS], final[best]) | {"best_beta": float(best.rsplit(" ", 1)[1])}
    errors = np.array([result["errors"] for result in results])
    step = log_log_slope(SIZES[: errors.shape[1]], errors)
    planned = log_log_slope(PLANNED, np.array([result["planned"] for result in results]), floor=1e-300)
    kl = {name: np.array(values(results, "circle", name, "kl")) for name in (OURS, "INPO without tie")}
    tie = difference(kl["INPO without tie"], kl[OURS])
    bias = difference(final["INPO, best and worst of 8"], final[OURS])
    return [
        Verdict(claim="equilibrium", holds=near >= 0.9, numbers={"share": near, "mean": float(final[OURS].mean())}),
        Verdict(claim="iterative-dpo", holds=ahead["high"] < 0, numbers=ahead),
        Verdict(
            claim="regression",
            holds=bool(step.estimate <= -0.4),
            numbers={"slope": float(step.estimate), "low": float(step.low), "high": float(step.high)},
        ),
        Verdict(
            claim="last-iterate",
            holds=bool(planned.high <= -0.9),
            numbers={"slope": float(planned.estimate), "low": float(planned.low), "high": float(planned.high)},
        ),
        Verdict(claim="tie", holds=tie["low"] > 0, numbers=tie),
        Verdict(claim="sampling", holds=bias["low"] > 0, numbers=bias),
    ]


def table(results: Sequence[Result]) -> list[Row]:
    """Mean duality gaps after some iterations."""
    rows: list[Row] = []
    arms: list[tuple[str, Any, list[float] | None, list[float] | None]] = [
        ("exact mirror descent", [result["mirror"] for result in results], None, None)
    ]
    for name in ARMS:
        curves = [result["circle"][name]["gap"] for result in results]
        same = [result["transitive"][name]["gap"][-1] for result in results] if name in TRANSITIVE else None
        arms.append((name, curves, values(results, "circle", name, "kl"), same))
    for name, curves, kl, same in arms:
        means = np.mean(curves, 0)
        row: Row = {"arm": name}
        for count in (0, 5, 10, 20):
            row |= {f"gap, {count}": float(means[count])} if count < len(means) else {}
        row["final gap"] = float(means[-1])
        row |= {"KL": float(np.mean(kl))} if kl is not None else {}
        rows.append(row | ({"gap without circle": float(np.mean(same))} if same is not None else {}))
    return fill(rows)


def draw(results: Sequence[Result], path: Path) -> None:
    """Duality gaps by iteration, and how near one iteration comes to the exact step."""
    with figures.figure(path, 2, "Preferences that go in circles", width=4.8) as (gaps, errors):
        shown = (OURS, "INPO, best and worst of 8", "DPO beta 0.5", "DPO beta 1", "DPO beta 2")
        for index, name in enumerate(shown):
            curves = np.array([result["circle"][name]["gap"] for result in results])
            figures.curve(gaps, list(range(curves.shape[1])), curves, name, index)
        exact = np.array([result["mirror"] for result in results])
        figures.curve(gaps, list(range(exact.shape[1])), exact, "exact mirror descent", 6)
        gaps.set(yscale="log", ylim=(1e-4, 3), xlabel="iterations of 4000 pairs", title="Duality gap, exact")
        gaps.legend(fontsize=8)
        measured = np.array([result["errors"] for result in results])
        figures.curve(errors, SIZES[: measured.shape[1]], measured, "one iteration", 0)
        errors.set(xscale="log", yscale="log", xlabel="pairs", title="Distance from the exact step")


PAPER = Paper(
    id="inpo",
    title="Iterative Nash Policy Optimization: Aligning LLMs with General Preferences via No-Regret Learning",
    authors="Zhang, Yu, Peng, Song, Tian, Huo, Jiang, Mi and Yu",
    year=2024,
    arxiv="2407.00617",
    summary=(
        "Policies play against themselves by mirror descent, whose step is found by regression on labelled pairs of "
        "the current policy alone: no win rates are estimated, and preferences need not come from a reward."
    ),
    claims=(
        Claim(
            name="equilibrium",
            sentence="The last policy is close to the equilibrium of the regularised game.",
            test="exact duality gap after 40 iterations of 4000 pairs (eta 0.5): below 0.02 on at least 9 of 10 seeds",
        ),
        Claim(
            name="iterative-dpo",
            sentence="Iterative DPO from as many pairs ends further away.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the final duality gap, INPO (eta 0.5) minus iterative "
                "DPO at the best of its betas 0.1, 0.5, 1 and 2: upper end < 0"
            ),
        ),
        Claim(
            name="regression",
            sentence="The regression finds the exact step of mirror descent as data grow.",
            test=(
                "greatest difference in log-probability to the exact step after one iteration, mean of 5 draws a seed: "
                "slope on log-log axes over 1e3, 1e4 and 1e5 pairs at most -0.4"
            ),
        ),
        Claim(
            name="last-iterate",
            sentence="With eta growing as tau (t + 2) / 2, the last of T exact steps is off by 1 / T at most.",
            test=(
                "slope of log KL(equilibrium || last policy), mean over seeds, on log T for T of 5 to 200: upper end "
                "of the 95 % interval at most -0.9"
            ),
        ),
        Claim(
            name="tie",
            sentence="Without the tie to the reference the policy ends further from it.",
            test="paired bootstrap over seeds, 95 % interval of the final KL, tau 0 minus tau 0.1: lower end > 0",
        ),
        Claim(
            name="sampling",
            sentence="Pairs must both be drawn from the policy: best and worst of eight lead elsewhere.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the final duality gap, best against worst of 8 minus "
                "sampled pairs: lower end > 0"
            ),
        ),
    ),
    settings={
        "game": "9 responses, each beats the next four; log-odds 3 times that plus the difference of normal qualities",
        "regularisation": f"tau {TAU}, reference log-normal (0.5)",
        "INPO": f"eta {ETA} unless said",
        "data": f"{ITERATIONS} iterations of 4000 labelled pairs, each fitted on its own pairs alone",
        "policy": "logits, fitted by at most 8 steps of Newton's method, none longer than 3 nats",
        "iterative DPO": "the reference fixed",
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "A game of nine responses, whose duality gap has a closed form, in place of Llama-3 and its benchmarks.",
        "The paper's language models learn from the best and the worst of eight, which its analysis does not cover; "
        "here that is an arm, and the main arm draws both responses from the policy.",
        "Fits are exact up to the cap on Newton's steps, which matters for DPO alone: where a response never wins its "
        "loss has no least point.",
    ),
)
