"""Learning from logged text with rewards: keep what beats the reference, and weigh it by how much (arXiv 2305.14718).

A third of the log is by a careful writer and the rest by a careless one; the policy that all methods begin as was
taught by all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.encoding import Encoder
from headstart.envs.text.keywords import Problems, Writer
from headstart.evaluate.statistics import paired_bootstrap
from headstart.language.alol import RGOLD, ALoL
from headstart.language.logged_rewards import reference_rewards, with_advantages
from headstart.language.method import LanguageMethod
from headstart.language.sampler import Sampling
from headstart.language.sft import SFT, WeightedBC
from headstart.papers import figures
from headstart.papers.key_words import LONGEST, WORLD, Rows, Start, prompts_of
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

CAREFUL, CARELESS = Writer(0.85, 1), Writer(0.3, 4)
VARIANTS = {"A-LoL": "A-LoL", "seq": "A-LoL seq", "ref-free": "A-LoL ref-free", "KL": "A-LoL KL"}
ARMS = {"NLL": "NLL", "wBC": "weighted BC", "R-GOLD": "R-GOLD"} | VARIANTS
FILTERS = {"kept": "A > 0 only, no priority", "everything": "all rows, no priority"}
KL_COEF = 0.05
MARGIN = 0.01
CUT = Sampling(max_tokens=LONGEST)


class Squashed:
    """The world's reward in (0, 1)."""

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Any = None) -> list[float]:
        """The logistic of the true reward less 1."""
        return (1 / (1 + np.exp(1 - np.array(WORLD.score(prompts, completions))))).tolist()


REWARD = Squashed()


@dataclass(frozen=True)
class Size:
    """How long the experiment is.

    Attributes:
        careful: rows of the log by the careful writer.
        careless: rows by the careless one.
        taught: steps on all of the log that make the reference.
        steps: of each method.
        validation: prompts from which the reference's expected reward is estimated.
        held_out: prompts of an evaluation.
        noise: further numbers of careless rows to as many careful ones, for likelihood and A-LoL seq alone.
    """

    careful: int = 1500
    careless: int = 3000
    taught: int = 120
    steps: int = 250
    validation: int = 500
    held_out: int = 512
    noise: tuple[int, ...] = (0,)


FULL = Size()
QUICK = Size(careful=100, careless=200, taught=2, steps=3, validation=50, held_out=32)


def logged(careful: int, careless: int, generator: np.random.Generator) -> Rows:
    """Responses of both writers with their rewards."""
    rows: Rows = []
    for writer, count in ((CAREFUL, careful), (CARELESS, careless)):
        problems = WORLD.sample_problems(count, generator)
        texts = [WORLD.text(response) for response in WORLD.write(problems, generator, writer)]
        prompts = [row["prompt"] for row in prompts_of(problems)]
        rewards = REWARD.score(prompts, texts)
        rows += [
            {"prompt": prompt, "completion": text, "reward": reward, "truncated": len(text.split()) == LONGEST}
            for prompt, text, reward in zip(prompts, texts, rewards, strict=True)
        ]
    return rows


def methods(log: Rows, value: float) -> dict[str, tuple[LanguageMethod, Rows]]:
    """Each method with the rows that it learns from."""
    by_reward = [row | {"priority": row["reward"], "weight": row["reward"]} for row in log]
    by_advantage = with_advantages(log, value)
    ref_free = ALoL(variant="ref_free")
    return {
        "NLL": (SFT(normalization="sum"), log),
        "wBC": (WeightedBC(), by_reward),
        "R-GOLD": (RGOLD(), by_reward),
        "A-LoL": (ALoL(), by_advantage),
        "seq": (ALoL(variant="seq"), by_advantage),
        "ref-free": (ref_free, by_advantage),
        "KL": (ALoL(variant="kl", kl_coef=KL_COEF), by_advantage),
        "kept": (ref_free, with_advantages(log, value, priority=False)),
        "everything": (ref_free, with_advantages(log, value, keep="all", priority=False)),
    }


def taught(seed: int, log: Rows, size: Size) -> Start:
    """The reference: a policy that knows the words, taught by the whole log."""
    start = Start.of(seed)
    trained = start.train(SFT(), start.recorded(log, size.taught), held_out=log[:1], batch_size=128)
    return replace(start, model=trained.model)


