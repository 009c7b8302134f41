"""Starting responses from prefixes of recorded ones, so that the reward comes into reach (arXiv 2404.08495).

In a chain of words in which all must be right, a policy next to never sees the reward; from the middle of a good
response it often does. Then the same in the world of key words, as a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.envs.text.keywords import Writer
from headstart.envs.token_chain import TokenChain
from headstart.evaluate.statistics import paired_bootstrap
from headstart.language.chain_policy import ChainLearner
from headstart.language.online import Online
from headstart.language.policy_gradient import PPO
from headstart.papers import figures
from headstart.papers.key_words import WORLD, Start, prompts_of
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.tables import fill

CHAIN, POOR = TokenChain(), TokenChain(complete=0.0)
CHAIN_ARMS: dict[str, tuple[str, TokenChain, ChainLearner]] = {
    "0": ("no resets (PPO)", CHAIN, ChainLearner(reset_fraction=0.0)),
    "0.25": ("a quarter reset", CHAIN, ChainLearner(reset_fraction=0.25)),
    "0.5": ("half reset", CHAIN, ChainLearner(reset_fraction=0.5)),
    "1": ("all reset", CHAIN, ChainLearner(reset_fraction=1.0)),
    "first": ("all reset, one word at least", CHAIN, ChainLearner(reset_fraction=1.0, min_prefix=1)),
    "poor": ("half reset, all references broken", POOR, ChainLearner(reset_fraction=0.5)),
}
TEXT_ARMS = {"0": 0.0, "0.5": 0.5, "1": 1.0}
HALF, EARLY = 0.5, 50
CAREFUL, CARELESS = Writer(0.9, 1), Writer(0.35, 3)


class Conditions:
    """A sparse reward of key words: 1 if all three are there, 1 more if they come in the prompt's order."""

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Any = None) -> list[float]:
        """0, 1 or 2."""
        features = WORLD.features(WORLD.read_prompts(prompts), WORLD.read(completions))
        everything = features[:, :3].all(1)
        return list(map(float, np.where(everything, 1.0 + features[:, 5:].all(1), 0.0)))


@dataclass(frozen=True)
class Size:
    """How long the experiment is.

    Attributes:
        iterations: in the chain.
        text_seeds: seeds that go through key words too.
        text_iterations: there.
        prompts: of each of these.
        held_out: prompts of an evaluation.
        taught: steps on the careless writer's demonstrations that make the start there.
    """

    iterations: int = 150
    text_seeds: int = 3
    text_iterations: int = 30
    prompts: int = 64
    held_out: int = 512
    taught: int = 150


FULL, QUICK = Size(), Size(30, 1, 1, 16, 32, 5)


def run(seed: int, quick: bool) -> Result:
    """The chain; and for the first seeds key words."""
    size = QUICK if quick else FULL
    result: Result = {"chain": {}}
    for arm, (_, world, learner) in CHAIN_ARMS.items():
        policies = learner.learn(world, size.iterations, seed)
        result["chain"][arm] = [round(world.success(policy), 6) for policy in policies]
    if seed < size.text_seeds:
        result["text"] = text(seed, size)
    return result


def text(seed: int, size: Size) -> dict[str, dict[str, float]]:
    """PPO in key words, with and without resets: sparse reward, true reward, KL and share of the words given."""
    start, generator, judge = Start.of(seed, CARELESS, size.taught), np.random.default_rng([seed, 8]), Conditions()
    problems = WORLD.sample_problems(size.text_iterations * size.prompts, generator)
    references = WORLD.write(problems, generator, CAREFUL)
    prompts = [
        row | {"chosen": WORLD.text(reference)} for row, reference in zip(prompts_of(problems), references, strict=True)
    ]
    held = WORLD.sample_problems(size.held_out, generator)
    found = {"before": outcome(start, held, judge, None)}
    for arm, fraction in TEXT_ARMS.items():
        plan = Online(
            iterations=size.text_iterations,
            prompts_per_iteration=size.prompts,
            completions=4,
            pairing="each",
            steps_per_iteration=size.prompts * 4 // 32,
            history="current",
            reward_kl=0.05,
            reset_fraction=fraction,
        )
        source = start.collected(prompts, judge, plan)
        trained = start.train(PPO(), source, held_out=prompts_of(held[:64]), learning_rate=5e-4)
        found[arm] = outcome(start, held, judge, trained.model) | {"kl": trained.curve("kl")[-1]}
    return found


