"""Tuning hyper-parameters of reinforcement learning, and not fooling oneself (arXiv 2306.01324).

PPO on a cart-pole is trained with many configurations and seeds. On that table thousands of searches are replayed, with
few and with more tuning seeds, and what they chose is tested with the seeds that they did not see. Populations search
live, beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from headstart.control.ppo import PPO
from headstart.core.domain import Real
from headstart.envs.cart_pole import CartPole
from headstart.evaluate.statistics import mean, stratified_bootstrap
from headstart.papers import figures
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.tune.bgt import BayesianGenerations
from headstart.tune.population import PopulationSearch
from headstart.tune.searcher import Schedule, Step, Task
from headstart.tune.space import Configuration, Space
from headstart.tune.tabulated import cost, replay
from headstart.tune.vectorized import Members, advance, evaluate_members, numbers_of, start_members

WORLD, WORLDS = CartPole(), 8
METHOD = PPO(
    hidden=(32, 32),
    rollout_steps=64,
    epochs=4,
    minibatches=4,
    clip_values=False,
    annealing_rollouts=None,
    running_observation_scale=False,
    running_reward_scale=False,
)
SPACE = Space(
    {
        "learning_rate": Real(1e-6, 1e-2, "log"),
        "clip": Real(0.0, 0.5),
        "trace_decay": Real(0.8, 0.9999),
        "entropy_weight": Real(1e-4, 0.5, "log"),
        "discount": Real(0.8, 0.999, "log-complement"),
    }
)
DEFAULT: Configuration = {
    "learning_rate": 3e-4,
    "clip": 0.2,
    "trace_decay": 0.95,
    "entropy_weight": 0.0,
    "discount": 0.99,
}


@dataclass(frozen=True)
class Size:
    """How large the experiment is.

    Attributes:
        configurations: in the table, the default among them; also how many trainings one program carries out.
        unit: rollouts between two looks at a training.
        rungs: of the table, in units; the last is the whole of a training.
        seeds: training seeds of the table, for each part.
        episodes: in each evaluation.
        live_tuning: tuning seeds of a population.
        live_test: seeds that its schedule is replayed with.
    """

    configurations: int = 64
    unit: int = 5
    rungs: tuple[int, ...] = (2, 4, 8)
    seeds: int = 5
    episodes: int = 10
    live_tuning: int = 3
    live_test: int = 5


FULL, QUICK, PARTS = Size(), Size(16, 1, (1, 2, 3), 2, 2, 1, 2), 4
TUNING = (1, 2, 3, 5)
SEARCHED, HALVING, TUNED_WITH = 16, (40, 13, 4), 3
POPULATION = 8
LIVE = {"PBT": PopulationSearch, "BGT": BayesianGenerations}
REPLICATES, REPETITIONS = 500, 200


def configurations(count: int) -> list[Configuration]:
    """The default, and draws from the space: the same for all parts."""
    generator = np.random.default_rng(2306)
    return [DEFAULT, *(SPACE.sample(generator) for _ in range(count - 1))]


def run(seed: int, quick: bool) -> Result:
    """One part: the table for some training seeds, and both populations with seeds of their own."""
    size = QUICK if quick else FULL
    table = [train_table(size.seeds * seed + k, size) for k in range(size.seeds)]
    tuning, test = (
        [base + 100 * seed + k for k in range(count)]
        for base, count in ((1000, size.live_tuning), (5000, size.live_test))
    )
    schedules = {name: search(kind, tuning, seed, size) for name, kind in LIVE.items()}
    return {"table": np.transpose(table, (1, 0, 2)).tolist(), "live": replayed(schedules, test, size)}


def train_table(seed: int, size: Size) -> np.ndarray:
    """Greedy return of every configuration, trained with one seed, at each rung: ``[configurations, rungs]``."""
    members = start_members(METHOD, WORLD, jnp.full(size.configurations, seed), WORLDS)
    numbers, scores = numbers_of(configurations(size.configurations)), []
    for unit in range(1, size.rungs[-1] + 1):
        members = advance(METHOD, WORLD, members, numbers, size.unit)
        if unit in size.rungs:
            scores.append(np.asarray(evaluate_members(METHOD, WORLD, members, size.episodes)))
    return np.stack(scores, axis=1)


def search(kind: type[PopulationSearch], seeds: Sequence[int], seed: int, size: Size) -> tuple[Schedule, float]:
    """A population trained live, all tuning seeds of all members at once; the best schedule and its tuning score."""
    units = size.rungs[-1]
    searcher = kind(Task(SPACE, units, tuple(range(1, units + 1)), POPULATION, DEFAULT, seed), generations=units)
    alive: dict[int, Members] = {}
    best: tuple[Schedule, float] = ((), -np.inf)
    while steps := _generation(searcher):
        begun = [_beginning(step, alive, seeds) for step in steps]
        rows = [step.configuration for step in steps for _ in seeds]
        members, scores = _train(begun, rows, size)
        alive = {}
        for place, step in enumerate(steps):
            part = range(place * len(seeds), (place + 1) * len(seeds))
            alive[step.trial], score = members.take(part), float(scores[list(part)].mean())
            searcher.tell(step, score)
            if step.steps == units and score > best[1]:
                best = (step.schedule, score)
    return best


def _generation(searcher: PopulationSearch) -> list[Step]:
    steps = []
    while (step := searcher.ask()) is not None:
        steps.append(step)
    return steps


def _beginning(step: Step, alive: dict[int, Members], seeds: Sequence[int]) -> Members:
    if step.parent is not None:
        return alive[step.parent]
    return alive[step.trial] if step.trial in alive else start_members(METHOD, WORLD, jnp.array(seeds), WORLDS)


def _train(parts: Sequence[Members], rows: Sequence[Configuration], size: Size) -> tuple[Members, np.ndarray]:
    """One unit for members side by side, filled up to the number that the program is compiled for."""
    spare = size.configurations - len(rows)
    others = start_members(METHOD, WORLD, jnp.zeros(size.configurations, jnp.int32), WORLDS).take(range(spare))
    members, numbers = _joined([*parts, others]), numbers_of([*rows, *[DEFAULT] * spare])
    members = advance(METHOD, WORLD, members, numbers, size.unit)
    return members, np.asarray(evaluate_members(METHOD, WORLD, members, size.episodes))


def _joined(parts: Sequence[Members]) -> Members:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def replayed(schedules: dict[str, tuple[Schedule, float]], seeds: Sequence[int], size: Size) -> dict[str, list[float]]:
    """Every schedule, and the default, trained anew on seeds that no search saw; and what the searches believed."""
    arms = {name: schedule for name, (schedule, _) in schedules.items()} | {"default": ((size.rungs[-1], DEFAULT),)}
    members = [start_members(METHOD, WORLD, jnp.array(seeds), WORLDS) for _ in arms]
    scores = np.zeros(0)
    for unit in range(size.rungs[-1]):
        now = [next(row for until, row in schedule if unit < until) for schedule in arms.values()]
        trained, scores = _train(members, [row for row in now for _ in seeds], size)
        members = [trained.take(range(i * len(seeds), (i + 1) * len(seeds))) for i in range(len(arms))]
    found = {name: scores[i * len(seeds) : (i + 1) * len(seeds)].tolist() for i, name in enumerate(arms)}
    return found | {f"{name}, tuning": [score] for name, (_, score) in schedules.items()}


# -- judging ---------------------------------------------------------------------------------------------------------


def searches(results: Sequence[Result], replicates: int = REPLICATES) -> dict[str, np.ndarray]:
    """Means over repeated searches, for the table itself (first) and for bootstrap samples of its axes.

    Configurations are resampled with replacement, but for the default. Seeds are given the weights of a bootstrap
    sample, so that none is ever on both sides of a search.
    """
    table = np.concatenate([np.array(result["table"]) for result in results], axis=1)
    drawn, count = table[1:], table.shape[1]
    most = min(max(TUNING), count - 1)
    found: dict[str, list[float]] = {}
    for replicate in range(replicates + 1):
        generator = np.random.default_rng((7, replicate))
        rows, weights = np.arange(len(drawn)), np.ones(count)
        if replicate:
            rows, weights = generator.integers(len(drawn), size=len(drawn)), np.zeros(count)
            while (weights > 0).sum() <= most:
                weights = generator.multinomial(count, np.full(count, 1 / count)).astype(float)
        for seeds in TUNING:
            outcome = replay(drawn[rows], (SEARCHED,), min(seeds, most), REPETITIONS, generator, weights)
            found.setdefault(f"tuning {seeds}", []).append(float(outcome.tuning.mean()))
            found.setdefault(f"test {seeds}", []).append(float(outcome.test.mean()))
        halved = replay(drawn[rows], HALVING, min(TUNED_WITH, most), REPETITIONS, generator, weights)
        found.setdefault("halving", []).append(float(halved.test.mean()))
        found.setdefault("default", []).append(float(np.average(table[0, :, -1], weights=weights)))
    return {name: np.array(values) for name, values in found.items()}


def _interval(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"estimate": float(values[0]), "low": float(low), "high": float(high)}


def _named(name: str, values: np.ndarray) -> dict[str, float]:
    return {f"{name}: {part}": number for part, number in _interval(values).items()}


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Bootstrap intervals over configurations and seeds; over test seeds for the populations."""
    found = searches(results)
    gaps = {seeds: found[f"tuning {seeds}"] - found[f"test {seeds}"] for seeds in TUNING}
    few, many, shrinks = gaps[1], gaps[5], gaps[1] - gaps[5]
    more = _interval(found["test 5"] - found["test 1"])
    better = _interval(found[f"test {TUNED_WITH}"] - found["default"])
    lost = _interval(found["halving"] / found[f"test {TUNED_WITH}"] - 1)
    live = {name: stratified_bootstrap(_live(results, name) - _live(results, "default"), mean) for name in LIVE}
    numbers = {f"{name}: {part}": float(v) for name, band in live.items() for part, v in band._asdict().items()}
    overfits = _named("gap with 1", few) | _named("gap with 5", many) | _named("difference", shrinks)
    return [
        Verdict(
            claim="overfits",
            holds=all(overfits[f"{name}: low"] > 0 for name in ("gap with 5", "difference")),
            numbers=overfits,
        ),
        Verdict(claim="more-seeds", holds=more["low"] > 0, numbers=more),
        Verdict(claim="beats-default", holds=better["low"] > 0, numbers=better),
        Verdict(claim="multi-fidelity", holds=lost["low"] >= -0.05, numbers=lost),
        Verdict(claim="populations", holds=all(band.low > 0 for band in live.values()), numbers=numbers),
    ]


