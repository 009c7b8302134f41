"""A paper that takes no time: how often a biased coin lands on heads."""

import os
from pathlib import Path

import numpy as np

from headstart.core.errors import HeadstartError
from headstart.evaluate.statistics import paired_bootstrap
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Verdict


def run(seed, quick):
    with open(os.environ["FAKE_PAPER_LOG"], "a") as log:
        log.write(f"{seed} ")
    if str(seed) in os.environ.get("FAKE_PAPER_FAILS", ""):
        raise HeadstartError("the coin rolled under the table")
    tosses = np.random.default_rng(seed).random((2, 10 if quick else 1000))
    return {"biased": float((tosses[0] < 0.7).mean()), "fair": float((tosses[1] < 0.5).mean())}


def _compare(results, a, b):
    mean, low, high = paired_bootstrap([r[a] for r in results], [r[b] for r in results])
    return {"difference": mean, "low": low, "high": high}


def judge(results):
    biased, fair = _compare(results, "biased", "fair"), _compare(results, "fair", "biased")
    return [
        Verdict(claim="bias", holds=biased["low"] > 0, numbers=biased),
        Verdict(claim="opposite", holds=bool(os.environ.get("FAKE_PAPER_LENIENT")) or fair["low"] > 0, numbers=fair),
    ]


def table(results):
    return [{"coin": coin, "heads": float(np.mean([r[coin] for r in results]))} for coin in ("biased", "fair")]


def draw(results, path: Path):
    with figures.figure(path, title="heads") as axes:
        figures.intervals(axes, {coin: [r[coin] for r in results] for coin in ("biased", "fair")}, 0.5)


PAPER = Paper(
    id="fake-paper",
    title="Coins",
    authors="A. Thrower",
    year=2020,
    arxiv="",
    summary="Throws coins.",
    claims=(
        Claim(name="bias", sentence="The biased coin shows more heads.", test="interval of the difference above 0"),
        Claim(name="opposite", sentence="It shows fewer.", test="interval of the opposite difference above 0"),
    ),
    settings={"tosses": 1000},
    seeds=(0, 1, 2, 3),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    tried=("other coins",),
)
