"""Whole searches, of functions: what is trained with which seeds, what it costs, and going on after an interruption."""

import json

import numpy as np
import pytest

from headstart.core.domain import Choice, Real
from headstart.core.errors import DataError, HeadstartError, UsageError
from headstart.tune.journal import Journal
from headstart.tune.setup import parse_seeds
from headstart.tune.space import Space
from headstart.tune.tuning import Execution, Tuning, resume_search, tune_function

SPACE = Space({"x": Real(0.0, 1.0), "y": Real(1e-4, 1.0, "log")})
POINTS = tuple(range(10, 91, 10))


def search(folder, function="quadratic", **options):
    settings = {"full": 90, "points": POINTS, "trials": 6, "tuning_seeds": (0, 1), "test_seeds": (7, 8, 9)}
    execution = Execution(quiet=True)
    space = options.pop("space", SPACE)
    return tune_function(f"tuned_functions:{function}", space, folder=folder, execution=execution, **settings | options)


def resume(folder):
    return resume_search(folder, Execution(quiet=True))


@pytest.mark.parametrize("sampler", ["random", "tpe", "dehb", "pbt"])
def test_what_is_chosen_by_some_seeds_is_tested_with_others(tmp_path, in_this_process, sampler):
    found = search(tmp_path / "search", sampler=sampler, default={"x": 0.9, "y": 0.9})
    assert {path.name for path in tmp_path.glob("search/trials/*/seed-*")} == {"seed-0", "seed-1"}
    assert {path.name for path in tmp_path.glob("search/tests/*/seed-*")} == {"seed-7", "seed-8", "seed-9"}
    assert (len(found.tuning_scores), len(found.test_scores()), len(found.test_scores("default"))) == (2, 3, 3)
    scores = [trial.score() for trial in found.history.trials.values() if found.history.state(trial) == "finished"]
    assert found.incumbent.score() == max(scores) == found.tuning_scores.mean()
    assert found.gap.estimate == pytest.approx(found.tuning_scores.mean() - found.test_scores().mean())
    assert found.gain.low > 0  # the default is far from the best
    assert found.history.spent <= found.setup.budget == 6 * 90 * 2


@pytest.mark.parametrize("sampler", ["tpe", "dehb", "bgt"])
def test_an_interrupted_search_ends_as_it_would_have(tmp_path, in_this_process, sampler):
    options = {"sampler": sampler, "trials": 4, "points": (10, 30, 50, 70, 90)}
    search(tmp_path / "whole", **options)
    for count in (3, 8):
        in_this_process(count)
        folder = tmp_path / f"after-{count}"
        with pytest.raises(KeyboardInterrupt):
            search(folder, **options)
        with open(folder / "journal.jsonl", "a") as journal:
            journal.write('{"event": "outc')  # a line that a kill cut short
        in_this_process(None)
        resume(folder)
        ours, theirs = (found(path) for path in (folder, tmp_path / "whole"))
        assert ours == theirs


def found(folder):
    """All that a journal says, whatever the order in which processes ended."""
    history = Tuning.open(folder).history
    trials = {number: (trial.step, trial.scores, trial.spent) for number, trial in history.trials.items()}
    return trials, {name: (test.scores, test.spent) for name, test in history.tests.items()}


def test_a_finished_search_is_left_as_it_is(tmp_path, in_this_process):
    search(tmp_path / "search")
    before = (tmp_path / "search" / "journal.jsonl").read_bytes()
    assert len(resume(tmp_path / "search").test_scores()) == 3
    assert (tmp_path / "search" / "journal.jsonl").read_bytes() == before


