"""One predictor with small regret on every one of overlapping groups (arXiv 2310.04652)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from headstart.bandits.grouped_data import (
    GroupedData,
    load_adult,
    load_drug_expenditure,
    load_medical_expenditure,
    shapes_and_colours,
)
from headstart.bandits.groupwise import Groupwise, follow, group_regret
from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

LEARNER = Groupwise()
ADULT_ROUNDS, SYNTHETIC_ROUNDS, QUICK_ROUNDS = 20_000, 20_000, 300
SYNTHETIC = ("mean", "min", "max")
STREAMS = ("adult", "adult by age", "medical", "drugs", *(f"synthetic {combine}" for combine in SYNTHETIC))


def run(seed: int, quick: bool) -> Result:
    """All streams in an order of this seed's."""
    generator = np.random.default_rng(seed)

    def shuffled(data: GroupedData, rounds: int | None = None) -> GroupedData:
        return data.take(generator.permutation(len(data))[: QUICK_ROUNDS if quick else rounds])

    adult = shuffled(load_adult(), ADULT_ROUNDS)
    streams = {
        "adult": adult,
        "adult by age": adult.take(np.argsort(adult.features[:, 0], kind="stable")),
        "medical": shuffled(load_medical_expenditure()),
        "drugs": shuffled(load_drug_expenditure()),
    }
    for combine in SYNTHETIC:
        rounds = QUICK_ROUNDS if quick else SYNTHETIC_ROUNDS
        streams[f"synthetic {combine}"] = shapes_and_colours(rounds, cast(Any, combine), generator)
    return {name: _follow(data) for name, data in streams.items()}


def _follow(data: GroupedData) -> dict[str, Any]:
    """For every group its rounds, the regret of both predictors, and ours against the group's own learner."""
    losses = follow(LEARNER, data.features, data.active, data.labels)
    always_on = losses.by_group[:, 0]  # the learner of all rounds
    regrets = (group_regret(loss, data.features, data.labels, data.active) for loss in (losses.ours, always_on))
    own = np.nansum(np.where(data.active, losses.ours[:, None] - losses.by_group, 0), axis=0)
    columns = (data.active.sum(0), *regrets, own)
    return {
        group: {"rounds": int(rounds), "ours": float(ours), "always on": float(base), "against its own": float(alone)}
        for group, rounds, ours, base, alone in zip(data.groups, *columns, strict=True)
    }


def _gains(results: Sequence[Result], stream: str) -> dict[str, tuple[float, float, float]]:
    """For each group the always-on learner's regret less ours, with its interval over orders."""
    groups = results[0][stream]
    regrets = {
        arm: {group: [result[stream][group][arm] for result in results] for group in groups}
        for arm in ("always on", "ours")
    }
    return {group: paired_bootstrap(regrets["always on"][group], regrets["ours"][group]) for group in groups}


def _rounds(results: Sequence[Result], stream: str) -> dict[str, float]:
    return {group: float(np.mean([r[stream][group]["rounds"] for r in results])) for group in results[0][stream]}


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Each claim on its own streams."""

    def beaten(stream: str, least: float) -> list[float]:
        """Lower ends of the gains of groups of at least so many rounds."""
        rounds = _rounds(results, stream)
        return [low for group, (_, low, _) in _gains(results, stream).items() if rounds[group] >= least]

    def count(claim: str, lows: list[float], exceptions: int) -> Verdict:
        better = sum(low > 0 for low in lows)
        numbers = {"groups": len(lows), "groups better": better, "least lower end": min(lows)}
        return Verdict(claim=claim, holds=better >= len(lows) - exceptions, numbers=numbers)

    streams = [stream for result in results for stream in result.values()]
    bound = max(
        group["against its own"] / (3 * np.sqrt(group["rounds"] * np.log(len(stream))))
        for stream in streams
        for group in stream.values()
        if group["rounds"]
    )
    medical = [mean for mean, _, _ in _gains(results, "medical").values()]
    price = max(-low for _, low, _ in _gains(results, "drugs").values())
    synthetic = [low for combine in SYNTHETIC for low in beaten(f"synthetic {combine}", 0)]
    return [
        count("every-group", beaten("adult", 300), 0),
        Verdict(claim="sleeping-bound", holds=bool(bound <= 1), numbers={"largest share of the bound": float(bound)}),
        count("sorted", beaten("adult by age", 1000), 1),
        Verdict(
            claim="medical",
            holds=sum(gain > 0 for gain in medical) >= 9,
            numbers={"groups": len(medical), "groups better": sum(gain > 0 for gain in medical)},
        ),
        Verdict(claim="small-price", holds=price <= 2, numbers={"largest price, upper end": price}),
        count("synthetic", synthetic, 0),
    ]


def table(results: Sequence[Result]) -> list[Row]:
    """Mean regret over orders, a line for each group of each stream."""
    rows: list[Row] = []
    for stream in STREAMS:
        sizes = _rounds(results, stream)
        for group, (gain, low, high) in _gains(results, stream).items():
            numbers = {arm: float(np.mean([r[stream][group][arm] for r in results])) for arm in ("ours", "always on")}
            rows.append(
                {
                    "stream": stream,
                    "group": group,
                    "rounds": round(sizes[group]),
                    "regret, groupwise": numbers["ours"],
                    "regret, always on": numbers["always on"],
                    "gain": gain,
                    "low": low,
                    "high": high,
                }
            )
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Regret of both predictors on every group, census and medical data."""
    title = "Regret on every group: one learner for all (orange) and the groupwise one (blue)"
    with figures.figure(path, 2, title, height=4.6, width=5.0) as panels:
        for axes, stream, name in zip(panels, ("adult", "medical"), ("Census", "Medical expenditure"), strict=True):
            groups = list(results[0][stream])
            places = np.arange(len(groups))[::-1]
            for index, (arm, label) in enumerate((("ours", "groupwise"), ("always on", "online ridge"))):
                values = np.array([[r[stream][group][arm] for group in groups] for r in results])
                color, marker = figures.COLORS[index], figures.MARKERS[index]
                axes.plot(values.T, places, ".", color=color, alpha=0.3, markersize=4)
                axes.plot(values.mean(0), places, marker, color=color, markersize=6, label=label)
            axes.axvline(0, color="#888888", linewidth=1, linestyle=":")
            axes.set_yticks(places, groups)
            axes.set(xlabel="regret against the best linear predictor", title=name)
        panels[0].legend(loc="lower left")


