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


def check_only_own_pages_are_replaced(run, tmp_path, capsys):
    notes = tmp_path / "notes.html"
    notes.write_text("<html>mine</html>")
    assert "no page that headstart wrote" in refusal(capsys, "report", run, "--out", notes)
    assert notes.read_text() == "<html>mine</html>"
    assert main(["report", str(run), "--out", str(notes), "--overwrite"]) == 0
    assert main(["report", str(run), "--out", str(notes), "--title", "Again"]) == 0
    assert "<title>Again</title>" in notes.read_text()


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
    check_only_own_pages_are_replaced(run, tmp_path, capsys)
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


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--batch-size", "0"), "batch_size of sac is 0; expected 1 or more"),
        (("--discount", "1.5"), "discount of sac is 1.5; expected 0 to 1"),
        (("--learning-rate", "-1"), "learning_rate of sac is -1"),
        (("--hidden", "0"), "hidden of sac"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_anything_is_made(flags, said, tmp_path, capsys):
    folder = tmp_path / "run"
    assert said in refusal(capsys, "train", "sac", "--env", "pendulum", "--out", folder, *flags)
    assert not folder.exists()


@pytest.mark.parametrize("flag", ["log-every", "evaluate-every", "checkpoint-every", "evaluate-episodes", "worlds"])
def test_settings_that_make_no_sense_are_refused_before_anything_is_made(flag, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "sac", "--env", "pendulum", "--out", str(tmp_path / "run"), f"--{flag}", "0"])
    assert ended.value.code == 2
    assert f"{flag.replace('-', '_')} is 0; expected 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_world_of_ones_own_is_learned_in_and_evaluated_by_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_world.py").write_text(
        "import gymnasium, numpy as np\n"
        "class Walk(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-9, 9, (1,))\n"
        "    action_space = gymnasium.spaces.Box(-1, 1, (1,))\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        self.x, self.t = 0.0, 0\n"
        "        return np.array([self.x], np.float32), {}\n"
        "    def step(self, action):\n"
        "        self.x, self.t = self.x + float(action[0]), self.t + 1\n"
        "        return np.array([self.x], np.float32), -abs(self.x), False, self.t == 5, {}\n"
        "def made():\n"
        "    return Walk()\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("my_world:Walk", "my_world:made"):
        folder = tmp_path / name.replace(":", "-")
        given = ["--env", name, "--warmup-steps", "50", "--online-steps", "100", "--out", str(folder)]
        assert main(["train", "sac", *given, *SMALL]) == 0
        assert main(["eval", str(folder), "--episodes", "2"]) == 0
    assert "unknown" not in capsys.readouterr().err
    assert "my_world" in refusal(capsys, "train", "sac", "--env", "my_world:Run", "--out", tmp_path / "none")


def test_the_worlds_of_the_grid_datasets_can_be_learned_in(tmp_path):
    given = ["--env", "headstart.envs.grids:four_rooms", "--online-steps", "60", "--out", str(tmp_path / "run")]
    assert main(["train", "dqn", *given, *SMALL]) == 0
