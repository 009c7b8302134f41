"""``headstart bandit`` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headstart.cli import main


def test_simulate_prints_regret_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bandit", "simulate", "bernoulli-gap:arms=3", "imed", "epsilon-greedy:epsilon=1"]
    command += ["--horizon", "200", "--seeds", "5"]
    assert main([*command, "--json", "--figure", str(tmp_path / "regret.svg")]) == 0
    numbers = json.loads(capsys.readouterr().out)["learners"]
    imed, uniform = numbers["imed"], numbers["epsilon-greedy:epsilon=1"]
    assert imed["steps"][-1] == 200
    assert imed["low"][-1] <= imed["regret"][-1] <= imed["high"][-1] < uniform["low"][-1]
    assert (tmp_path / "regret.svg").read_bytes().startswith(b"<?xml")
    assert main(command) == 0
    assert "imed" in capsys.readouterr().out


def test_options_may_be_called_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bandit", "simulate", "table:name=wine", "epsilon-greedy", "--horizon", "20", "--seeds", "2"]
    assert main(command) == 0
    assert "table:name=wine" in capsys.readouterr().out


@pytest.fixture
def log(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    actions = random.integers(0, 3, 400)
    rewards = (random.uniform(size=400) < np.array([0.2, 0.5, 0.8])[actions]).astype(float)
    table = pl.DataFrame({"action": actions, "reward": rewards, "propensity": np.full(400, 1 / 3)})
    table.write_csv(tmp_path / "log.csv")
    np.save(tmp_path / "last.npy", np.tile([0.0, 0.0, 1.0], (400, 1)))
    return tmp_path / "log.csv"


def test_replay_values_learners_and_policies(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = str(log.with_name("last.npy"))
    assert main(["bandit", "replay", str(log), "ucb:scale=0.5", "--policy", policy, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rows"] == 400
    estimate = answer["policies"][policy]["self-normalised"]
    assert estimate["low"] < 0.8 < estimate["high"]
    assert answer["policies"]["ucb:scale=0.5"]["doubly robust"]["value"] > answer["logged"]["high"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulat"], "simulate"),
        (["simulate", "bernouli", "ucb"], "bernoulli"),
        (["simulate", "bernoulli", "ucb:scale=wide"], "scale"),
        (["simulate", "bernoulli", "lin-ucb:alpha=1"], "features"),
        (["simulate", "bernoulli"], "at least one learner"),
        (["simulate", "bernoulli", "ucb", "--confidence", "1"], "strictly between"),
        (["simulate", "bernoulli", "ucb", "--horizon", "0"], "horizon"),
        (["replay", "nothing.csv"], "does not exist"),
        (["serve", "FOLDER"], "name a learner"),
        (["serve", "FOLDER", "ucb"], "how many arms"),
        (["serve", "FOLDER", "exp3", "--arms", "2", "--reward-high", "inf"], "unbounded"),
        (["learners", "ucv"], "ucb"),
    ],
)
def test_what_cannot_work_is_refused_in_words(arguments, words, tmp_path, capsys) -> None:
    arguments = [str(tmp_path / "new") if word == "FOLDER" else word for word in arguments]
    assert main(["bandit", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_refused_service_leaves_nothing_behind(tmp_path: Path) -> None:
    assert main(["bandit", "serve", str(tmp_path / "new"), "lin-ucb", "--arms", "2"]) == 2
    assert main(["bandit", "serve", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in ((["worlds"], "open-bandit"), (["learners"], "kl-ucb"), (["learners", "lin-ucb"], "alpha")):
        assert main(["bandit", *arguments]) == 0
        assert word in capsys.readouterr().out
