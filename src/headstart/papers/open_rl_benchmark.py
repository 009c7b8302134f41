"""Tracked runs that can be chosen, compared and run again (arXiv 2402.03046).

A store of made-up runs, whose every answer is known, tests filters, tables and intervals. Real runs are recorded, run
again, and serve as the baseline of a case study: PPO with other targets for its values.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from headstart.control.dqn import DQN
from headstart.control.method import Method
from headstart.control.ppo import PPO
from headstart.control.ppo_value_targets import PPOWithValueTargets
from headstart.control.reproducing import Reproduction, reproduce
from headstart.control.sac import SAC
from headstart.control.trainer import Settings
from headstart.control.training import train
from headstart.core.files import read_json, write_atomically, write_json
from headstart.envs import cart_pole, pendulum
from headstart.evaluate.scores import normalized_score
from headstart.evaluate.statistics import mean, paired_bootstrap, stratified_bootstrap
from headstart.papers import figures
from headstart.papers.made_up_runs import POINTS, SEEDS, ask, facts, write_store
from headstart.papers.paper import Claim, Paper, Result, Row, Verdict
from headstart.papers.plain_statistics import RUNS_OF_STUDIES, coverage, deviations
from headstart.papers.tables import fill
from headstart.report.selection import Filters, select
from headstart.runs.folder import RunFolder
from headstart.runs.pack import add, pack, verify

CART_POLE = f"{cart_pole.__name__}:{cart_pole.CartPole.__name__}"
PENDULUM = f"{pendulum.__name__}:{pendulum.Pendulum.__name__}"
REFERENCES = {CART_POLE: "CartPole-v1", PENDULUM: "pendulum"}
"""The worlds of real runs, each with the name of its reference returns."""


@dataclass(frozen=True)
class Size:
    """How large the experiment is, for one seed of it.

    Attributes:
        resamples: of a bootstrap whose bounds are compared.
        studies: simulated for coverage.
        logs: scalars logged, and how many between two times that they are written out.
        steps: environment steps of PPO in each world.
        short_steps: those of DQN and SAC.
        looks: evaluations of each.
    """

    resamples: int = 4000
    studies: int = 50
    logs: tuple[int, int] = (60_000, 10_000)
    steps: tuple[int, int] = (40_960, 81_920)
    short_steps: int = 2000
    looks: int = 10


FULL, QUICK = Size(), Size(500, 10, (4000, 2000), (2048, 2048), 400, 2)
PLAIN = {
    "running_observation_scale": False,
    "running_reward_scale": False,
    "annealing_rollouts": None,
    "clip_values": False,
    "learning_rate": 1e-3,
}
FIELDS = {
    CART_POLE: PLAIN | {"hidden": (32, 32), "rollout_steps": 64, "epochs": 4, "minibatches": 4},
    PENDULUM: PLAIN | {"hidden": (64, 64), "rollout_steps": 128, "epochs": 10, "minibatches": 16, "discount": 0.9},
}
ACTORS, SCALE = 8, {CART_POLE: 1.0, PENDULUM: 0.1}
RUN_AGAIN = ("ppo-CartPole", "ppo-Pendulum", "dqn", "sac")
DECAYS = {"λ = 0": 0.0, "λ = 0.95": 0.95, "λ = 1": 1.0}
BASELINE = "λ = 0.95"


def run(seed: int, quick: bool) -> Result:
    """All parts, once."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="headstart-store-") as name, own_cache(Path(name) / "cache"):
        folder, generator = Path(name), np.random.default_rng(seed)
        curves = write_store(folder / "made-up", generator)
        archive, recorded = train_baselines(folder / "archive", seed, size)
        return {
            "filters": ask(folder),
            "statistics": deviations(folder / "made-up", curves, size.resamples),
            "coverage": coverage(generator, size.studies),
            "reproduction": recorded | run_again(folder / "short", seed, size),
            "overhead": overhead(folder / "logged", size),
            "targets": value_targets(folder, archive, seed, size),
        }


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """Whatever is kept of these stores goes when they do."""
    before = os.environ.get("HEADSTART_CACHE")
    os.environ["HEADSTART_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HEADSTART_CACHE"]
        else:
            os.environ["HEADSTART_CACHE"] = before


def train_baselines(folder: Path, seed: int, size: Size) -> tuple[Path, Result]:
    """PPO recorded in both worlds, packed, and run again from the record; the packed file, and what came of that."""
    found = {}
    for world, steps in zip(REFERENCES, size.steps, strict=True):
        name = f"ppo-{world.rpartition(':')[2]}"
        record(PPO(**FIELDS[world]), world, folder / name, seed, steps, size)
        found[name] = _told(reproduce(folder / name, folder / "again" / name, show_progress=False))
    return pack([folder / name for name in found], folder / "baselines.zip"), found