def _live(results: Sequence[Result], arm: str) -> np.ndarray:
    """Returns on the test seeds, ``[seeds, parts]``."""
    return np.array([result["live"][arm] for result in results]).T


def table(results: Sequence[Result]) -> list[Row]:
    """Tuning and test scores of every way of searching."""
    found = searches(results, replicates=0)
    rows: list[Row] = [
        {"arm": f"random, {SEARCHED} trials, {seeds} tuning seeds", "tuning score": t, "test score": s, "gap": t - s}
        for seeds in TUNING
        for t, s in [(float(found[f"tuning {seeds}"][0]), float(found[f"test {seeds}"][0]))]
    ]
    default = float(found["default"][0])
    halving, arm = float(found["halving"][0]), f"successive halving, {TUNED_WITH} tuning seeds"
    rows.append({"arm": arm, "tuning score": "", "test score": halving, "gap": ""})
    rows.append({"arm": "default", "tuning score": "", "test score": default, "gap": ""})
    for name in LIVE:
        tuned = float(_live(results, f"{name}, tuning").mean())
        tested = float(_live(results, name).mean())
        rows.append(
            {
                "arm": f"{name}, population {POPULATION}",
                "tuning score": tuned,
                "test score": tested,
                "gap": tuned - tested,
            }
        )
    tested = float(_live(results, "default").mean())
    rows.append({"arm": "default, test seeds of the populations", "tuning score": "", "test score": tested, "gap": ""})
    return rows