def arms(seed: int, careless: int, names: Sequence[str], problems: Problems, size: Size) -> dict[str, Any]:
    """The reference and some methods on a log with so many careless rows."""
    generator = np.random.default_rng([seed, 6, careless])
    log = logged(size.careful, careless, generator)
    reference = taught(seed, log, size)
    validation = prompts_of(WORLD.sample_problems(size.validation, generator))
    value = float(
        np.mean(reference_rewards(reference.model, Encoder(reference.tokenizer), validation, REWARD, CUT, seed))
    )
    known = methods(log, value)
    found: dict[str, Any] = {"value": value, "kept share": len(known["kept"][1]) / len(log)}
    for name in names:
        method, rows = known[name]
        source = reference.recorded(rows, size.steps)
        held_out = prompts_of(problems)
        trained = reference.train(method, source, held_out=held_out, judge=REWARD, learning_rate=5e-4)
        found.setdefault("reference", outcome(trained.evaluations[0], reference, problems, reference.model))
        found[name] = outcome(trained.evaluations[-1], reference, problems, trained.model)
    return found


def outcome(numbers: Mapping[str, float], start: Start, problems: Problems, model: Any) -> dict[str, float]:
    """Reward and KL of an evaluation, and the share of different texts among one response to each problem."""
    texts = [row["completions"][0] for row in start.respond(problems, 1, start.seed + 1, model)]
    return {"reward": numbers["reward"], "kl": numbers["kl"], "distinct": len(set(texts)) / len(texts)}


def run(seed: int, quick: bool) -> Result:
    """All methods on the mixed log, and two of them on logs with other shares of careless rows."""
    size = QUICK if quick else FULL
    problems = WORLD.sample_problems(size.held_out, np.random.default_rng([seed, 7]))
    result: Result = {"mixed": arms(seed, size.careless, [*ARMS, *FILTERS], problems, size)}
    result["noise"] = {
        f"{careless / (careless + size.careful):.2f}": arms(seed, careless, ["NLL", "seq"], problems, size)
        for careless in size.noise
    }
    return result


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Paired bootstraps over seeds."""

    def gap(ours: str, theirs: str, name: str = "reward") -> tuple[float, float, float]:
        first, second = ([result["mixed"][arm][name] for result in results] for arm in (ours, theirs))
        return paired_bootstrap(first, second)

    better, wider = {}, {}
    for arm, label in VARIANTS.items():
        difference, low, _ = gap(arm, "wBC")
        better |= {f"{label} - weighted BC": difference, f"{label} - weighted BC, low": low}
        difference, low, _ = gap(arm, "R-GOLD", "distinct")
        wider |= {f"{label} - R-GOLD": difference, f"{label} - R-GOLD, low": low}
    difference, low, high = gap("seq", "R-GOLD")
    gold = {"difference": difference, "low": low, "high": high}
    difference, low, high = gap("kept", "everything")
    filtered = {"difference": difference, "low": low, "high": high}

    def lows(numbers: Mapping[str, float]) -> list[float]:
        return [value for name, value in numbers.items() if name.endswith("low")]

    return [
        Verdict(claim="beats-weighted-bc", holds=min(lows(better)) > 0, numbers=better),
        Verdict(claim="seq-beats-gold", holds=gold["low"] > 0, numbers=gold),
        Verdict(claim="diversity", holds=min(lows(wider)) > -MARGIN, numbers=wider),
        Verdict(claim="leftover-lunch", holds=filtered["low"] > -MARGIN, numbers=filtered),
    ]


def table(results: Sequence[Result]) -> list[Row]:
    """Means over seeds: all arms on the mixed log, then two of them on the others."""

    def line(label: str, share: str, found: Sequence[Mapping[str, float]]) -> Row:
        numbers = {name: float(np.mean([one[name] for one in found])) for name in ("reward", "kl", "distinct")}
        return {"method": label, "careless share": share, **numbers}

    mixed = f"{FULL.careless / (FULL.careless + FULL.careful):.2f}"
    labels = {"reference": "reference"} | ARMS | FILTERS
    rows = [line(label, mixed, [result["mixed"][arm] for result in results]) for arm, label in labels.items()]
    for share in results[0]["noise"]:
        for arm in ("reference", "NLL", "seq"):
            rows.append(line(labels[arm], share, [result["noise"][share][arm] for result in results]))
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Rewards, and rewards against diversity."""
    labels = {"reference": "reference"} | ARMS
    with figures.figure(path, 2, "Learning from what beats the reference") as (rewards, diversity):
        figures.intervals(
            rewards, {label: [result["mixed"][arm]["reward"] for result in results] for arm, label in labels.items()}
        )
        rewards.set(xlabel="reward of a response, in (0, 1)", title="Two thirds of the log are careless")
        for index, (arm, label) in enumerate(ARMS.items()):
            found = [result["mixed"][arm] for result in results]
            x, y = ([one[name] for one in found] for name in ("distinct", "reward"))
            diversity.plot(x, y, figures.MARKERS[index], color=figures.COLORS[index], label=label)
        diversity.set(xlabel="share of different responses", ylabel="reward", title="Each seed")
        diversity.legend(fontsize=8)


