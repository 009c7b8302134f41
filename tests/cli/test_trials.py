"""Learners with worlds of their own, by name: all run, their numbers make sense, options that cannot be are refused."""

import json

import pytest

from headstart.bandits.registry import TRIALS as BANDIT_TRIALS
from headstart.cli import main
from headstart.finite.registry import TRIALS as FINITE_TRIALS

SMALL = {
    "vi-lcb": "--transitions 400",
    "glow": "--rounds 20",
    "hyglow": "--rounds 20",
    "ftpedel": "--epsilon 0.2",
    "pr-lsvi": "--rounds 40",
    "preference-thompson": "--rounds 40",
    "demo-regularized": "--epsilon 0.5",
    "demo-preferences": "--epsilon 0.6",
    "omle": "--episodes 40 --mode explore_then_commit --exploration 20",
    "collision-explore": "--length 3",
    "window-q": "--episodes 60",
    "cascading-vi": "--episodes 20 --items 5",
    "cascading-bpi": "--epsilon 3",
    "lcb": "--rows 1000 --logs 20",
    "recovering-ucb": "--horizon 300",
    "groupwise": "--rounds 200",
    "sor-bandit": "--systems 30",
    "heat": "--steps 8 --cells 6",
    "sparse-search": "--features 6 --actions 300",
}
BEST_LAST = {
    "ftpedel": ("online episodes", "without records"),
    "hyglow": ("regret", "records alone"),
    "sor-bandit": ("each system's best", "omega 1"),
    "lcb": ("LCB", "most played"),
}
"""A number of a trial that is below another of it even in a small run."""


def test_every_trial_has_a_small_form():
    """But for those whose model takes long to compile; tests of the finite wing run their learners."""
    slow = ["contrastive-game", "contrastive-ucb"]
    assert sorted([*SMALL, *slow]) == sorted([*FINITE_TRIALS.names(), *BANDIT_TRIALS.names()])


@pytest.mark.parametrize("name", SMALL)
def test_trials_run_by_name(name, capsys):
    wing = "finite" if name in FINITE_TRIALS else "bandit"
    assert main([wing, "simulate", name, *SMALL[name].split(), "--seeds", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (numbers,) = record["results"]
    assert all(value == value for value in numbers.values())
    assert [row["measure"] for row in record["summary"]] == list(numbers)
    if name in BEST_LAST:
        less, more = BEST_LAST[name]
        assert numbers[less] < numbers[more]


def test_trials_are_listed_and_explained(capsys):
    for wing, name, word in (("finite", "omle", "explore_then_commit"), ("bandit", "groupwise", "synthetic")):
        assert main([wing, "learners"]) == 0
        assert name in capsys.readouterr().out
        assert main([wing, "learners", name]) == 0
        assert word in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["finite", "simulate", "gloww"], "did you mean glow"),
        (["finite", "learners", "omel"], "did you mean omle"),
        (["finite", "simulate", "glow", "--rounds", "0"], "rounds is 0"),
        (["finite", "simulate", "glow", "--seeds", "0"], "seeds is 0"),
        (["finite", "simulate", "vi-lcb", "--mix", "2"], "mix is 2"),
        (["finite", "simulate", "ftpedel", "--covered", "9"], "there are 6 doors"),
        (["finite", "simulate", "window-q", "--episodes", "0"], "episodes is 0"),
        (["bandit", "simulate", "lcb", "--gap", "0"], "gap 0"),
        (["bandit", "simulate", "lcb", "--confidence", "1"], "strictly between"),
        (["bandit", "simulate", "recovering-ucb", "--capacity", "0"], "capacity"),
        (["bandit", "simulate", "sparse-search", "--epsilon", "0"], "epsilon is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
