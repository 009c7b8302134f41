"""``headstart train`` and what follows it, as typed by a user."""

import dataclasses
import json

import pytest

from headstart.cli import COMMANDS, main
from headstart.control.registry import METHODS
from headstart.runs.folder import RunFolder

SMALL = ["--hidden", "16", "--batch-size", "16", "--log-every", "50", "--evaluate-every", "100"]
SMALL += ["--checkpoint-every", "100", "--evaluate-episodes", "2", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sac"
    arguments = ["train", "sac", "--env", "pendulum", "--online-steps", "100", "--warmup-steps", "50"]
    assert (
        main([*arguments, "--seeds", "2", "--first-seed", "4", "--discount", "0.97", "--out", str(folder), *SMALL]) == 0
    )
    return folder


def refusal(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("command", ["train", "tune"])
def test_every_method_shows_its_fields_as_flags(command, method, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, method, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for field in dataclasses.fields(METHODS.get(method)):
        assert f"--{field.name.replace('_', '-')}" in shown
    if command == "train":  # what to learn from, for how long, how, and the rest
        places = [shown.index(flag) for flag in ("--data", "--offline-steps", "--discount", "--log-every")]
        assert places == sorted(places)


def test_the_method_within_a_method_has_flags_of_its_own(tmp_path):
    arguments = ["train", "wsrl", "--data", "halfcheetah-first-steps", "--env", "HalfCheetah-v5", "--discount", "0.98"]
    arguments += ["--offline-steps", "2", "--warmup-steps", "5", "--online-steps", "5", "--critics", "2"]
    folder = tmp_path / "wsrl"
    assert main([*arguments, "--pretraining.conservative-weight", "2", "--out", str(folder), *SMALL]) == 0
    recorded = RunFolder.open(folder).config["method"]
    assert (recorded["discount"], recorded["pretraining"]["conservative_weight"]) == (0.98, 2.0)
    assert recorded["pretraining"]["name"] == "cal-ql"


def test_flags_reach_the_method_and_the_plan(run):
    recorded = RunFolder.open(run)
    assert recorded.seeds == [4, 5]
    assert recorded.config["method"]["discount"] == 0.97
    assert [(phase["kind"], phase["steps"]) for phase in recorded.config["plan"]] == [("warmup", 50), ("online", 100)]
    assert recorded.state() == "finished"


def test_a_finished_run_is_played_listed_exported_and_reported(run, tmp_path, capsys):
    assert main(["eval", str(run), "--episodes", "3", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["4"]["returns"]) == 3
    assert main(["runs", str(run.parent), "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["method"], row["world"], row["state"], row["seeds"]) == ("sac", "pendulum", "finished", 2)
    assert main(["export", str(run), str(tmp_path / "policy.onnx")]) == 0
    assert (tmp_path / "policy.onnx").stat().st_size > 1000
    assert (
        main(["report", str(run), "--out", str(tmp_path / "page.html"), "--figure", str(tmp_path / "curves.svg")]) == 0
    )
    assert "<html" in (tmp_path / "page.html").read_text()[:100]
    assert main(["resume", str(run), "--quiet"]) == 0


def test_wrong_input_is_answered_with_what_to_do(run, tmp_path, capsys):
    assert "did you mean train" in refusal(capsys, "trian")
    assert "did you mean" in refusal(capsys, "train", "sacc", "--env", "pendulum")
    assert "Hopper" in refusal(capsys, "train", "sac", "--env", "Hoper-v5", "--out", tmp_path / "x")
    assert "give a world" in refusal(capsys, "train", "sac", "--online-steps", "10", "--out", tmp_path / "x")
    assert "exists already" in refusal(capsys, "train", "sac", "--env", "pendulum", "--out", run, *SMALL)
    assert "is not a run" in refusal(capsys, "eval", tmp_path)
    assert "no seed 9" in refusal(capsys, "export", run, tmp_path / "p.onnx", "--seed", "9")
    assert ".onnx" in refusal(capsys, "export", run, tmp_path / "policy.pt")
    assert "is no condition" in refusal(capsys, "runs", "--where", "method")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"data", "papers"}))
def test_every_command_explains_itself(command, capsys):
    try:
        status = main([command, "--help"])
    except SystemExit as stopped:
        status = stopped.code
    assert status in (0, None)
    assert f"headstart {command}" in capsys.readouterr().out
