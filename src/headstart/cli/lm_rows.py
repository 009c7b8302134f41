"""``headstart lm rows``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datasets import Dataset

    from headstart.data.rows import Checked
    from headstart.judges.judge import PairJudge

Make = Literal[
    "best_worst", "best_random", "best_second", "first_two", "all_pairs", "best", "picked", "rejection", "top_k",
    "first_round", "tournament", "knockout", "labels",
]  # fmt: skip
COMPARED = ("first_round", "tournament", "knockout")
"""What a judge that compares can decide."""
ROUNDS = {"first_round": 1, "tournament": None}
"""How many rounds completions meet in."""
UNUSED = ("log_probabilities", "model_log_probabilities", "scores", "best", "row")
"""What sampling writes down that no row needs."""


@dataclass(kw_only=True)
class RowsOptions:
    """Make rows to learn from of prompts with several completions each."""

    data: str
    """Rows with prompt, completions and rewards, as `headstart lm sample` and `headstart lm judge` write them."""
    make: Make
    """Pairs: the best and the worst, a random or the second one; the first two; every two (all_pairs); two by two
    (first_round), with winners meeting again (tournament), or the best and worst of a knockout. Or the best alone, the
    one that `headstart lm sample --best-by` picked, or best and worst as one row each with a label (labels, for kto).
    rejection and top_k keep some completions, to be paired by --pairs."""
    out: Path
    """File to write, .jsonl. One that exists is refused."""
    judge: str | None = None
    """A judge that compares, such as pairwise:PATH, for knockout, tournament and first_round; by default the rewards
    decide."""
    length_penalty: float = 0.0
    """What each character takes from a completion's reward when it is ranked."""
    threshold: float = 0.0
    """Least difference of rewards of all_pairs."""
    kept: int = 8
    """Completions that rejection and top_k keep of each prompt."""
    sampling_beta: float = 0.5
    """Temperature of rejection, in units of the reward; choose it so that 5 to 30 % are accepted."""
    pairs: Literal["first_round", "tournament", "all_pairs", "none"] = "first_round"
    """What is made of the completions that rejection and top_k keep; none leaves them as they are."""
    seed: int = 0
    """Of rejection, and of who meets whom."""


def rows(arguments: Sequence[str]) -> int:
    """Run ``headstart lm rows``."""
    import tyro

    options = tyro.cli(RowsOptions, args=list(arguments), prog="headstart lm rows")
    from headstart.core.errors import DataError, UsageError
    from headstart.core.files import write_atomically
    from headstart.data.missing_rewards import without_unrewarded
    from headstart.data.rows import check_rows, load_rows

    if options.out.suffix != ".jsonl" or options.out.exists():
        raise UsageError(f"--out {options.out}: give a file that does not exist yet and ends in .jsonl")
    judge = _comparing(options)
    dataset = load_rows(options.data)
    if options.make == "picked":
        dataset = _picked(dataset, options.data)
    elif judge is None:
        dataset, lost = without_unrewarded(dataset)
        if lost:
            print(f"{sum(lost)} completions of {len(lost)} prompts left out: no reward")
        checked = check_rows(dataset, "scored")
        dataset = checked.dataset
        if checked.dropped:
            print(f"{options.data}: {checked}", file=sys.stderr)
    elif missing := {"prompt", "completions"} - set(dataset.column_names):
        raise DataError(f"{options.data} has no column {', '.join(sorted(missing))}")
    dataset = dataset.remove_columns([name for name in UNUSED if name in dataset.column_names])
    made, dropped = _made(dataset, options, judge)
    if len(made) == 0:
        reasons = "; ".join(f"{reason} ({len(ids)})" for reason, ids in dropped.items()) or "too few completions"
        raise DataError(f"{options.data} gives no rows by {options.make}: {reasons}")
    write_atomically(options.out, "".join(json.dumps(row) + "\n" for row in made.to_list()).encode())
    print(f"{len(made)} rows of {len(dataset)} prompts in {options.out}")
    for reason, ids in dropped.items():
        print(f"{len(ids)} prompts gave none: {reason}")
    return 0


def _comparing(options: RowsOptions) -> PairJudge | None:
    from headstart.core.errors import UsageError
    from headstart.judges.judge import PairJudge
    from headstart.judges.registry import make_judge

    if options.judge is None:
        if options.make == "knockout":
            raise UsageError("knockout needs --judge, one that compares, such as pairwise:PATH")
        return None
    if options.make not in COMPARED:
        raise UsageError(f"--make {options.make} goes by the rewards of the rows; leave --judge out")
    judge = make_judge(options.judge)
    if not isinstance(judge, PairJudge):
        raise UsageError(
            f"--judge {options.judge} scores; write its scores into the rows with `headstart lm judge`, or give one"
            " that compares"
        )
    return judge


def _picked(dataset: Dataset, name: str) -> Dataset:
    """The completion that sampling picked of each prompt; prompts without one are left out."""
    from datasets import Dataset

    from headstart.core.errors import DataError

    if missing := {"prompt", "completions", "best"} - set(dataset.column_names):
        raise DataError(f"{name} has no column {', '.join(sorted(missing))}; sample with --best-by")
    rows = []
    for row in dataset.to_list():
        if row["best"] is not None:
            several = {"completions", "completion_ids", "truncated", "rewards"}
            kept = {key: value for key, value in row.items() if key not in several}
            ids = {"completion_ids": row["completion_ids"][row["best"]]} if row.get("completion_ids") else {}
            rows.append({**kept, "completion": row["completions"][row["best"]], **ids})
    return Dataset.from_list(rows)


def _made(
    dataset: Dataset, options: RowsOptions, judge: PairJudge | None
) -> tuple[Dataset, Mapping[str, Sequence[Any]]]:
    """The rows, and which prompts gave none, by reason."""
    from headstart.data import row_conversion as convert
    from headstart.judges.judge import Forgiving

    make = options.make
    fair = None if judge is None else Forgiving(judge)
    if make == "picked":
        return dataset, {}
    if make == "best":
        return convert.best(dataset), {}
    if make == "knockout":
        assert fair is not None
        found = convert.knockout_pairs(dataset, fair)
        return found.dataset, found.dropped
    if make == "first_round" or make == "tournament":
        return _met(convert.in_rounds(dataset, fair, options.seed, ROUNDS[make]))
    if make == "rejection" or make == "top_k":
        if make == "rejection":
            kept = convert.rejection_sample(dataset, options.kept, options.sampling_beta, options.seed)
            share = sum(kept["acceptance"]) / len(kept)
            advice = "" if 0.05 <= share <= 0.3 else "; best is 5 to 30 %: change --sampling-beta"
            print(f"{share:.1%} of candidates would be accepted in a pass{advice}")
        else:
            kept = convert.top_k(dataset, options.kept)
        if options.pairs == "none":
            return kept, {}
        if options.pairs == "all_pairs":
            found = convert.to_pairs(kept, "all_pairs")
            return found.dataset, found.dropped
        return _met(convert.in_rounds(kept, seed=options.seed, rounds=ROUNDS[options.pairs]))
    rule = "best_worst" if make == "labels" else make
    found = convert.to_pairs(dataset, rule, options.length_penalty, options.threshold)
    labelled = make == "labels" and len(found.dataset) > 0
    return convert.pairs_to_labels(found.dataset) if labelled else found.dataset, found.dropped


def _met(found: Checked) -> tuple[Dataset, Mapping[str, Sequence[Any]]]:
    for reason, ids in found.noted.items():
        print(f"{len(ids)} pairs left out: {reason}")
    return found.dataset, found.dropped
