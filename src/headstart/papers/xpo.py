"""XPO: online DPO that lowers the likelihood of what the reference says, and so finds what it never would (2405.21046).

The best response is one in a thousand under the reference. Online DPO on its own responses settles without it; the
bonus makes the policy try what the labels do not rule out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from headstart.envs.preference_bandits import rare_best_bandit
from headstart.language.dpo import DPO
from headstart.language.implicit_reward import Explorer
from headstart.language.method import LanguageMethod
from headstart.language.xpo import XPO
from headstart.papers import figures
from headstart.papers.differences import difference, values
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict

BETA, ROUNDS = 0.4, 60
RARITIES = {"rare": 1e-3, "rarer": 1e-4, "even": 1 / 12}
OURS, OWN, REFERENCE = "XPO 0.03", "online DPO", "DPO against the reference"
PLAIN, FROM_REFERENCE = Explorer(comparator="policy", starts="one"), Explorer(starts="one")
METHODS: dict[str, tuple[Explorer, float, bool]] = {
    OWN: (PLAIN, 0.0, False),
    REFERENCE: (FROM_REFERENCE, 0.0, False),
    "XPO 0.003": (Explorer(), 0.003, True),
    "XPO 0.01": (Explorer(), 0.01, True),
    OURS: (Explorer(), 0.03, True),
    "XPO 0.01 constant": (Explorer(), 0.01, False),
    "XPO 0.03 constant": (Explorer(), 0.03, False),
    "XPO 0.1 constant": (Explorer(), 0.1, False),
    "XPO 0.03, one start": (FROM_REFERENCE, 0.03, True),
}
"""Explorer, bonus, and whether the bonus is halved after a third of the rounds and left out after two."""
ARMS: dict[str, tuple[str, ...]] = {
    "rare": tuple(METHODS),
    "rarer": (REFERENCE, OURS),
    "even": (REFERENCE, OURS),
}


def schedule(alpha: float, thirds: bool, rounds: int) -> Callable[[int], LanguageMethod]:
    """The method of each round."""
    if not alpha:
        return lambda _: DPO(beta=BETA)
    shares = (1.0, 0.5, 0.0)
    return lambda count: XPO(beta=BETA, alpha=alpha * (shares[3 * (count - 1) // rounds] if thirds else 1.0))


def run(seed: int, quick: bool) -> Result:
    """All arms of one seed in its three worlds."""
    rounds, smaller = (2, {"pairs": 2, "steps": 4}) if quick else (ROUNDS, {})
    result: Result = {}
    for kind, names in ARMS.items():
        world = rare_best_bandit(seed, RARITIES[kind])
        result[kind] = {}
        for name in names:
            explorer, alpha, thirds = METHODS[name]
            done = replace(explorer, rounds=rounds, **smaller).explore(world, schedule(alpha, thirds, rounds), seed)
            result[kind][name] = {"suboptimality": done.suboptimality, "first_hit": done.first_hit}
    return result


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Every claim by a paired bootstrap over seeds."""

    def final(kind: str, name: str) -> np.ndarray:
        return np.array(values(results, kind, name, "suboptimality", -1))

    own = difference(final("rare", OURS), final("rare", OWN))
    reference = difference(final("rare", OURS), final("rare", REFERENCE))
    hits = {name: np.mean(values(results, "rare", name, "first_hit")) for name in (OURS, REFERENCE)}
    ratio = float(hits[OURS] / hits[REFERENCE])
    rarer = difference(final("rarer", OURS), final("rarer", REFERENCE))
    much = difference(final("rare", "XPO 0.1 constant"), final("rare", "XPO 0.01 constant"))
    return [
        Verdict(claim="own-responses", holds=own["high"] < 0, numbers=own),
        Verdict(claim="passive", holds=reference["high"] < 0, numbers=reference),
        Verdict(
            claim="first-hit",
            holds=ratio < 0.6,
            numbers={"ratio": ratio, "ours": float(hits[OURS]), "without": float(hits[REFERENCE])},
        ),
        Verdict(claim="rarer", holds=rarer["high"] < 0, numbers=rarer),
        Verdict(claim="too-much", holds=much["low"] > 0, numbers=much),
    ]