def record(method: Method, world: str, folder: Path, seed: int, steps: int, size: Size) -> None:
    """Train and record one seed."""
    settings = Settings(
        worlds=ACTORS if method.on_policy else 1,
        reward_scale=SCALE[world],
        log_every=steps // size.looks,
        evaluate_every=steps // size.looks,
        checkpoint_every=steps // size.looks * size.looks,
    )
    train(method, world=world, seeds=[seed], folder=folder, settings=settings, show_progress=False, online_steps=steps)


def run_again(folder: Path, seed: int, size: Size) -> Result:
    """DQN and SAC recorded and run again: SAC as if recorded with another JAX, DQN also after a number was altered."""
    small = {"hidden": (64, 64), "batch_size": 64}
    record(DQN(**small), CART_POLE, folder / "dqn", seed, size.short_steps, size)
    record(SAC(**small), PENDULUM, folder / "sac", seed, size.short_steps, size)
    shutil.copytree(folder / "dqn", folder / "altered")
    altered = alter_one_number(folder / "altered", seed)
    file = folder / "sac" / "run.json"
    written = read_json(file)
    write_json(file, written | {"provenance": written["provenance"] | {"packages": _other_jax(written)}})
    told = {name: reproduce(folder / name, show_progress=False) for name in ("dqn", "sac", "altered")}
    difference = told["altered"].differences[0] if told["altered"].differences else None
    return {
        "dqn": _told(told["dqn"]),
        "sac": _told(told["sac"]),
        "altered": difference is not None and (difference.name, difference.recorded) == altered,
    }


def _other_jax(record: dict) -> dict[str, str]:
    return record["provenance"]["packages"] | {"jax": "0.0.1"}


def _told(reproduction: Reproduction) -> Result:
    packages = {line.partition(":")[0] for line in reproduction.circumstances} - {"commit", "dirty", "version"}
    return {"same": reproduction.same, "rows": reproduction.rows, "changed": sorted(packages)}


def alter_one_number(run: Path, seed: int) -> tuple[str, float]:
    """Add one to the last number that a run logged; its name, and what it is now."""
    (part,) = RunFolder.open(run).seed(seed).path.glob("metrics/part-*.parquet")
    table = pl.read_parquet(part, memory_map=False)
    values = table["value"].to_list()
    values[-1] += 1.0
    content = io.BytesIO()
    table.with_columns(value=pl.Series(values)).write_parquet(content)
    write_atomically(part, content.getvalue())
    return table["name"][-1], values[-1]


def overhead(folder: Path, size: Size) -> float:
    """Part of one processor that logging 1000 scalars a second takes, writing them out included."""
    count, every = size.logs
    with RunFolder.create(folder, {"method": "none"}).seed(0).record(flush_seconds=1e9) as recorder:
        started = time.process_time()
        for step in range(count):
            recorder.log(step, step, "online", {"loss/value": 0.5})
            if (step + 1) % every == 0:
                recorder.metrics.flush()
        return (time.process_time() - started) / (count / 1000)


def value_targets(folder: Path, archive: Path, seed: int, size: Size) -> Result:
    """PPO with other value targets, beside the baseline as it is on record in the archive: returns while learning."""
    lab = folder / "lab"
    verify(archive)
    add(archive, lab)
    others = {label: decay for label, decay in DECAYS.items() if label != BASELINE}
    for world, steps in zip(REFERENCES, size.steps, strict=True):
        for decay in others.values():
            method = PPOWithValueTargets(**FIELDS[world], value_trace_decay=decay)
            record(method, world, lab / f"targets-{decay:g}-{world.rpartition(':')[2]}", seed, steps, size)
    texts = [f"*PPOWithValueTargets?value_trace_decay={decay}&cl={label}" for label, decay in others.items()]
    found = {}
    for arm in select([lab], Filters.parse(["?metric=evaluation/return", f"ppo?cl={BASELINE}", *texts])):
        for world, curves in arm.curves.items():
            ((steps, returns),) = curves
            scores = normalized_score(REFERENCES[world], returns)
            found.setdefault(arm.label, {})[world] = {"steps": steps.tolist(), "scores": scores.tolist()}
    return found