PAPER = Paper(
    id="alol",
    title="Leftover-Lunch: Advantage-based Offline Reinforcement Learning for Language Models",
    authors="Baheti et al.",
    year=2023,
    arxiv="2305.14718",
    summary=(
        "A completion is one action. Rows of logged text that are no better than what the reference would get on their "
        "prompt are dropped; the others are drawn and weighted by their advantage, times a capped importance ratio."
    ),
    claims=(
        Claim(
            name="beats-weighted-bc",
            sentence="On a mixed log, every variant of A-LoL reaches a higher reward than cloning weighted by reward.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the reward, each of the four variants minus weighted "
                "behavioural cloning: all four lower ends > 0"
            ),
        ),
        Claim(
            name="seq-beats-gold",
            sentence="The variant with a ratio for each token reaches a higher reward than Reward-GOLD.",
            test="paired bootstrap over seeds, 95 % interval of the reward, A-LoL seq minus R-GOLD: lower end > 0",
        ),
        Claim(
            name="diversity",
            sentence="No variant's responses are less diverse than those of Reward-GOLD.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the share of different responses, each of the four "
                f"variants minus R-GOLD: all four lower ends > -{MARGIN}"
            ),
        ),
        Claim(
            name="leftover-lunch",
            sentence="Rows without positive advantage can be dropped: in as many steps nothing is lost.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the reward, reference-free A-LoL on the rows of "
                "positive advantage minus the same on all rows with the same weights, both without priorities: lower "
                f"end > -{MARGIN}"
            ),
        ),
    ),
    settings={
        "world": "key words: 8 words, prompts of three, responses of up to seven",
        "reward": "logistic of the true reward less 1",
        "log": f"{FULL.careful} rows by a careful writer (keeps a word 85 %, 1 filler), {FULL.careless} by a careless "
        "one (30 %, up to 4)",
        "reference": f"a Llama-architecture model of 2 layers and width 64 that knows the world's words, then "
        f"{FULL.taught} steps of batch 128 on the log",
        "value": f"mean reward of the reference's responses to {FULL.validation} prompts",
        "methods": f"{FULL.steps} steps, AdamW 5e-4 constant, batch 32; ratio clip 0.9, KL coefficient {KL_COEF}, "
        "floor of R-GOLD 0.1; rows drawn by advantage (A-LoL) or reward (R-GOLD, weighted BC)",
        "evaluation": f"one response at temperature 1 to each of {FULL.held_out} prompts drawn anew",
    },
    seeds=tuple(range(5)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "A world of nine words whose reward is known takes the place of dialogue, and its writers that of people.",
        "The expected reward is one number for all prompts, which in this world are alike; theirs is regressed on the "
        "prompt.",
        "Only 336 different prompts exist, so those of the evaluation have mostly been seen.",
        "PPO, PRO and DPO are not among the arms (figures 2 and 3).",
    ),
    tried=(
        "Diversity of A-LoL seq: with 350 steps in place of 250, one seed, it was above that of R-GOLD (0.81, 0.72). "
        "The best response to a prompt is a single text here, so that the policy of the highest reward repeats most.",
    ),
)
