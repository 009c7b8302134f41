"""Pairs that look as if the best policy had written them, by rejection sampling (arXiv 2309.06657).

The sampler's law and its acceptance; whether the source of pairs matters where policies are free tables, computed
exactly; and the same question in the world of key words, where policies generalise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from jaxtyping import Float
from scipy.stats import chisquare

from headstart.data.row_conversion import accept, first_round, rejection_sample, top_k
from headstart.envs.preference_bandits import PreferenceBandit, normalised, tilted
from headstart.envs.text.keywords import ProxyReward, fit_proxy
from headstart.evaluate.statistics import paired_bootstrap
from headstart.language.rso import SigmoidNorm
from headstart.language.table_fitting import fit_table
from headstart.papers import figures
from headstart.papers.key_words import WORLD, Rows, Start, labelled, prompts_of, sides
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.tables import fill

BETAS = (0.2, 0.5, 2.0)
KEPT = 8
TABLE_ARMS = {
    "direct": "people's pairs, old policy",
    "sft": "first 8 samples",
    "2": "rejection, beta 2",
    "0.5": "rejection, beta 0.5",
    "0.1": "rejection, beta 0.1",
    "top": "best 8 of 64",
}
HACKED_ARMS = ("sft", "5", "0.5", "top")
TEXT_ARMS = {"direct": "people's pairs, old policy", "sft": "first 8 samples"} | {
    "4": "rejection, beta 4",
    "0.5": "rejection, beta 0.5",
    "top": "best 8 of 64",
}


@dataclass(frozen=True)
class Size:
    """How large the experiment is.

    Attributes:
        sets: of candidates for the sampler's law, at each temperature.
        candidates: of each of these sets.
        prompts: of the tables.
        steps: of Adam for each table.
        text_seeds: seeds that go through key words.
        text_prompts: there.
        text_pairs: labelled by people there.
        text_steps: of each arm there.
        held_out: prompts of an evaluation.
    """

    sets: int = 700
    candidates: int = 200
    prompts: int = 40
    steps: int = 400
    text_seeds: int = 5
    text_prompts: int = 300
    text_pairs: int = 1200
    text_steps: int = 250
    held_out: int = 512


FULL = Size()
QUICK = Size(sets=60, prompts=6, steps=30, text_seeds=1, text_prompts=12, text_pairs=60, text_steps=3, held_out=32)


def types() -> tuple[Float[np.ndarray, " type"], Float[np.ndarray, " type"]]:
    """Ten kinds of response, the same in every seed: log-probabilities under the start, and rewards."""
    generator = np.random.default_rng(9)
    return normalised(generator.normal(size=(1, 10)))[0], generator.normal(size=10)


def law(size: Size, generator: np.random.Generator) -> dict[str, Any]:
    """How often each kind is accepted first, the expected share accepted, and what is left of the law when equal
    responses are one candidate."""
    reference, rewards = types()
    found: dict[str, Any] = {"counts": {}, "acceptance": {}, "collapsed": {}}
    for beta in BETAS:
        counts, collapsed, shares = np.zeros(10, int), np.zeros(10, int), []
        for _ in range(size.sets):
            drawn = generator.choice(10, size.candidates, p=np.exp(reference))
            (first,) = accept(rewards[drawn], 1, beta, generator)
            counts[drawn[first]] += 1
            different = np.array(list(dict.fromkeys(drawn.tolist())))
            collapsed[different[accept(rewards[different], KEPT, beta, generator)]] += 1
            shares.append(np.exp((rewards[drawn] - rewards[drawn].max()) / beta).mean())
        found["counts"][str(beta)] = counts.tolist()
        found["collapsed"][str(beta)] = collapsed.tolist()
        found["acceptance"][str(beta)] = float(np.mean(shares))
    return found


def chosen_groups(groups: Dataset, arm: str, seed: int) -> Dataset:
    """The completions that an arm keeps of each group."""
    if arm == "top":
        return top_k(groups, KEPT)
    return rejection_sample(groups, KEPT, 1e9 if arm == "sft" else float(arm), seed)


def tables(size: Size, seed: int, hackable: float = 0.0) -> dict[str, dict[str, float]]:
    """What tables fitted to pairs of different sources get, by the true reward and exactly.

    A share ``hackable`` of the responses is bad, and the learned reward likes it.
    """
    generator = np.random.default_rng([seed, 51])
    shape = (size.prompts, 512)
    reference, rewards = normalised(generator.normal(size=shape)), generator.normal(size=shape)
    hacked = generator.random(shape) < hackable
    proxy = np.where(hacked, rewards + 4, rewards + 0.5 * generator.normal(size=shape))
    rewards = np.where(hacked, -2.0, rewards)
    world = PreferenceBandit(reference, rewards, np.ones(shape, bool))
    drawn = [generator.choice(512, 64, p=np.exp(line)) for line in reference]
    groups = Dataset.from_list(
        [
            {"prompt": str(i), "completions": [str(y) for y in ys], "rewards": proxy[i, ys].tolist()}
            for i, ys in enumerate(drawn)
        ]
    )
    prompts = np.repeat(np.arange(size.prompts), KEPT // 2)
    first, second = generator.integers(512, size=(2, len(prompts)))
    people = world.prefer(prompts, first, second, generator)
    found = {}
    for arm in HACKED_ARMS if hackable else TABLE_ARMS:
        if arm == "direct":
            pairs = list(zip(*(part.tolist() for part in people), strict=True))
        else:
            rows: Rows = list(map(dict, first_round(chosen_groups(groups, arm, seed), seed=seed)))
            pairs = [(int(row["prompt"]), int(row["chosen"]), int(row["rejected"])) for row in rows]
        policy = fit_table(SigmoidNorm(gamma=0.5), reference, pairs, size.steps)
        found[arm] = {"reward": float(world.expected_reward(policy)), "kl": float(world.kl(policy))}
    return found


def text(seed: int, size: Size) -> dict[str, dict[str, float]]:
    """True reward and KL of policies of key words trained on pairs of different sources, and what was accepted."""
    start, generator = Start.of(seed), np.random.default_rng([seed, 52])
    held_out = prompts_of(WORLD.sample_problems(size.held_out, generator))
    old = start.respond(WORLD.sample_problems(size.text_pairs, generator), 2, seed, temperature=1.5)
    people, preferred = labelled(old, generator)
    reward: ProxyReward = fit_proxy(WORLD, *sides(old), preferred)
    candidates = start.respond(WORLD.sample_problems(size.text_prompts, generator), 64, seed + 1)
    groups = Dataset.from_list([row | {"rewards": scores(reward, row)} for row in candidates])
    found: dict[str, dict[str, float]] = {}
    for arm in TEXT_ARMS:
        told: dict[str, float] = {}
        rows: Rows = people
        if arm != "direct":
            kept = chosen_groups(groups, arm, seed)
            rows = list(map(dict, first_round(kept, seed=seed, ties=True)))  # as its record was made
            if arm not in ("sft", "top"):
                told = {"acceptance": float(np.mean(kept["acceptance"]))}
        trained = start.train(SigmoidNorm(gamma=0.1), start.recorded(rows, size.text_steps), held_out=held_out)
        found.setdefault("before", {name: trained.curve(name)[0] for name in ("reward", "kl")})
        found[arm] = {name: trained.curve(name)[-1] for name in ("reward", "kl")} | told
    return found


def scores(reward: ProxyReward, row: Mapping[str, Any]) -> list[float]:
    """The learned reward of a row's completions."""
    return reward.score([row["prompt"]] * len(row["completions"]), row["completions"])


