"""``headstart finite``, as typed by a user."""

import json

import numpy as np
import pytest

from headstart.cli import main


def refusal(capsys, *arguments):
    assert main(["finite", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_a_world_of_ones_own_is_solved_and_learned(tmp_path, capsys):
    random = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    np.savez(path, transition=random.dirichlet(np.ones(3), (3, 2)), reward=random.random((3, 2)), horizon=4)
    assert main(["finite", "solve", str(path), "--json", "--out", str(tmp_path / "policy.npz")]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert len(solved["at the start"]) == 3
    with np.load(tmp_path / "policy.npz", allow_pickle=False) as solution:
        assert solution["policy"].shape == (4, 3, 2)
        assert solution["values"][0, 0] == pytest.approx(solved["optimal value"])

    arguments = ["--world", str(path), "--episodes", "50", "--seeds", "3", "--points", "5", "--scale", "0.3"]
    assert main(["finite", "simulate", "ucbvi", *arguments, "--out", str(tmp_path / "curves.json")]) == 0
    assert "regret" in capsys.readouterr().out
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert curves["fields"]["scale"] == 0.3
    assert np.shape(curves["regret"]) == (3, 5)
    assert curves["optimal"] == pytest.approx(solved["optimal value"])


def test_a_discounted_world_is_solved(tmp_path, capsys):
    path = tmp_path / "mine.npz"
    np.savez(path, transition=np.full((2, 2, 2), 0.5), reward=[[0, 1], [0, 1]], discount=0.5)
    assert main(["finite", "solve", str(path)]) == 0
    assert "optimal value: 2" in capsys.readouterr().out
    assert "discounted" in refusal(capsys, "simulate", "ucbvi", "--world", path)


def test_worlds_and_learners_are_listed_and_explained(capsys):
    assert main(["finite", "worlds"]) == 0
    assert main(["finite", "worlds", "river-swim"]) == 0
    assert main(["finite", "learners"]) == 0
    assert main(["finite", "learners", "ucbvi"]) == 0
    shown = capsys.readouterr().out
    for word in ("river-swim:states=6,horizon=20", "ucb-q", "hoeffding"):
        assert word in shown


def test_wrong_input_is_answered_with_what_to_do(tmp_path, capsys):
    assert "did you mean solve" in refusal(capsys, "slove")
    assert "did you mean river-swim" in refusal(capsys, "solve", "river-swym")
    assert "did you mean ucbvi" in refusal(capsys, "simulate", "ucbv", "--world", "river-swim")
    assert "confidence is 1.2" in refusal(capsys, "simulate", "ucbvi", "--world", "river-swim", "--confidence", 1.2)
    path = tmp_path / "bad.npz"
    np.savez(path, transition=np.full((2, 2, 2), 0.4), reward=np.zeros((2, 2)), horizon=3)
    assert "state 0, action 0 sums to 0.8" in refusal(capsys, "solve", path)