PAPER = Paper(
    id="groupwise",
    title="Oracle Efficient Algorithms for Groupwise Regret",
    authors="Acharya et al.",
    year=2023,
    arxiv="2310.04652",
    summary=(
        "A copy of an ordinary online learner for each of many overlapping groups, combined by sleeping experts, has "
        "small regret on all groups at once, at the cost of one learner's update a group."
    ),
    claims=(
        Claim(
            name="every-group",
            sentence="On census data in random order, regret is lower than that of one always-on online ridge "
            "regression on every group.",
            test=(
                "paired bootstrap over 10 orders, 95 % interval of the always-on regret minus ours: lower end > 0 for "
                "every group of at least 300 rounds"
            ),
        ),
        Claim(
            name="sleeping-bound",
            sentence="On every group, the loss exceeds that of the group's own learner by no more than sleeping "
            "experts allow.",
            test="the excess is at most 3 sqrt(rounds of the group * ln groups) for all groups, streams and orders",
        ),
        Claim(
            name="sorted",
            sentence="So it is on census data sorted by age.",
            test="as every-group, for groups of at least 1,000 rounds, with at most one exception",
        ),
        Claim(
            name="medical",
            sentence="On medical expenditure, regret is lower on nearly all groups.",
            test="mean regret over 10 orders is lower than always-on in at least 9 of 11 groups",
        ),
        Claim(
            name="small-price",
            sentence="Where one linear law serves all groups, having groups costs little.",
            test=(
                "expenditure on drugs, paired bootstrap over 10 orders: for every group the upper end of the 95 % "
                "interval of our regret minus the always-on one is at most 2"
            ),
        ),
        Claim(
            name="synthetic",
            sentence="On made-up data whose labels combine two groups' linear laws, regret is lower on every group.",
            test=(
                "labels by mean, min and max; paired bootstrap over 10 drawings, 95 % interval of the always-on regret "
                "minus ours: lower end > 0 in all 6 groups of all three"
            ),
        ),
    ),
    settings={
        "learner": "online ridge, penalty 1, predictions clipped to [0, 1]; AdaNormalHedge over groups, weighted mean",
        "census": f"first {ADULT_ROUNDS} of 48,842 adults in each order; age, weight, schooling, capital gain and loss,"
        " hours, each scaled to [0, 1], and a constant; label: income above 50,000 dollars; 15 groups",
        "medical": "5,574 people, 8 features and a constant, label log(1 + expenditure) over its largest; 11 groups",
        "drugs": "10,391 elderly people, 9 features and a constant, label log(expenditure) over its largest; 10 groups",
        "synthetic": f"{SYNTHETIC_ROUNDS} rounds, 10 features of norm one and a constant, 3 shapes and 2 colours",
        "regret": "squared loss on the group's rounds less that of the linear predictor fitted to them in hindsight",
    },
    seeds=(473, 503, 623, 550, 692, 989, 617, 458, 301, 205),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(473,),
    deviations=(
        "Medical expenditure of two surveys in place of the table of 1,338 insured people, which no package ships "
        "(load_medical_costs reads it where it is at hand).",
        "The penalty of the ridge regression is 1; the paper's value is not known to us.",
        "The prediction is the weighted mean of the groups' predictions, not one drawn; with squared loss it is never "
        "worse than the draw in expectation.",
        "The seeds are those of the authors' shuffles, but give other orders with another generator.",
    ),
)