def run(seed: int, quick: bool) -> Result:
    """The sampler, tables, and in the first seeds key words."""
    size = QUICK if quick else FULL
    result: Result = {"law": law(size, np.random.default_rng([seed, 50]))}
    result |= {"tables": tables(size, seed), "hacked": tables(size, seed, 0.03)}
    if seed < size.text_seeds:
        result["text"] = text(seed, size)
    return result


def accepted(results: Sequence[Result], beta: float, name: str = "counts") -> Float[np.ndarray, " type"]:
    """How often each kind was accepted, over all seeds."""
    return np.sum([result["law"][name][str(beta)] for result in results], axis=0)


def target(beta: float) -> Float[np.ndarray, " type"]:
    """Probability of each kind under the policy that is sought."""
    reference, rewards = types()
    return np.exp(tilted(reference[None], rewards[None], beta)[0])


def theorem(beta: float) -> float:
    """The share that Theorem 1 says is accepted."""
    reference, rewards = types()
    return float((np.exp(reference) * np.exp((rewards - rewards.max()) / beta)).sum())


def fit(counts: Float[np.ndarray, " type"], wanted: Float[np.ndarray, " type"]) -> float:
    """p of a chi-square test, kinds of which fewer than five are expected taken together."""
    expected = wanted * counts.sum()
    rare = expected < 5
    seen, due = (np.append(part[~rare], part[rare].sum()) if rare.any() else part for part in (counts, expected))
    return float(chisquare(seen, due).pvalue)


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Goodness of fit, nearness to the theorem, and paired bootstraps over seeds."""
    fits, shares = {}, {}
    for beta in BETAS:
        counts = accepted(results, beta)
        fits[f"p, beta {beta}"] = fit(counts, target(beta))
        mean = float(np.mean([result["law"]["acceptance"][str(beta)] for result in results]))
        shares[f"relative error, beta {beta}"] = mean / theorem(beta) - 1
    verdicts = [
        Verdict(claim="law", holds=min(fits.values()) > 0.01, numbers=fits),
        Verdict(claim="acceptance", holds=max(map(abs, shares.values())) < 0.02, numbers=shares),
    ]
    for claim, part, ours, theirs, least in (
        ("rejection-helps", "tables", "0.5", "sft", 0.2),
        ("own-samples-help", "tables", "sft", "direct", 0.0),
        ("own-samples-help-text", "text", "sft", "direct", 0.0),
    ):
        found = [result[part] for result in results if part in result]
        first, second = ([one[arm]["reward"] for one in found] for arm in (ours, theirs))
        difference, low, high = paired_bootstrap(first, second)
        numbers = {"difference": difference, "low": low, "high": high}
        verdicts.append(Verdict(claim=claim, holds=low > least, numbers=numbers))
    return verdicts


def table(results: Sequence[Result]) -> list[Row]:
    """The sampler at each temperature; then rewards by source of the pairs."""
    rows: list[Row] = []
    for beta in BETAS:
        row: Row = {"part": "sampler", "arm": f"beta {beta}", "theorem's acceptance": theorem(beta)}
        row["acceptance"] = float(np.mean([result["law"]["acceptance"][str(beta)] for result in results]))
        for name, title in {"counts": "distance to the law", "collapsed": "distance, 8 of different ones"}.items():
            counts = accepted(results, beta, name)
            row[title] = float(0.5 * np.abs(counts / counts.sum() - target(beta)).sum())
        rows.append(row)
    for part, label in {"tables": "tables", "hacked": "tables, hackable reward", "text": "key words"}.items():
        found = [result[part] for result in results if part in result]
        for arm in found[0]:
            title = TEXT_ARMS.get(arm) or TABLE_ARMS.get(arm) or (arm if arm == "before" else f"rejection, beta {arm}")
            rows.append({"part": label, "arm": title} | means([one[arm] for one in found]))
    return fill(rows)


def means(found: Sequence[Mapping[str, float]]) -> Row:
    """Means over seeds under the table's names."""
    titles = {"reward": "true reward", "kl": "KL, nats", "acceptance": "acceptance"}
    return {titles[name]: float(np.mean([one[name] for one in found])) for name in found[0]}


