"""Writes ``README.md`` from the recorded results. ``python -m benchmarks.tables``"""

from __future__ import annotations

import json
import statistics
from typing import Any

from benchmarks.measure import RESULTS, ROOT, best, ratios

INTRODUCTION = """# Benchmarks

Written by `python -m benchmarks.tables` from `results/`; rerun all of it with `make bench`.

Every number is taken in a fresh process. The sides of a comparison run in turn on the same machine, in environments
of their own, with the order turned round each time. A rate is the median over repetitions, each of them the median of
several windows after compilation and warm-up, with the smallest and largest repetition beside it. "Default" leaves
threads to the library; "one" allows one thread, on one core. Ratios compare both at whichever is faster for them,
repetition by repetition. Rates per processor second (user and system, one thread) tell the work done apart from what
else the machine was doing. Memory is the largest resident size of the process.
"""

NOTES = {
    "offline_speed": """Same synthetic transitions (17 observations, 6 actions, 100 000 rows), batch 256, two hidden
layers of 256, two critics, Adam. TD3+BC updates its policy every second time. CQL samples ten actions of each kind; the
weight of its penalty is fixed, or adapted as d3rlpy does by default, at the cost of one more evaluation there.
`gradient_actions=4` draws the actions that the penalty's gradient passes through: the same gradient on average.
`screening="bfloat16"` rounds the values that only decide which are drawn.
d3rlpy runs its own `fit` without progress bar or logger; its `compile_graph` has an effect on CUDA devices only.
headstart runs `train`, its record on disk included. Four seeds are processes side by side for headstart (start-up and
compilation subtracted), and runs in turn for d3rlpy.""",
    "online_speed": """HalfCheetah-v5, one world, batch 256, two hidden layers of 256, one update a step after random
warm-up. With twenty updates a step, every side updates its policy once a step; headstart draws half of each batch from
recorded data. SBX's nearest to RLPD is its SAC with ten layer-normalised critics; DroQ and CrossQ are what it offers
for the same purpose, with the networks that it gives them.""",
    "finite_speed": """UCBVI in a random world, planning before every episode, with the exact value of every policy
played. headstart plays 200 seeds in one compiled program, cut in two at default threads; the NumPy side is the same
mathematics as one writes it first, a seed at a time. A seed's episode counts as one. The command is timed from its
start to its end, compilation included.""",
    "logging_cost": """IQL on 20 000 synthetic rows (17 observations, 6 actions), batch 128, two hidden layers of 128;
its metrics logged as often as makes 1000 scalars a second, or once in 500 updates. Both train in one process and take
turns, call by call of half a second, so that they meet the same moods of the machine; writing to disk is included.
The cost is taken over all calls, its interval is a bootstrap over them. `Recorder.log` alone is a part of it.""",
    "large_dataset": """Training straight from data on disk that are larger than the memory it takes, each case in a
process of its own: the largest resident size, the look at all data included. The D4RL file is read through the
converted copy that the command makes.""",
    "startup": "From the start of the command to its end.",
    "bandit_speed": """The same log for all sides: 10 arms, contexts of 10 features, rewards of 0 or 1, an arm logged
at random in each row. Every side chooses in each row and then learns from what was logged: `replay` in one compiled
loop (its compilation left out), "one at a time" by a Python call each, as MABWiser's `predict` and `partial_fit`.
Both sides keep a ridge regression for each arm with the same weights of ridge and width. Thompson sampling draws once
a row, and once more in headstart's single steps, whose propensity MABWiser does not give; 200 draws are headstart's
default. The service is `headstart bandit serve` on the loopback address, driven by one process with 32 connections,
each of which chooses, observes and only then chooses again; every reply waits for the disk. Kills are SIGKILL at
random moments under that load.""",
    "language_training": """DPO of every weight in float32 from random weights, the same batches of pairs in one order
for both sides, no gradient checkpointing; tokens are those of prompts and completions on both sides, padding left out.
headstart's `Learner` scores the reference before, all rows in one go, as TRL does with `precompute_ref_log_probs`; its
default scores it within each step. Tiny model: a Llama of 2 layers, width 64 and 512 words, 32 pairs with prompts of 8
to 24 tokens and answers of 4 to 24. 0.3B shape: Gemma-3-270M's, 262 144 words, 2 pairs with prompts of 48 to 96 tokens
and answers of 24 to 64. The online loop draws, judges and learns by REINFORCE leave-one-out with a penalty on the KL to
the reference, from start to end of a step, TRL's by `RLOOTrainer.train`; neither saves weights. Tiny: 8 prompts of 16
tokens, 8 completions of 32 each; 0.3B: one prompt of 32, 4 completions of 16. Online DPO learns from the first two
completions of 32 prompts (0.3B: 2), a coin deciding ties, TRL by `OnlineDPOTrainer.train`. Packing: SFT on rows of
log-normal lengths, 257 tokens at most, headstart's three ways of laying them out; "18 million weights" is a
Llama of 6 layers and 8192 words.""",
    "language_sampling": """Completions at temperature 1, headstart's sampler, whose log-probabilities are included,
beside transformers' `generate` without them, at the same number of rows; tokens are those drawn. Both in one process,
in turn. The ratio is headstart's to the other's.""",
    "run_index": """Records of realistic size that a script makes, three seeds of fifty evaluations each. Every question
is a command in a process of its own, from its start to its end. The plot holds learning curves, aggregates, profiles
and probabilities of improvement of five methods in four worlds, as figures, tables and an interactive page.""",
    "tuning_speed": """A random search of SAC on the pendulum, the same four trials of two seeds each by one worker
and by two; processes and compilation included.""",
}


