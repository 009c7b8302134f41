"""Trials that are trainings: by stretches, by live states, and from the command line."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from headstart.cli import main
from headstart.cli.tune import Options
from headstart.control.configuration import method_to_json
from headstart.control.plan import online, plan_to_json, warmup
from headstart.control.registry import METHODS
from headstart.control.sac import SAC
from headstart.control.trainer import Settings
from headstart.core.errors import UsageError
from headstart.runs.folder import RunFolder
from headstart.tune.objective import TrainingObjective, objective_from_json
from headstart.tune.space import space_of
from headstart.tune.tuning import Execution, Tuning, tune

METHOD = SAC(hidden=(8,), batch_size=8)
SETTINGS = {"log_every": 50, "evaluate_every": 50, "checkpoint_every": 100, "evaluate_episodes": 2}


def objective(**changes):
    fields = {
        "method": method_to_json(METHOD),
        "world": "pendulum",
        "data": None,
        "plan": plan_to_json([warmup(50, "random"), online(150)]),
        "settings": dataclasses.asdict(Settings(**SETTINGS)),
    }
    return TrainingObjective(**fields | changes)


def agent(folder):
    latest = max((folder / "checkpoints").iterdir())
    return load_file(latest / "agent.safetensors")


def train(schedule, folder):
    return objective().train(schedule, 3, folder / "seed-3", lambda done: None)


def test_training_by_stretches_is_training(tmp_path):
    same = {"learning_rate": 3e-4}
    whole = train(((200, same),), tmp_path / "whole")
    for steps in (100, 150, 200):
        last = train(((steps, same),), tmp_path / "pieces")
        assert objective().progress(tmp_path / "pieces" / "seed-3") == steps
    assert last == whole
    for name, array in agent(tmp_path / "whole" / "seed-3").items():
        np.testing.assert_array_equal(array, agent(tmp_path / "pieces" / "seed-3")[name], err_msg=name)
    # Another learning rate from half way on; asking again changes nothing.
    changed = train(((100, same), (200, {"learning_rate": 1e-2})), tmp_path / "changed")
    assert changed != whole
    assert train(((100, same), (200, {"learning_rate": 1e-2})), tmp_path / "changed") == changed


def test_points_are_where_the_plan_evaluates_learning():
    assert objective().points == (100, 150, 200)
    assert objective().full == 200
    assert objective_from_json(objective().to_json()) == objective()


@pytest.mark.parametrize(
    ("change", "space", "while_training", "why"),
    [
        ({"metric": "evaluation/retrun"}, ["discount"], False, "did you mean evaluation/return"),
        ({"metric": "loss/critic"}, ["discount"], False, "unknown metric"),
        ({"world": "pendulun"}, ["discount"], False, "pendulum"),
        ({}, ["hidden=8,16"], True, "shape of the networks"),
        ({}, ["critics=2:4"], True, "shape of the networks"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, space, while_training, why):
    with pytest.raises(UsageError, match=why):
        objective(**change).check(space_of(METHOD, space), while_training)


def test_shapes_may_differ_between_trials_and_rates_within_them():
    objective().check(space_of(METHOD, ["hidden=8,16"]), False)
    objective().check(space_of(METHOD, ["learning_rate", "discount", "batch_size"]), True)


def test_a_search_as_typed(tmp_path, in_this_process, capsys):
    folder = tmp_path / "search"
    small = ["--hidden", "8", "--batch-size", "8", "--log-every", "50", "--evaluate-every", "50", "--quiet"]
    small += ["--checkpoint-every", "100", "--evaluate-episodes", "2", "--online-steps", "100", "--warmup-steps", "0"]
    asked = ["--world", "pendulum", "--space", "learning_rate=1e-4:1e-2:log", "--sampler", "random", "--trials", "2"]
    seeds = ["--tuning-seeds", "0", "--test-seeds", "5-6", "--out", str(folder)]
    assert main(["tune", "sac", *asked, *seeds, *small]) == 0
    shown = capsys.readouterr().out
    assert "gap (tuning minus test)" in shown
    assert "test seeds: 5, 6" in shown
    found = Tuning.open(folder)
    trial = RunFolder.open(folder / "trials" / "0001")
    assert trial.config["method"]["learning_rate"] == found.history.trials[1].configuration["learning_rate"]
    assert RunFolder.open(folder / "tests" / "incumbent").seeds == [5, 6]
    assert main(["runs", str(folder), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 3
    assert main(["tune", "report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    assert "<html" in (tmp_path / "page.html").read_text()[:100]
    assert main(["tune", "sac", *asked, "--tuning-seeds", "0-3", "--test-seeds", "3-4", *small]) == 2
    assert "seeds 3 are both tuning and test seeds" in capsys.readouterr().err


def test_searches_that_cannot_work_are_refused(tmp_path):
    for change, why in (
        ({"world": None}, "no world"),
        ({"space": ["learning_rate=1:0"]}, "low end"),
        ({"online_steps": 0}, "no steps"),
    ):
        arguments = {"world": "pendulum", "space": ["learning_rate"], "folder": tmp_path / "search"} | change
        with pytest.raises(UsageError, match=why):
            tune(METHOD, **arguments)
    assert not (tmp_path / "search").exists()


def test_no_field_of_a_method_is_hidden_by_an_option_of_the_search():
    own = [field.name for kind in (Options, Execution, Settings) for field in dataclasses.fields(kind)]
    own.remove("sampler")  # how data are drawn is called --data-sampler here
    assert len(set(own)) == len(own)
    fields = {name: {field.name for field in dataclasses.fields(METHODS.get(name))} for name in METHODS.names()}
    assert {name: known & set(own) for name, known in fields.items() if known & set(own)} == {}
