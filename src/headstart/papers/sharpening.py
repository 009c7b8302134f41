"""Sharpening: a model that answers what it finds likeliest itself, by choosing, or taught to (arXiv 2412.01951).

What choosing costs is one over the probability of the likeliest answer. Taught by imitation of its choices a model pays
that too; taught by regression on its own likelihood it can get further than any answer it was shown. At last a tiny
language model, whose greedy answers are led astray.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binom

from headstart.envs.bit_strings import bit_strings
from headstart.language.bit_policy import fit_bits, likeliest
from headstart.language.sft import SFT
from headstart.language.sharpening import Sharpening
from headstart.papers import figures
from headstart.papers.differences import difference, values
from headstart.papers.garden_paths import FULL, QUICK, led_astray
from headstart.papers.garden_paths import SIZES as CHOSEN_OF
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.tables import fill

PROMPTS, RESPONSES, TRIALS, SIZES = 200, 64, 300, (1, 4, 16, 64, 256)
BITS, BUDGET, BETA, CANDIDATES = (8, 16, 24), 4096, 0.1, (16, 64, 256)
LANGUAGE_SEEDS, ROUNDING = 5, 1e-6
OURS = f"imitation of the best of {CANDIDATES[1]}"


def run(seed: int, quick: bool) -> Result:
    """All parts of one seed, each in a world of its own; the language model for the first seeds."""
    trials, bits = (20, BITS[:1]) if quick else (TRIALS, BITS)
    result: Result = {"law": coverage_law(seed, trials), "bits": {str(size): teach(seed, size) for size in bits}}
    if seed < LANGUAGE_SEEDS:
        result["language"] = led_astray(seed, QUICK if quick else FULL)
    return result


def coverage_law(seed: int, trials: int) -> Result:
    """How often the best of N is the likeliest response, against 1 - (1 - p)^N, over prompts."""
    generator = np.random.default_rng([seed, 51])
    logits = generator.uniform(1, 4, size=(PROMPTS, 1)) * generator.normal(size=(PROMPTS, RESPONSES))
    base = np.exp(logits - logits.max(-1, keepdims=True))
    base /= base.sum(-1, keepdims=True)
    result: Result = {"picked": [], "predicted": [], "inside": [], "agree": []}
    for n in SIZES:
        picked = np.array([pick_rate(line, n, trials, generator) for line in base])
        predicted = 1 - (1 - base.max(-1)) ** n
        low, high = binom.interval(0.95, trials, predicted)
        result["picked"].append(float(picked.mean()))
        result["predicted"].append(float(predicted.mean()))
        result["inside"].append(float(np.mean((low <= picked * trials) & (picked * trials <= high))))
        result["agree"].append(float(np.mean((picked > 0.5) == (n > np.log(2) / base.max(-1)))))
    return result


def pick_rate(base: np.ndarray, n: int, trials: int, generator: np.random.Generator) -> float:
    """Share of trials in which the likeliest of ``n`` responses drawn from ``base`` is the likeliest of all."""
    drawn = np.minimum(np.searchsorted(np.cumsum(base), generator.random((trials, n))), len(base) - 1)
    best = drawn[np.arange(trials), base[drawn].argmax(-1)]
    return float(np.mean(best == base.argmax()))


def teach(seed: int, size: int) -> Result:
    """Probability of the likeliest string after learning from as many queries in each way."""
    world, generator = bit_strings(seed, size), np.random.default_rng([seed, 52, size])
    target = np.ones((1, size), np.int64)

    def reached(log_odds: np.ndarray) -> float:
        return float(np.exp(world.log_probability(target, log_odds)[0]))

    result: Result = {"coverage": world.coverage, "base": reached(world.log_odds), "closed": world.sharpened(BETA)}
    for n in CANDIDATES:
        picks = likeliest(world, world.draw((BUDGET // n, n), generator))
        result[f"imitation of the best of {n}"] = reached(
            fit_bits(SFT(normalization="sum"), world, {"completion": picks})
        )
    chosen, rejected = world.draw((2, BUDGET // 2), generator)
    regressed = fit_bits(Sharpening(beta=BETA), world, {"chosen": chosen, "rejected": rejected})
    result["regression"] = reached(regressed)
    return result


def judge(results: Sequence[Result]) -> list[Verdict]:
    """A verdict on each claim."""
    inside = np.mean([result["law"]["inside"] for result in results], 0)
    agree = np.mean([result["law"]["agree"][1:] for result in results], 0)
    small, *large = results[0]["bits"]
    short = float(np.mean(values(results, "bits", small, OURS)))
    gains = {
        size: difference(values(results, "bits", size, "regression"), values(results, "bits", size, OURS))
        for size in large
    }
    numbers = {f"{name}_{size}": value for size, gain in gains.items() for name, value in gain.items()}
    errors = [abs(r["bits"][size]["regression"] - r["bits"][size]["closed"]) for r in results for size in r["bits"]]
    return [
        Verdict(claim="law", holds=bool(inside.min() >= 0.93), numbers={"least_share_inside": float(inside.min())}),
        Verdict(claim="half", holds=bool(agree.min() >= 0.9), numbers={"least_share_agreeing": float(agree.min())}),
        Verdict(claim="imitation", holds=short >= 0.5, numbers={"probability": short}),
        Verdict(
            claim="regression",
            holds=all(gain["difference"] > 0.3 and gain["low"] > 0 for gain in gains.values()),
            numbers=numbers,
        ),
        Verdict(claim="closed-form", holds=max(errors) < 1e-6, numbers={"greatest_error": max(errors)}),
        *judge_language([result["language"] for result in results if "language" in result]),
    ]


def judge_language(found: Sequence[Result]) -> list[Verdict]:
    """Verdicts on the claims about the language model."""
    chosen = [one["chosen"][CHOSEN_OF.index(10)] for one in found]
    to_greedy, to_sample = (difference(chosen, values(found, name)) for name in ("greedy", "sampled"))
    numbers = {f"{name}, to {whom}": value for whom, gain in (("greedy", to_greedy), ("one sample", to_sample))
               for name, value in gain.items()}  # fmt: skip
    likelihood = np.mean([one["likelihood"] for one in found], 0)
    taught = difference(values(found, "taught"), values(found, "greedy"))
    return [
        Verdict(claim="garden-path", holds=to_greedy["low"] > 0.2 and to_sample["low"] > 0.1, numbers=numbers),
        Verdict(
            claim="likelier",
            holds=bool(np.all(np.diff(likelihood) >= -ROUNDING)),
            numbers={f"best of {n}": float(value) for n, value in zip(CHOSEN_OF, likelihood, strict=True)},
        ),
        Verdict(claim="taught", holds=taught["low"] >= 0.1, numbers=taught),
    ]


def table(results: Sequence[Result]) -> list[Row]:
    """Means over seeds: the law by number of candidates, then what each way of teaching reaches."""
    rows: list[Row] = []
    for index, n in enumerate(SIZES):
        rows.append(
            {
                "what": f"best of {n}",
                "likeliest picked": float(np.mean([result["law"]["picked"][index] for result in results])),
                "predicted": float(np.mean([result["law"]["predicted"][index] for result in results])),
                "prompts inside their band": float(np.mean([r["law"]["inside"][index] for r in results])),
            }
        )
    for size in results[0]["bits"]:
        row: Row = {"what": f"{size} bits", "coverage": float(np.mean(values(results, "bits", size, "coverage")))}
        for name in ("base", *(f"imitation of the best of {n}" for n in CANDIDATES), "regression", "closed"):
            row[name] = float(np.mean(values(results, "bits", size, name)))
        rows.append(row)
    found = [result["language"] for result in results if "language" in result]
    for name, what in (("greedy", "greedy"), ("sampled", "one sample"), ("taught", "one sample, taught its choices")):
        rows.append({"what": f"language model, {what}", "right": float(np.mean(values(found, name)))})
    for index, n in enumerate(CHOSEN_OF):
        rows.append(
            {
                "what": f"language model, best of {n}",
                "right": float(np.mean(values(found, "chosen", index))),
                "log-likelihood": float(np.mean(values(found, "likelihood", index))),
                "right, wordy, by likelihood": float(np.mean(values(found, "wordy", "loglik", index))),
                "right, wordy, by its mean": float(np.mean(values(found, "wordy", "mean_loglik", index))),
            }
        )
    return fill(rows)


def draw(results: Sequence[Result], path: Path) -> None:
    """The law, and what is reached by length."""
    with figures.figure(path, 2, "Teaching a model its own likeliest answer", width=4.8) as (law, reached):
        for index, name in enumerate(("picked", "predicted")):
            curves = np.array([result["law"][name] for result in results])
            figures.curve(law, SIZES, curves, name, index)
        law.set(xscale="log", xlabel="candidates", ylabel="probability of the likeliest", title="Choosing")
        law.legend()
        sizes = list(results[0]["bits"])
        for index, name in enumerate(("regression", OURS, "base")):
            curves = np.array([[result["bits"][size][name] for size in sizes] for result in results])
            figures.curve(reached, [int(size) for size in sizes], curves, name, index)
        reached.set(xlabel="bits", ylabel="probability of the likeliest", title=f"Teaching, {BUDGET} queries")
        reached.legend()


PAPER = Paper(
    id="sharpening",
    title="Self-Improvement in Language Models: The Sharpening Mechanism",
    authors="Huang, Block, Foster, Rohatgi, Zhang, Simchowitz, Ash and Krishnamurthy",
    year=2024,
    arxiv="2412.01951",
    summary=(
        "A model judges its answers better than it gives them: choosing the likeliest of N of its own, or being "
        "trained to, improves it without any label, at a price set by how likely its likeliest answer is."
    ),
    claims=(
        Claim(
            name="law",
            sentence="The best of N by own likelihood is the likeliest response with probability 1 - (1 - p)^N.",
            test=(
                f"{TRIALS} trials for each of {PROMPTS} prompts: share of prompts whose count lies in its 95 % "
                "binomial interval, mean over seeds, at least 0.93 at every N of 1, 4, 16, 64 and 256"
            ),
        ),
        Claim(
            name="half",
            sentence="To be picked more often than not takes about log 2 times the coverage in candidates.",
            test=(
                "share of prompts on which 'picked in more than half of the trials' agrees with N > log 2 / p, mean "
                "over seeds, at least 0.9 at every N of 4, 16, 64 and 256"
            ),
        ),
        Claim(
            name="imitation",
            sentence="Where the likeliest answer is not rare, imitation of own choices sharpens.",
            test="8 bits, 4096 queries, best of 64: mean probability of the likeliest string at least 0.5",
        ),
        Claim(
            name="regression",
            sentence="Where it is rare, imitation fails and regression on own likelihood does not, given structure.",
            test=(
                "16 and 24 bits, 4096 queries each: probability of the likeliest string, regression (beta 0.1) minus "
                "imitation of the best of 64, mean over seeds > 0.3 and lower end of the 95 % paired bootstrap > 0"
            ),
        ),
        Claim(
            name="closed-form",
            sentence="Regression ends at the base model raised to the power 1 + 1 / beta.",
            test="greatest difference of the likeliest string's probability to the product formula: below 1e-6",
        ),
        Claim(
            name="garden-path",
            sentence="The likeliest of ten own answers is right where greedy decoding and single samples are not.",
            test=(
                "tiny language model, 128 questions, 5 seeds, share of right answers, 95 % paired bootstrap over "
                "seeds: best of 10 minus greedy, lower end > 0.2; best of 10 minus one sample, lower end > 0.1"
            ),
        ),
        Claim(
            name="likelier",
            sentence="The more candidates, the likelier the one that is picked.",
            test=(
                "mean log-likelihood of the picks, candidates drawn anew for each N, mean over seeds: non-decreasing "
                f"over N of 1, 2, 5, 10 and 50, but for rounding of {ROUNDING:g}"
            ),
        ),
        Claim(
            name="taught",
            sentence="A model that imitates its own choices is right by one sample more often than it was greedily.",
            test=(
                "300 steps on the best of 16 of each question: share of right answers by one sample minus the base "
                "model's greedy, lower end of the 95 % paired bootstrap over seeds >= 0.1"
            ),
        ),
    ),
    settings={
        "law": f"{PROMPTS} prompts, {RESPONSES} responses, softmax of normal numbers times a factor of 1 to 4",
        "bits": f"strings of {', '.join(map(str, BITS))} independent bits, log-odds 0.15 + half of |normal|",
        "queries": f"{BUDGET} strings drawn for each way: best of N for {BUDGET}/N prompts, or {BUDGET // 2} pairs",
        "policy": "independent bits, fitted by Newton's method; beta 0.1",
        "language model": f"2 layers, width 64, taught {FULL.taught} steps on answers to {FULL.questions} questions: "
        "55 % begin one way, in 8 phrasings, and end in the question's usual answer with 0.6, which is wrong for 60 % "
        "of the questions; 45 % begin the other way, in one phrasing, and are right with 0.97",
        "wordy": "right answers (70 %) in 16 phrasings with eight more words, wrong ones short: reported, not claimed",
        "imitation in words": f"full weights, AdamW 1e-3 falling linearly, batch 32, {FULL.steps} steps",
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "A tiny language model whose greedy decoding is led astray takes the place of pretrained ones on MATH, GSM8k "
        "and ProntoQA; the wing's documentation tells of a pretrained one on sums.",
        "The exploratory form, and the number of candidates that adapts to the prompt, are not run.",
        "A string of bits is one prompt; that many prompts share a policy is not shown.",
    ),
)