def test_copies_go_on_from_their_parents_state(tmp_path, in_this_process):
    found = search(tmp_path / "search", "travelling", sampler="pbt", trials=8, tuning_seeds=(0,))
    copies = [trial for trial in found.history.trials.values() if trial.step.parent is not None]
    assert copies
    for trial in copies:
        state = json.loads(
            (tmp_path / "search" / "trials" / f"{trial.number:04d}" / "seed-0" / "state.json").read_text()
        )
        place, begun = 0.0, 0
        for steps, configuration in trial.step.schedule:
            place, begun = place + (steps - begun) * (1 - abs(configuration["x"] - 0.7)), steps
        assert state["at"] == pytest.approx(place)
    assert found.history.spent == 8 * 90  # what parents had trained is not paid for twice
    # The test goes through the whole schedule of the incumbent, its ancestors' part included.
    assert found.test_scores() == pytest.approx([found.incumbent.score()] * 3)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"test_seeds": (1, 2)}, "seeds 1 are both"),
        ({"tuning_seeds": (0, 0)}, "each once"),
        ({"tuning_seeds": ()}, "no tuning seeds"),
        ({"trials": 0}, "at least one whole trial"),
        ({"sampler": "annealing"}, "expected one of random"),
        ({"sampler": "dehb", "pruner": "median"}, "leave out the pruner"),
        ({"sampler": "pbt", "trials": 1}, "at least 2"),
        ({"sampler": "pbt", "points": (90,)}, "smaller evaluate_every"),
        ({"function": "nothing"}, "unknown attribute"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path, change, why):
    with pytest.raises(UsageError, match=why):
        search(tmp_path / "search", **change)
    assert not (tmp_path / "search").exists()


def test_a_trial_that_fails_is_marked_and_what_it_did_not_spend_is_kept(tmp_path, in_this_process):
    space = Space({"behaviour": Choice(("works", "raises", "not a number"))})
    found = search(tmp_path / "search", "ill_behaved", space=space, sampler="random", trials=5, tuning_seeds=(0,))
    states = {trial.configuration["behaviour"]: found.history.state(trial) for trial in found.history.trials.values()}
    assert states == {"works": "finished", "raises": "failed", "not a number": "failed"}
    assert sum(found.history.state(trial) == "finished" for trial in found.history.trials.values()) == 5
    assert found.incumbent.configuration == {"behaviour": "works"}
    errors = {error for trial in found.history.trials.values() for error in trial.errors.values()}
    assert errors == {"RuntimeError: no luck", "tuned_functions:ill_behaved returned nan; a score is a finite number"}


def test_a_search_in_which_nothing_works_gives_up_and_says_why(tmp_path, in_this_process):
    with pytest.raises(HeadstartError, match=r"first 6 trials all failed.*never works"):
        search(tmp_path / "search", "failing", sampler="random", trials=50)


def test_records_that_cannot_be_trusted_are_refused(tmp_path, in_this_process):
    folder = tmp_path / "search"
    search(folder)
    with pytest.raises(UsageError, match="exists already"):
        search(folder)
    with pytest.raises(UsageError, match="not a search"):
        Tuning.open(tmp_path)
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    held = Journal(journal)
    with pytest.raises(UsageError, match="another process"):
        resume(folder)
    held.close()
    journal.write_text("".join([lines[0].replace('"x": ', '"x": 1'), *lines[1:]]))
    with pytest.raises(DataError, match="trial 0 of the journal"):
        resume(folder)
    journal.write_text("".join([lines[0], "not an event\n", *lines[2:]]))
    with pytest.raises(DataError, match="line 2"):
        Tuning.open(folder)


def test_seeds_as_typed():
    assert parse_seeds("0-2,7, 9-9") == (0, 1, 2, 7, 9)
    for text in ("2-0", "a", "-1", "1-"):
        with pytest.raises(UsageError, match="cannot read"):
            parse_seeds(text + ",x")


def test_the_gap_is_nothing_where_seeds_make_no_difference(tmp_path, in_this_process):
    found = search(tmp_path / "search", "travelling", sampler="random", points=(90,))
    assert (found.gap.estimate, found.gap.low, found.gap.high) == (0.0, 0.0, 0.0)
    assert np.ptp(found.test_scores()) == 0.0