def judge(results: Sequence[Result]) -> list[Verdict]:
    """All claims, over all seeds."""
    parts = {name: [result[name] for result in results] for name in results[0]}
    wrong = sum(len(texts) for part in parts["filters"] for texts in part["wrong"].values())
    repeated = sum(part["repeated"] for part in parts["filters"])
    questions_asked = min(part["questions"] for part in parts["filters"])
    exact, bounds = (max(part[kind] for part in parts["statistics"]) for kind in ("exact", "bounds"))
    covered = covered_shares(results)
    again = [(name, part[name]) for part in parts["reproduction"] for name in RUN_AGAIN]
    same, altered = [one["same"] for _, one in again], [part["altered"] for part in parts["reproduction"]]
    told = [one["changed"] == (["jax"] if name == "sac" else []) for name, one in again]
    share, low, high = stratified_bootstrap(parts["overhead"], mean)
    found = [effects(results, label) for label in DECAYS if label != BASELINE]
    baselines = [one["same"] for name, one in again if name.startswith("ppo")]
    one_step = {
        f"{world.rpartition(':')[2]}, {what}": value
        for world, effect in effects(results, "λ = 0").items()
        for what, value in zip(("difference", "low", "high"), effect, strict=True)
    }
    return [
        Verdict(
            claim="filters",
            holds=wrong == repeated == 0 and questions_asked >= 30,
            numbers={"questions": questions_asked, "wrong answers": wrong, "repeated": repeated},
        ),
        Verdict(
            claim="statistics", holds=exact <= 1e-9 and bounds <= 0.01, numbers={"numbers": exact, "bounds": bounds}
        ),
        Verdict(
            claim="coverage",
            holds=0.9 <= covered[10] <= 0.98,
            numbers={f"of {runs} runs": share for runs, share in covered.items()},
        ),
        Verdict(
            claim="reproduction",
            holds=all(same) and all(told) and all(altered),
            numbers={
                "run again": len(again),
                "the same": sum(same),
                "changes told rightly": sum(told),
                "altered numbers found": sum(altered),
            },
        ),
        Verdict(
            claim="overhead",
            holds=bool(high < 0.03),
            numbers={"share": float(share), "low": float(low), "high": float(high)},
        ),
        Verdict(
            claim="value-targets",
            holds=bool(np.isfinite([list(effect.values()) for effect in found]).all()) and all(baselines),
            numbers=one_step,
        ),
    ]


def covered_shares(results: Sequence[Result]) -> dict[int, float]:
    """Part of all simulated studies whose interval contained the truth, by their number of runs."""
    studies = sum(result["coverage"]["studies"] for result in results)
    return {
        runs: sum(result["coverage"]["covered"][str(runs)] for result in results) / studies for runs in RUNS_OF_STUDIES
    }


def effects(results: Sequence[Result], label: str) -> dict[str, tuple[float, float, float]]:
    """Final score of the baseline minus that of an arm, in each world, with its interval paired by seed."""
    return {
        world: paired_bootstrap(final_scores(results, BASELINE, world), final_scores(results, label, world))
        for world in REFERENCES
    }


def final_scores(results: Sequence[Result], label: str, world: str) -> list[float]:
    """One number a seed: the mean score of the last three evaluations."""
    return [float(np.mean(result["targets"][label][world]["scores"][-3:])) for result in results]


def table(results: Sequence[Result]) -> list[Row]:
    """Arms of the case study by world, then the coverage of intervals."""
    rows: list[Row] = []
    for label in DECAYS:
        row: Row = {"arm": f"values regressed with {label}"}
        for world in REFERENCES:
            short = world.rpartition(":")[2]
            scores = np.array(final_scores(results, label, world))
            row |= {f"{short}, final score": float(scores.mean()), f"{short}, deviation": float(scores.std())}
            if label != BASELINE:
                difference, low, high = effects(results, label)[world]
                row[f"{short}, {BASELINE} minus it"] = f"{difference:.1f} ({low:.1f} to {high:.1f})"
        rows.append(row)
    for runs, share in covered_shares(results).items():
        rows.append({"arm": f"intervals of {runs} runs of 4 tasks", "coverage of 95 % intervals": share})
    return fill(rows)


def draw(results: Sequence[Result], path: Path) -> None:
    """Learning with each value target, in both worlds."""
    title = "PPO whose values are regressed on other λ-returns; λ = 0.95 is read from a shared store"
    with figures.figure(path, 2, title) as axes:
        for axis, world in zip(axes, REFERENCES, strict=True):
            for index, label in enumerate(DECAYS):
                curves = [result["targets"][label][world] for result in results]
                scores = np.array([curve["scores"] for curve in curves])
                figures.curve(axis, curves[0]["steps"], scores, label, index)
            axis.set(xlabel="environment steps", ylabel="normalised score", title=world.rpartition(":")[2])
        axes[1].legend()