COLUMNS = {"default": ["default threads, {unit}"], "one": ["one thread, {unit}", "per processor second"]}
"""The columns of a setting of threads."""


def rate(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.4g} ({min(values):,.4g}–{max(values):,.4g})"


def comparison(title: str, numbers: dict[str, Any], unit: str) -> list[str]:
    """The table of one comparison; ratios are the first side's to each of the others."""
    ours, *others = numbers["sides"]
    settings = [key for key in ("default", "one") if ours["rates"].get(key)]
    header = [
        "",
        *(name.format(unit=unit) for key in settings for name in COLUMNS[key]),
        "memory, MiB",
        "headstart's ratio",
    ]
    lines = [f"### {title}", "", f"| {' | '.join(header)} |", "| --- " * len(header) + "|"]
    for side in [ours, *others]:
        cells = [side["name"]]
        for key in settings:
            cells.append(rate(side["rates"][key]))
            if key == "one":
                cells.append(f"{statistics.median(side['processor_rates'][key]):,.4g}")
        cells.append(f"{side['peak_memory_mib']:,}")
        quotient = "" if side is ours else f"**{rate(ratios(ours, side))}×** (against “{best(side)[0]}”)"
        lines.append(f"| {' | '.join([*cells, quotient])} |")
    return [*lines, "", f"Load average before each repetition: {', '.join(map(str, numbers['load_average']))}.", ""]


def section(name: str, title: str) -> list[str]:
    """One results file as Markdown; nothing if it has not been recorded."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return []
    results = json.loads(path.read_text())
    machine = results["machine"]
    lines = [f"## {title}", "", NOTES[name], ""]
    versions: dict[str, str] = {}
    for heading, numbers in results.get("comparisons", {}).items():
        lines += comparison(heading, numbers, results["unit"])
        for side in numbers["sides"]:
            versions |= side["versions"]
    if "commands" in results:
        lines += ["| command | seconds |", "| --- | --- |"]
        lines += [f"| `{command}` | {rate(values)} |" for command, values in results["commands"].items()] + [""]
    if "measures" in results:
        lines += ["| measure | value |", "| --- | --- |"]
        lines += [f"| {measure} | {rate(values)} |" for measure, values in results["measures"].items()] + [""]
    if "peaks" in results:
        lines += [f"| case, {results['updates']} updates | data, GB | peak of memory, MiB |", "| --- | --- | --- |"]
        lines += [f"| {row['case']} | {row['gigabytes']:g} | {row['peak_mib']:,} |" for row in results["peaks"]] + [""]
    listed = ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
    lines.append(
        f"{results['date']}; {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}{'; ' if listed else ''}{listed}."
    )
    return [*lines, ""]


LEARNING = """SAC and TD3 from scratch, batches of 256, two hidden layers of 256, one update a step, beside Tianshou's
published curves of the same settings (ten seeds; `learning.py` names the file). Greedy returns; steps are counted from
the end of the random ones."""

OFFLINE_LEARNING = """Offline methods on data that headstart recorded itself (`headstart data build`), batches of 256,
two hidden layers of 128: greedy returns of each seed, scored 0 for a random policy and 100 for D4RL's expert, beside
what is published for D4RL's own data of these names after a million updates (Kostrikov et al. 2021, table 1)."""


def learning_section() -> list[str]:
    """What methods learn, online and offline, beside published numbers."""
    lines: list[str] = []
    for path in sorted(RESULTS.glob("learning-*.json")):
        found = json.loads(path.read_text())
        lines += [f"### {found['method']} in {found['world']}", "", "| steps | headstart | published mean (range) |"]
        lines += ["| --- | --- | --- |"]
        for step, ours in found["returns"].items():
            mean, low, high = found["published"][step]
            shown = ", ".join(f"{value:,.0f}" for value in ours)
            lines.append(f"| {int(step):,} | {shown} | {mean:,} ({low:,} to {high:,}) |")
        lines.append("")
    lines = ["## Learning online", "", LEARNING, "", *lines] if lines else []
    path = RESULTS / "offline_learning.json"
    if not path.exists():
        return lines
    lines += ["## Learning offline", "", OFFLINE_LEARNING, ""]
    for name, found in json.loads(path.read_text())["learning"].items():
        lines += [
            f"### {name}, {found['updates']:,} updates",
            "",
            "| | score of each seed | published |",
            "| --- " * 3 + "|",
        ]
        lines.append(f"| the policy that made the data | {found['behaviour']:.1f} | |")
        for method, scores in found["scores"].items():
            shown = ", ".join(f"{score:.1f}" for score in scores)
            lines.append(f"| {method} | {shown} | {found['published'][method]:g} |")
        lines.append("")
    return lines


def page() -> str:
    """The whole page."""
    titles = {"offline_speed": "Offline", "online_speed": "Online", "startup": "Start-up"}
    titles |= {
        "bandit_speed": "Bandits",
        "finite_speed": "Finite worlds",
        "large_dataset": "Data larger than memory",
        "logging_cost": "Logging",
        "language_training": "Language training",
        "language_sampling": "Language sampling",
        "run_index": "Recorded runs",
        "tuning_speed": "Tuning",
    }
    lines = [INTRODUCTION, *(line for name, title in titles.items() for line in section(name, title))]
    lines += learning_section()
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    path = ROOT / "benchmarks" / "README.md"
    path.write_text(page())
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