def draw(results: Sequence[Result], path: Path) -> None:
    """The sampler's law, and rewards by source."""
    with figures.figure(path, 3, "Pairs as if the best policy had written them") as (sampler, free, words):
        for index, beta in enumerate(BETAS):
            counts = accepted(results, beta)
            color, marker = figures.COLORS[index], figures.MARKERS[index]
            sampler.plot(target(beta), counts / counts.sum(), marker, color=color, label=f"beta {beta}")
        sampler.axline((0, 0), slope=1, color="#888888", linewidth=1, linestyle=":")
        sampler.set(xlabel="probability sought", ylabel="share accepted", title="The sampler's law")
        sampler.legend()
        for axes, part, labels in ((free, "tables", TABLE_ARMS), (words, "text", TEXT_ARMS)):
            found = [result[part] for result in results if part in result]
            figures.intervals(axes, {label: [one[arm]["reward"] for one in found] for arm, label in labels.items()})
            axes.set(xlabel="true reward")
        free.set(title="Tables")
        words.set(title="Key words")


PAPER = Paper(
    id="rso",
    title="Statistical Rejection Sampling Improves Preference Optimization",
    authors="Liu et al.",
    year=2023,
    arxiv="2309.06657",
    summary=(
        "Of 64 responses of the start, 8 are accepted so that they look as if drawn from the policy that is best for a "
        "learned reward with a KL penalty; pairs of them, labelled by that reward, are learned from."
    ),
    claims=(
        Claim(
            name="law",
            sentence="Accepted responses follow the policy that is sought.",
            test=(
                "chi-square test of the kinds accepted first, 4200 sets of 200 different candidates of ten kinds over "
                "all seeds, kinds of which fewer than five are expected taken together: p > 0.01 at each of the "
                "temperatures 0.2, 0.5 and 2"
            ),
        ),
        Claim(
            name="acceptance",
            sentence="As many are accepted as Theorem 1 says.",
            test=(
                "mean over sets of the share expected to be accepted in a first pass: within 2 % of the theorem at "
                "each of the three temperatures"
            ),
        ),
        Claim(
            name="rejection-helps",
            sentence="Where the policy is a table, pairs of accepted responses are better than pairs of any samples.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact true reward, rejection sampling at beta 0.5 "
                "minus the first 8 samples: lower end > 0.2"
            ),
        ),
        Claim(
            name="own-samples-help",
            sentence="There, pairs of the start's own samples are better than people's pairs of an old policy.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact true reward, first 8 samples minus direct: "
                "lower end > 0"
            ),
        ),
        Claim(
            name="own-samples-help-text",
            sentence="The same holds in key words, where the policy is a language model.",
            test=(
                f"paired bootstrap over {FULL.text_seeds} seeds, 95 % interval of the true reward, first 8 samples "
                "minus direct: lower end > 0"
            ),
        ),
    ),
    settings={
        "sampler": f"ten kinds of response, log-probabilities and rewards from N(0, 1); {FULL.sets} sets of "
        f"{FULL.candidates} candidates in each seed and at each temperature",
        "tables": f"{FULL.prompts} prompts, 512 responses, log-probabilities and rewards from N(0, 1), learned reward: "
        "true + 0.5 N(0, 1); 64 candidates, 8 kept, 4 pairs a prompt",
        "tables' method": f"sigmoid-norm, gamma 0.5, {FULL.steps} Adam steps at 0.05 on free logits",
        "direct": "tables: 4 pairs a prompt, uniform responses, labelled by the true reward's Bradley–Terry model; key "
        f"words: {FULL.text_pairs} pairs at temperature 1.5, labelled by the world's annotator",
        "hackable reward": "3 % of the responses are worth -2 and the learned reward has them 4 above their own",
        "key words": f"{FULL.text_prompts} prompts, Bradley–Terry reward on seven features from the direct pairs; "
        f"sigmoid-norm, gamma 0.1, {FULL.text_steps} steps, AdamW 1e-3, batch 32; {FULL.text_seeds} seeds",
    },
    seeds=tuple(range(6)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "Tables and a world of nine words take the place of summaries and dialogue; the ranker of pairs is a reward.",
        "Responses are sampled at temperature 1 without truncation, as Theorem 1 wants it, in place of 0.7 and top-40.",
        "gamma is 0.5 and 0.1 in place of 0.05: policies here are small, and take hundreds of steps.",
        "In key words rejection sampling against plain samples is reported without a claim: the reward's deviation "
        "there is near 2, so that beta 0.5 keeps responses that hardly differ.",
        "The hinge losses and the tournament of pairs are not compared.",
    ),
)