PAPER = Paper(
    id="open-rl-benchmark",
    title="Open RL Benchmark: Comprehensive Tracked Experiments for Reinforcement Learning",
    authors="Huang et al.",
    year=2024,
    arxiv="2402.03046",
    summary=(
        "Runs tracked with all that made them, in a store that can be asked: a line of filters gives curves, tables "
        "and statistics, and what others have run already serves as the baseline."
    ),
    claims=(
        Claim(
            name="filters",
            sentence="A filter takes exactly the runs that it describes, from a store and from a merged copy of it.",
            test=(
                "at least 30 questions (names, wildcards, either-or, tags, users, nested fields, literals, encoded "
                "names, damaged runs) to a made-up store of three libraries and to its packed and merged copy, every "
                "seed: no wrong answer; merging again adds nothing"
            ),
        ),
        Claim(
            name="statistics",
            sentence="Tables and aggregates are those of the runs' numbers.",
            test=(
                "table (mean, deviation), normalised scores, IQM, mean, median, performance profile and probability of "
                "improvement within 1e-9 of references in plain NumPy, bounds of 95 % stratified bootstrap intervals "
                "of normalised scores within 0.01 of a reference bootstrap's; the worst of all seeds"
            ),
        ),
        Claim(
            name="coverage",
            sentence="Intervals of 95 % contain the truth about as often as they say.",
            test=(
                "500 simulated studies of 10 runs of 4 tasks, stratified bootstrap of the interquartile mean: between "
                "90 % and 98 % of the intervals contain the true one"
            ),
        ),
        Claim(
            name="reproduction",
            sentence="A recorded run can be run again to the same numbers; what has changed is told.",
            test=(
                "PPO in two worlds, DQN and SAC, every seed: every logged value the same, bit for bit; the version of "
                "JAX, changed in SAC's record, is named and no package is in the others; a number altered in a copy "
                "of DQN's record is found"
            ),
        ),
        Claim(
            name="overhead",
            sentence="Tracking costs little.",
            test=(
                "bootstrap over seeds, 95 % interval of the part of one processor that logging and writing out 1000 "
                "scalars a second takes: upper end below 3 %"
            ),
        ),
        Claim(
            name="value-targets",
            sentence=(
                "What is on record serves as the baseline: PPO's values regressed on λ-returns against one-step and "
                "Monte-Carlo targets."
            ),
            test=(
                "paired bootstrap over seeds, in each world, of the final score of λ = 0.95, read from a packed and "
                "merged archive, minus that of the other targets: 95 % intervals are finite (no direction is asked "
                "for), and every baseline in the archive, run again, has the numbers on record"
            ),
        ),
    ),
    settings={
        "made-up store": f"{len(facts())} runs of three libraries with fields of their own, 4 worlds, {SEEDS} seeds, "
        f"{POINTS} points, r(t) = a (1 - exp(-t/b)) and 10 % noise; a damaged run and one without the metric",
        "coverage": f"{FULL.studies} studies a seed, of 5, 10 and 20 runs of 4 normal tasks; 1000 resamples",
        "PPO": "cart-pole: 2x32, 8 worlds x 64 steps, 4 epochs; pendulum: 2x64, 8 x 128, 10 epochs, discount 0.9, "
        "rewards times 0.1; learning rate 1e-3, λ of advantages 0.95, no clipping of values",
        "steps": f"PPO {FULL.steps[0]} and {FULL.steps[1]}; DQN (cart-pole) and SAC (pendulum) {FULL.short_steps}",
        "logging": f"{FULL.logs[0]} scalars, written out every {FULL.logs[1]} (ten seconds at 1000 a second)",
        "final score": "normalised by the worlds' reference returns, mean of the last three of ten evaluations",
    },
    seeds=tuple(range(10)),
    run=run,
    judge=judge,
    table=table,
    draw=draw,
    quick_seeds=(0, 1),
    deviations=(
        "Stores of the size of an experiment; the community's 25 000 runs are not here, nor its libraries' real ones.",
        "Being offline is the rule here, so that the copy which others merge takes the place of the offline database.",
        "The case study is on cart-pole and pendulum, not on Atari or Acrobot; the advantages' λ is 0.95 throughout.",
        "Overhead is processor time, not wall time, which other processes of the machine would be part of.",
        "Cleanba is not validated: its games and accelerators are beyond a desk.",
    ),
)
