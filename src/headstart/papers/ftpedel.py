"""FTPedel: how many online episodes do recorded data leave necessary (arXiv 2211.04974)?

Doors that seldom open are told apart with fewer episodes the more of them the data know, in proportion to what the
offline-to-online concentrability coefficient says; and to know that a policy is good takes more than to have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.evaluate.statistics import paired_bootstrap
from headstart.finite.drawing import draw_episodes
from headstart.finite.episodic_vi_lcb import EpisodicVILCB
from headstart.finite.experiment_design import min_online_episodes
from headstart.finite.ftpedel import FTPedel
from headstart.finite.mdp import FiniteMDP
from headstart.finite.planning import greedy, value_of
from headstart.finite.rare_rooms import door_policies, rare_rooms, recorded_doors
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.tables import fill

DOORS, COVERED, EPSILONS, BETA, SAMPLES = 6, (0, 2, 4, 5, 6), (0.2, 0.1, 0.05), 4.0, 100_000
MAIN, BETWEEN, MOSTLY = 0.1, (0, 2, 4, 5), 5
"""The precision that claims are judged at; the levels of coverage at which anything is left to do; almost all doors."""
EXPERT_EPISODES = 200_000
RANDOM: dict[str, Any] = {"states": 4, "actions": 2, "horizon": 3, "policies": 200, "episodes": 2000, "epsilon": 0.2}


def run(seed: int, quick: bool) -> Result:
    """All three experiments of one seed."""
    epsilons = EPSILONS[:2] if quick else EPSILONS
    return {
        "doors": [_doors(covered, epsilon, seed) for covered in COVERED for epsilon in epsilons],
        "expert": _expert(seed),
        "random": _random_world(seed, policies=20 if quick else RANDOM["policies"]),
    }


def _doors(covered: int, epsilon: float, seed: int) -> dict[str, Any]:
    """FTPedel, pessimism and the least number of episodes with data of the first doors."""
    world = rare_rooms(DOORS)
    policies = door_policies(world)
    offline = recorded_doors(world, covered, SAMPLES, np.random.default_rng([seed, covered]))
    found = FTPedel(epsilon=epsilon, beta=BETA).run(world, policies, offline, seed)
    need = min_online_episodes(world, policies, offline.visits, epsilon, BETA) if epsilon == MAIN else None
    return {
        "covered": covered,
        "epsilon": epsilon,
        "episodes": found.online_episodes,
        "suboptimality": _suboptimality(world, policies, found.policy),
        "certificate": found.certificate,
        "necessary": need.episodes if need else None,
        "offline_suboptimality": _suboptimality(world, policies, EpisodicVILCB().plan(offline).policy),
    }


def _expert(seed: int) -> dict[str, float]:
    """Data of the best policy alone: having a good policy against knowing that it is."""
    world = rare_rooms(DOORS)
    policies = door_policies(world)
    best = policies[np.argmax([value_of(world, policy) for policy in policies])]
    offline = draw_episodes(world, best, EXPERT_EPISODES, np.random.default_rng([seed, 100]))
    endless = np.where(offline.visits > 0, 1e12, 0.0)
    needs = [min_online_episodes(world, policies, visits, MAIN, BETA).episodes for visits in (offline.visits, endless)]
    found = FTPedel(epsilon=MAIN, beta=BETA).run(world, policies, offline, seed)
    return {
        "offline_suboptimality": _suboptimality(world, policies, EpisodicVILCB().plan(offline).policy),
        "necessary": needs[0],
        "necessary_uncovered": needs[1],
        "episodes": found.online_episodes,
        "suboptimality": _suboptimality(world, policies, found.policy),
        "certificate": found.certificate,
    }


def _random_world(seed: int, policies: int) -> dict[str, float]:
    """Online episodes with and without 2,000 recorded ones, in a random world with random policies."""
    random = np.random.default_rng([seed, 200])
    shape = (RANDOM["horizon"], RANDOM["states"], RANDOM["actions"])
    world = FiniteMDP.of(
        random.dirichlet(np.ones(RANDOM["states"]), shape), random.random(shape), RANDOM["horizon"], None, "bernoulli"
    )
    sampled = greedy(random.random((policies, *shape)))
    offline = draw_episodes(world, sampled[0], RANDOM["episodes"], random)
    learner = FTPedel(epsilon=RANDOM["epsilon"], beta=BETA, design_batch=50)
    results = {"FTPedel": learner.run(world, sampled, offline, seed), "PEDEL": learner.run(world, sampled, None, seed)}
    return {name: found.online_episodes for name, found in results.items()} | {
        f"{name}_suboptimality": _suboptimality(world, sampled, found.policy) for name, found in results.items()
    }


def _suboptimality(world: FiniteMDP, policies: np.ndarray, policy: np.ndarray) -> float:
    """How much worse than the best of the policies one is; rounding errors count as none."""
    gap = max(value_of(world, other) for other in policies) - value_of(world, policy)
    return float(0.0 if abs(gap) < 1e-9 else gap)


def _at(results: Sequence[Result], covered: int, measure: str, epsilon: float = MAIN) -> list[float]:
    """One number a seed."""
    return [
        line[measure]
        for result in results
        for line in result["doors"]
        if line["covered"] == covered and line["epsilon"] == epsilon
    ]


def judge(results: Sequence[Result]) -> list[Verdict]:
    """A verdict on each claim."""
    few, many = (np.array(_at(results, covered, "episodes")) for covered in (MOSTLY, 0))
    fewer = paired_bootstrap(0.5 * many, few)
    lines = [line for result in results for line in result["doors"]]
    right = float(np.mean([line["suboptimality"] <= line["epsilon"] for line in lines]))
    ratios = {
        covered: float(np.mean(_at(results, covered, "episodes")) / np.mean(_at(results, covered, "necessary")))
        for covered in BETWEEN
    }
    band = max(ratios.values()) / min(ratios.values())
    stuck = min(_at(results, MOSTLY, "offline_suboptimality"))
    experts = [result["expert"] for result in results]
    relative = max(abs(e["necessary"] / e["necessary_uncovered"] - 1) for e in experts)
    separation = {
        "offline_suboptimality": max(e["offline_suboptimality"] for e in experts),
        "necessary_to_certify": min(e["necessary"] for e in experts),
        "relative_difference": relative,
        "valid_certificates": float(np.mean([e["suboptimality"] <= e["certificate"] + 1e-9 for e in experts])),
    }
    without, with_data = ([result["random"][name] for result in results] for name in ("PEDEL", "FTPedel"))
    saved = paired_bootstrap(without, with_data)
    return [
        Verdict(claim="fewer-episodes", holds=fewer[1] > 0, numbers=_interval(fewer)),
        Verdict(claim="correct", holds=right >= 0.95, numbers={"fraction": right, "runs": float(len(lines))}),
        Verdict(
            claim="as-many-as-necessary",
            holds=band <= 4,
            numbers={"band": band} | {f"ratio_{covered}": ratio for covered, ratio in ratios.items()},
        ),
        Verdict(claim="offline-stuck", holds=stuck >= 0.14, numbers={"least_suboptimality": stuck}),
        Verdict(
            claim="verifiable",
            holds=separation["offline_suboptimality"] == 0
            and separation["necessary_to_certify"] > 0
            and relative <= 0.05
            and separation["valid_certificates"] == 1,
            numbers=separation,
        ),
        Verdict(claim="random-worlds", holds=saved[1] > 0, numbers=_interval(saved)),
    ]


def _interval(of: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("difference", "low", "high"), of, strict=True))


def table(results: Sequence[Result]) -> list[Row]:
    """Means over seeds, at each level of coverage, and of the other two experiments."""
    rows: list[Row] = []
    for covered in COVERED:
        row: Row = {"data": f"{covered} of {DOORS} doors"}
        for epsilon in sorted({line["epsilon"] for line in results[0]["doors"]}, reverse=True):
            row[f"episodes, epsilon {epsilon}"] = float(np.mean(_at(results, covered, "episodes", epsilon)))
        row["necessary, epsilon 0.1"] = float(np.mean(_at(results, covered, "necessary")))
        row["offline alone is worse by"] = float(np.mean(_at(results, covered, "offline_suboptimality")))
        rows.append(row)
    expert = {name: float(np.mean([r["expert"][name] for r in results])) for name in results[0]["expert"]}
    rows.append(
        {
            "data": f"{EXPERT_EPISODES:,} episodes of the best policy",
            "episodes, epsilon 0.1": expert["episodes"],
            "necessary, epsilon 0.1": expert["necessary"],
            "offline alone is worse by": expert["offline_suboptimality"],
        }
    )
    for name, data in (("PEDEL", "none"), ("FTPedel", f"{RANDOM['episodes']:,} episodes of one policy")):
        episodes = float(np.mean([r["random"][name] for r in results]))
        rows.append({"data": f"random worlds, {data}", "episodes, epsilon 0.2": episodes})
    return fill(rows)


def draw(results: Sequence[Result], path: Path) -> None:
    """Episodes played and necessary against what the data know; and with and without data in random worlds."""
    with figures.figure(path, 2, "Filling the holes of recorded data") as (doors, random):
        played = np.array([_at(results, covered, "episodes") for covered in COVERED]).T
        necessary = np.array([_at(results, covered, "necessary") for covered in COVERED]).T
        figures.curve(doors, COVERED, played, "played by FTPedel", 0)
        figures.curve(doors, COVERED, necessary, "necessary (optimal design, world known)", 1)
        doors.set(xlabel=f"doors that the data know, of {DOORS}", ylabel="online episodes", title="Rare rooms, ε = 0.1")
        doors.legend()
        groups = {name: [result["random"][name] for result in results] for name in ("PEDEL", "FTPedel")}
        figures.intervals(random, {"no data (PEDEL)": groups["PEDEL"], "2,000 episodes": groups["FTPedel"]})
        random.set(xlabel="online episodes", title="Random worlds")


PAPER = Paper(
    id="ftpedel",
    title="Leveraging Offline Data in Online Reinforcement Learning",
    authors="Wagenmaker and Pacchiano",
    year=2022,
    arxiv="2211.04974",
    summary=(
        "Given recorded data, policies are told apart with few online episodes, designed to visit only what the data "
        "leave unknown. How many are needed is what the offline-to-online concentrability coefficient measures."
    ),
    claims=(
        Claim(
            name="fewer-episodes",
            sentence="Data that know five of six doors save more than half of the online episodes, star door unknown.",
            test=(
                "epsilon 0.1, paired bootstrap over seeds, 95 % interval of half the episodes without data minus those "
                "with five doors covered: lower end > 0"
            ),
        ),
        Claim(
            name="correct",
            sentence="The policy returned is as good as asked for.",
            test="suboptimality at most epsilon in at least 95 % of all runs (coverage levels, epsilons, seeds)",
        ),
        Claim(
            name="as-many-as-necessary",
            sentence="The episodes played are in proportion to those that the concentrability coefficient demands.",
            test=(
                "epsilon 0.1, mean episodes over mean necessary episodes (sum over steps), for 0, 2, 4 and 5 doors "
                "covered: largest ratio at most 4 times the least"
            ),
        ),
        Claim(
            name="offline-stuck",
            sentence="No planning with the data alone finds the prize behind the one door they leave out.",
            test="suboptimality of episodic VI-LCB with five doors covered at least 0.14 in every seed",
        ),
        Claim(
            name="verifiable",
            sentence=(
                "Episodes of the best policy suffice to return it without playing, not to know that it is best: that "
                "takes as many episodes as its competitors, which the data leave out, demand by themselves."
            ),
            test=(
                "in every seed: VI-LCB's suboptimality is 0; the episodes necessary to certify are above 0 and within "
                "5 % of those necessary if the covered cells were known exactly; FTPedel's certificate is valid"
            ),
        ),
        Claim(
            name="random-worlds",
            sentence="In random worlds too, recorded episodes save online ones.",
            test=(
                "one world a seed, paired bootstrap, 95 % interval of PEDEL's episodes minus FTPedel's: lower end > 0"
            ),
        ),
    ),
    settings={
        "rare rooms": f"{DOORS} doors that open with probability 0.3, 24 policies, Bernoulli rewards",
        "offline data": f"{SAMPLES:,} samples of each covered cell; or {EXPERT_EPISODES:,} episodes of the best policy",
        "epsilon": list(EPSILONS),
        "beta": BETA,
        "design": "optimistic, 10 episodes between plans (50 in random worlds)",
        "random worlds": RANDOM,
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    deviations=(
        "The tabular case of the paper's linear worlds; the paper is theory and measures nothing.",
        "The squared width of confidence is 4, in place of theory's constants and logarithms, for the learner and for "
        "the episodes said to be necessary.",
        "Data of earlier phases are kept, and after the step of interest an episode goes on as the policies in "
        "question do.",
        "A single survivor is certified as the best of the policies, which ends a run before the last phase.",
        "The separation at the rate epsilon^-8/5 of the paper's explicit example is not tested.",
    ),
)