def outcome(start: Start, problems: np.ndarray, judge: Conditions, model: Any) -> dict[str, float]:
    """Sparse and true reward of one response to each problem."""
    rows = start.respond(problems, 1, start.seed + 1, model)
    prompts, texts = [row["prompt"] for row in rows], [row["completions"][0] for row in rows]
    return {
        "sparse": float(np.mean(judge.score(prompts, texts))),
        "reward": float(np.mean(WORLD.score(prompts, texts))),
    }


def halfway(curve: Sequence[float]) -> int:
    """Iterations after which half of the responses are right; one more than there were if that never was."""
    reached = np.asarray(curve) >= HALF
    return int(reached.argmax()) if reached.any() else len(curve)


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Medians and paired bootstraps over seeds."""
    taken = {arm: np.array([halfway(result["chain"][arm]) for result in results], float) for arm in CHAIN_ARMS}
    verdicts = []
    ratio = float(np.median(taken["0.5"]) / np.median(taken["0"]))
    estimate, low, high = paired_bootstrap(np.log(taken["0.5"]), np.log(taken["0"]))
    numbers = {"ratio of medians": ratio, "log-ratio": estimate, "low": low, "high": high}
    verdicts.append(Verdict(claim="fewer-iterations", holds=ratio < 0.6 and high < 0, numbers=numbers))
    early = {
        arm: [result["chain"][arm][min(EARLY, len(result["chain"][arm]) - 1)] for result in results] for arm in taken
    }
    estimate, low, high = paired_bootstrap(early["0.5"], early["0"])
    numbers = {"difference": estimate, "low": low, "high": high}
    verdicts.append(Verdict(claim="early-success", holds=low > 0, numbers=numbers))
    numbers, highs = {}, []
    for arm in ("0.25", "0.5", "1"):
        estimate, _, high = paired_bootstrap(np.log(taken[arm]), np.log(taken["0"]))
        numbers |= {f"log-ratio, {arm}": estimate, f"{arm}, high": high}
        highs.append(high)
    verdicts.append(Verdict(claim="any-amount", holds=max(highs) < 0, numbers=numbers))
    stalled = [max(result["chain"]["first"]) for result in results]
    numbers = {"greatest success ever": float(max(stalled))}
    verdicts.append(Verdict(claim="first-word", holds=max(stalled) <= CHAIN.known + 1e-6, numbers=numbers))
    return verdicts


def table(results: Sequence[Result]) -> list[Row]:
    """The chain, then key words."""
    rows: list[Row] = []
    for arm, (label, _, _) in CHAIN_ARMS.items():
        curves = np.array([result["chain"][arm] for result in results])
        taken = [halfway(curve) for curve in curves]
        rows.append(
            {
                "world": "chain",
                "arm": label,
                "iterations to half, median": float(np.median(taken)),
                "least": float(min(taken)),
                "greatest": float(max(taken)),
                "success after 50": float(curves[:, min(EARLY, curves.shape[1] - 1)].mean()),
                "success at the end": float(curves[:, -1].mean()),
            }
        )
    texts = [result["text"] for result in results if "text" in result]
    for arm in ("before", *TEXT_ARMS):
        label = "before" if arm == "before" else CHAIN_ARMS[arm][0]
        row: Row = {"world": "key words", "arm": label}
        for name, title in {"sparse": "sparse reward", "reward": "true reward", "kl": "KL, nats"}.items():
            if all(name in found[arm] for found in texts):
                row[title] = float(np.mean([found[arm][name] for found in texts]))
        rows.append(row)
    return fill(rows)


def draw(results: Sequence[Result], path: Path) -> None:
    """Success while learning, and iterations to half."""
    with figures.figure(path, 2, "Starting from prefixes of recorded responses", width=4.6) as (curves, taken):
        for index, (arm, (label, _, _)) in enumerate(CHAIN_ARMS.items()):
            values = np.array([result["chain"][arm] for result in results])
            figures.curve(curves, range(values.shape[1]), values, label, index)
        curves.set(xlabel="iterations", ylabel="probability that all is right", title="Chain of ten words")
        curves.legend(fontsize=7)
        groups: dict[str, Sequence[float]] = {
            label: [halfway(result["chain"][arm]) for result in results] for arm, (label, _, _) in CHAIN_ARMS.items()
        }
        figures.intervals(taken, groups)
        taken.set(xlabel="iterations to half", title="Each seed (the right end: never)")


PAPER = Paper(
    id="drpo",
    title="Dataset Reset Policy Optimization for RLHF",
    authors="Chang et al.",
    year=2024,
    arxiv="2404.08495",
    summary=(
        "PPO, but with some probability a response begins with a random prefix of a recorded good one and the policy "
        "writes the rest. Only words that it drew itself get a gradient."
    ),
    claims=(
        Claim(
            name="fewer-iterations",
            sentence="With half of the responses reset, success comes after less than 0.6 times the iterations.",
            test=(
                "iterations until the exact success probability is one half, 151 if never: ratio of medians over "
                "seeds, half reset to none, < 0.6, and paired bootstrap over seeds, 95 % interval of the log-ratio: "
                "upper end < 0"
            ),
        ),
        Claim(
            name="early-success",
            sentence="After 50 iterations the policy with resets is right more often.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact success probability after 50 iterations, half "
                "reset minus none: lower end > 0"
            ),
        ),
        Claim(
            name="any-amount",
            sentence="Any amount of resets helps.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the log-ratio of iterations to one half, a quarter, "
                "half and all reset to none: all three upper ends < 0"
            ),
        ),
        Claim(
            name="first-word",
            sentence="If every response is given its first word, a table never learns that word.",
            test=(
                "with all responses reset and prefixes of one word at least, the success probability never exceeds the "
                "start's probability of the first right word, in any seed"
            ),
        ),
    ),
    settings={
        "chain": f"{CHAIN.steps} steps, {CHAIN.words} words, one right at each, reward 1 if all are; the start knows "
        f"each with {CHAIN.known}; {CHAIN.complete:.0%} of the references are right throughout, the others break at a "
        "uniform step",
        "learner": "table of (step, all right so far); PPO's clipped loss, 4 steps of gradient descent at rate 20 on "
        "128 responses, baseline: mean return of the state, KL coefficient 0.02, prefix lengths uniform from 0 to 9",
        "chain iterations": FULL.iterations,
        "key words": f"start taught by a careless writer, references by a careful one; reward 1 for all three words "
        f"and 1 more for their order; {FULL.text_iterations} iterations of {FULL.prompts} prompts with 4 completions, "
        f"PPO with leave-one-out baselines, one pass, AdamW 5e-4, batch 32, KL coefficient 0.05; {FULL.text_seeds} "
        "seeds",
        "evaluation": f"chain: exact; key words: one response to each of {FULL.held_out} prompts",
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "A table in a chain takes the place of a language model that summarises posts; success is computed exactly.",
        "Plain gradient descent: Adam's steps do not shrink with the gradient, so that one lucky response is enough "
        "for it, and without resets it was at one half after ten iterations already, with resets after nine.",
        "The learning rate was chosen, on three seeds, so that PPO gets to one half within the iterations at all; at "
        "10 and 30 the ratios were alike, at 100 and above PPO needs fewer and gains less.",
        "In key words the reward is given, not learned, and the claims do not rest on them; responses are as many with "
        "resets as without, so that with resets fewer words are drawn. A quarter of resets is left out there.",
        "The variant that rolls in with the start's own responses is left out.",
        "In key words the start gets a reward on a few in a hundred prompts already; there resets do not help but "
        "cost what the given words would have taught, and the table says how much.",
    ),
    tried=(
        "Key words with a prefix of its own for each completion of a prompt, one seed: sparse reward 1.26 and 0.73 "
        "with half and all reset, 1.58 without; with one prefix for all, so that they are baselines for each other, "
        "1.29 and 0.93.",
    ),
)