def table(results: Sequence[Result]) -> list[Row]:
    """Means over seeds."""
    return [
        {
            "arm": name,
            "reference gives the best": f"{RARITIES[kind]:.4g}",
            "final suboptimality": float(np.mean(values(results, kind, name, "suboptimality", -1))),
            "mean suboptimality": float(np.mean([result[kind][name]["suboptimality"] for result in results])),
            "best response first tried in round": float(np.mean(values(results, kind, name, "first_hit"))),
        }
        for kind, names in ARMS.items()
        for name in names
    ]


def draw(results: Sequence[Result], path: Path) -> None:
    """Suboptimality by round, and at the end by arm."""
    with figures.figure(path, 2, "Trying what the reference would not say", width=5.2) as (rounds, finals):
        for index, name in enumerate((OURS, REFERENCE, OWN, "XPO 0.03, one start")):
            curves = np.array([result["rare"][name]["suboptimality"] for result in results])
            figures.curve(rounds, list(range(curves.shape[1])), curves, name, index)
        rounds.set(xlabel="rounds of 8 pairs a prompt", ylabel="suboptimality, exact", title="Best response: 1 in 1000")
        rounds.legend()
        figures.intervals(finals, {name: values(results, "rare", name, "suboptimality", -1) for name in METHODS})
        finals.set(xlabel=f"suboptimality after {ROUNDS} rounds", title="Strength and schedule of the bonus")


PAPER = Paper(
    id="xpo",
    title="Exploratory Preference Optimization: Harnessing Implicit Q*-Approximation for Sample-Efficient RLHF",
    authors="Xie, Foster, Krishnamurthy, Rosset, Awadallah and Rakhlin",
    year=2024,
    arxiv="2405.21046",
    summary=(
        "Online DPO with one more term, which lowers the likelihood of the comparator's responses. As a policy stands "
        "for a reward, this is optimism in the face of uncertainty, and needs no coverage by the reference."
    ),
    claims=(
        Claim(
            name="own-responses",
            sentence="XPO ends nearer to the optimum than online DPO, both of whose responses are the policy's.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact suboptimality after 60 rounds, XPO (0.03, in "
                "thirds) minus online DPO: upper end < 0"
            ),
        ),
        Claim(
            name="passive",
            sentence="It is the bonus that does it, not comparing with the reference.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact suboptimality after 60 rounds, XPO (0.03, in "
                "thirds) minus the same without bonus: upper end < 0"
            ),
        ),
        Claim(
            name="first-hit",
            sentence="With the bonus the best response is tried much sooner.",
            test=(
                "round in which a prompt's best response is first tried (60 if never), mean over prompts and seeds: "
                "ratio of XPO (0.03, in thirds) to the same without bonus < 0.6"
            ),
        ),
        Claim(
            name="rarer",
            sentence="The same where the reference gives the best response once in ten thousand.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact suboptimality after 60 rounds, XPO (0.03, in "
                "thirds) minus the same without bonus: upper end < 0"
            ),
        ),
        Claim(
            name="too-much",
            sentence="The bonus has to be small: one that stays too strong does harm.",
            test=(
                "paired bootstrap over seeds, 95 % interval of the exact suboptimality after 60 rounds, constant bonus "
                "0.1 minus constant bonus 0.01: lower end > 0"
            ),
        ),
    ),
    settings={
        "world": "4 prompts, 12 responses: the best worth 6, others up to 3; labels by sigmoid of the difference",
        "objective": f"reward less {BETA} KL to the reference; suboptimality is exact",
        "data": f"{ROUNDS} rounds of 8 labelled pairs a prompt: one response of the policy, one of the comparator",
        "policies": "best for some rewards in [0, 6]",
        "solver": "all data after each round; projected gradient with spectral steps, from where one is and from there "
        "with each response raised to the greatest reward; arms without bonus and 'one start': from where one is",
        "thirds": "the bonus for a third of the rounds, half of it for another, then none",
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0,),
    deviations=(
        "A bandit small enough for the exact minimiser, in place of Llama-3 with a reward model as judge.",
        "Suboptimality is that of the last policy, not of the best one seen.",
        "From one start alone, that is by gradient descent as in large models, most of the gain is lost here, and a "
        "response can only be found through others like it, of which this world has none: the table shows that arm.",
    ),
)