def draw(results: Sequence[Result], path: Path) -> None:
    """Scores on both kinds of seeds by how many were tuned with; and the populations."""
    found = searches(results, replicates=200)
    with figures.figure(path, 2, "Scores on the seeds that chose, and on others") as (curves, live):
        for index, kind in enumerate(("tuning", "test")):
            bands = [_interval(found[f"{kind} {seeds}"]) for seeds in TUNING]
            color, marker = figures.COLORS[1 - index], figures.MARKERS[index]
            middle = [band["estimate"] for band in bands]
            curves.plot(TUNING, middle, color=color, marker=marker, label=f"score on {kind} seeds")
            low, high = ([band[end] for band in bands] for end in ("low", "high"))
            curves.fill_between(TUNING, low, high, color=color, alpha=0.15, linewidth=0)
        curves.axhline(float(found["default"][0]), color="#888888", linestyle=":", label="default")
        curves.set(xlabel="tuning seeds", ylabel="return", title=f"Random search, {SEARCHED} trials")
        curves.legend()
        groups: dict[str, Sequence[float]] = {
            name: _live(results, name).ravel().tolist() for name in (*LIVE, "default")
        }
        figures.intervals(live, groups)
        live.set(xlabel="return on test seeds", title="Populations, replayed")


PAPER = Paper(
    id="autorl",
    title="Hyperparameters in Reinforcement Learning and How To Tune Them",
    authors="Eimer, Lindauer and Raileanu",
    year=2023,
    arxiv="2306.01324",
    summary=(
        "What is chosen by its score on a few seeds scores less on others. Tuning seeds and test seeds have to be kept "
        "apart and reported; with that done, simple optimisers beat default settings at small budgets."
    ),
    claims=(
        Claim(
            name="overfits",
            sentence="A chosen configuration scores higher on its tuning seeds than on others, most with a single one.",
            test=(
                f"random search of {SEARCHED} of {FULL.configurations - 1} configurations, replayed on the table; gap: "
                "mean tuning minus mean test score. 95 % bootstrap intervals over configurations and seeds: lower end "
                "> 0 of the gap with 5 tuning seeds, and of the gap with 1 minus that with 5"
            ),
        ),
        Claim(
            name="more-seeds",
            sentence="More tuning seeds choose better configurations.",
            test="test score with 5 tuning seeds minus that with 1, same bootstrap: lower end of the 95 % interval > 0",
        ),
        Claim(
            name="beats-default",
            sentence="Even random search beats the default settings with 16 trials.",
            test=(
                f"test score of random search with {TUNED_WITH} tuning seeds minus the default's score, same "
                "bootstrap: lower end of the 95 % interval > 0"
            ),
        ),
        Claim(
            name="multi-fidelity",
            sentence="Stopping the worse early costs nothing at equal steps.",
            test=(
                f"test score of successive halving ({HALVING} configurations at 1/4, 1/2 and the whole, no more steps "
                f"than {SEARCHED} trainings) over that of random search, minus 1, same bootstrap: lower end of the "
                "95 % interval >= -0.05"
            ),
        ),
        Claim(
            name="populations",
            sentence="Population based training and BGT, their schedules replayed on new seeds, beat the default.",
            test=(
                f"{PARTS} searches of each with {POPULATION} members and {FULL.live_tuning} tuning seeds; return of "
                f"the best schedule minus the default's on {FULL.live_test} other seeds a search, resampled within "
                "each search: lower end of the 95 % interval > 0 for both"
            ),
        ),
    ),
    settings={
        "world": "cart-pole (pure JAX, Gymnasium's CartPole-v1), at most 500 steps",
        "method": "PPO, 2x32 tanh, 8 worlds x 64 steps x 40 rollouts, 4 epochs x 4 minibatches, constant step size",
        "space": {name: str(domain) for name, domain in SPACE.domains.items()},
        "default": DEFAULT,
        "table": (
            f"{FULL.configurations} configurations x {FULL.seeds * PARTS} seeds, {FULL.episodes} episodes with drawn "
            "actions at 1/4, 1/2 and the whole"
        ),
        "replays": f"{REPETITIONS} searches in each of {REPLICATES} bootstrap samples",
        "halving": f"{HALVING}, {cost(HALVING, [rung / FULL.rungs[-1] for rung in FULL.rungs]):.4g} whole trainings",
        "populations": f"{FULL.rungs[-1]} generations of {FULL.unit} rollouts",
    },
    seeds=tuple(range(PARTS)),
    quick_seeds=(0,),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    deviations=(
        "A cart-pole and PPO in place of Brax and Procgen with SAC, PPO and IDAAC; the published settings found by "
        "grid search are not compared with, and landscapes are not studied.",
        "Searches without schedules are replayed on a table of trained configurations, so that each can be repeated "
        "many times.",
        "Scores are returns of episodes acted as in training, at the end of a rung, in place of those of the last five "
        "rollouts, within which a good policy may end no episode.",
        "Halving goes on with trained states rather than training anew.",
        "DEHB is tested on functions whose best is known (in the tests), not here.",
        "Populations copy weights and hyper-parameters of the better, and vary only the copies, as the original of "
        "population based training does.",
    ),
    tried=(
        "A first full run scored greedy episodes, not those acted as in training: the default reached 413 of 500, "
        "random search 399 with three tuning seeds (difference -14, interval -56 to 25), PBT 369 and BGT 387 against "
        "419; the other three claims held, that of more seeds among them, which misses now (25.7, interval -2.6 to "
        "40.5) though the mean is still above. Tests and everything else are unchanged since.",
    ),
)
