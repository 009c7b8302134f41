"""Worlds, policies and logs that cannot be, as typed: refused before anything is computed, with what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headstart.cli import main

EVEN, NOTHING = np.full((2, 2, 2), 0.5), np.zeros((2, 2))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"transition": np.full((2, 2, 2), 0.4)}, "transition at state 0, action 0 sums to 0.8"),
        ({"transition": [[[1.5, -0.5], [1, 0]], [[1, 0], [1, 0]]]}, "gives state 1 the probability -0.5"),
        ({"transition": EVEN * np.nan}, "the probability nan"),
        ({"transition": np.full((3, 2, 2), 0.5)}, "3 states to 2"),
        ({"reward": np.zeros((3, 2))}, "reward 3 and 2"),
        ({"reward": [[0, 0], [2, 0]]}, "reward at state 1, action 0 is 2; mean rewards lie in [0, 1]"),
        ({"reward": [[0, -1], [0, 0]]}, "reward at state 0, action 1 is -1"),
        ({"horizon": 0}, "horizon is 0; an episode needs a whole number of steps, at least 1"),
        ({"horizon": float("nan")}, "horizon is nan"),
        ({"initial": [0.5, 0.2]}, "initial sums to 0.7"),
    ],
)
@pytest.mark.parametrize("command", [["solve"], ["simulate", "ucbvi", "--world"]])
def test_worlds(command, arrays, words, tmp_path: Path, capsys) -> None:
    path = tmp_path / "world.npz"
    np.savez(path, **({"transition": EVEN, "reward": NOTHING, "horizon": 3} | arrays))
    assert main(["finite", *command, str(path)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "world.npz" in error


def test_policies_are_valued_or_refused(tmp_path: Path, capsys) -> None:
    good, bad = np.full((20, 6, 2), 0.5), np.full((20, 6, 2), 0.5)
    bad[3, 1] = 0.7
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "bad.npy", bad)
    assert main(["finite", "evaluate", "river-swim", str(tmp_path / "good.npy")]) == 0
    assert "suboptimality" in capsys.readouterr().out
    assert main(["finite", "evaluate", "river-swim", str(tmp_path / "bad.npy")]) == 2
    assert "the policy at step 3, state 1 is [0.7, 0.7], which sums to 1.4" in capsys.readouterr().err
    assert main(["finite", "evaluate", "river-swim:horizon=5", str(tmp_path / "good.npy")]) == 2
    assert "shape [20, 6, 2]; expected [5, 6, 2]" in capsys.readouterr().err
    assert main(["finite", "evaluate", "river-swim", str(tmp_path / "none.npy")]) == 2
    assert "cannot be read as a policy" in capsys.readouterr().err


def test_a_policy_is_valued_beside_what_records_cover(tmp_path: Path, capsys) -> None:
    assert main(["finite", "solve", "combination-lock:horizon=2", "--out", str(tmp_path / "best.npz")]) == 0
    rows = {"episode": [0, 0], "step": [0, 1], "observation": [0, 1], "action": [0, 0], "reward": [0.1, 0.0]}
    pl.DataFrame(rows | {"next_observation": [1, 1]}).write_csv(tmp_path / "data.csv")
    capsys.readouterr()
    command = ["finite", "evaluate", "combination-lock:horizon=2", str(tmp_path / "best.npz")]
    assert main([*command, "--data", str(tmp_path / "data.csv")]) == 0
    shown = capsys.readouterr().out
    assert "suboptimality: 0" in shown
    assert "goes where the recorded episodes never went" in shown


def log(path: Path, **columns) -> str:
    table = {"action": [0, 1, 1], "reward": [0.0, 1.0, 0.5], "propensity": [0.5, 0.5, 0.5]} | columns
    pl.DataFrame({name: column for name, column in table.items() if column is not None}).write_csv(path)
    return str(path)


@pytest.mark.parametrize(
    ("columns", "flags", "words"),
    [
        ({"propensity": [0.5, 0.0, 0.5]}, [], "propensity that is not within (0, 1]"),
        ({"propensity": [0.5, None, 0.5]}, [], "the first is row 1 (nan)"),
        ({"propensity": None}, [], "has no column 'propensity'; it has action, reward"),
        ({"propensity": [1.5, 0.5, 0.5]}, [], "the first is row 0 (1.5)"),
        ({}, ["--arms", "1"], "not one of 1 arms, numbered from 0; the first is row 1 (1)"),
        ({"action": [0.5, 1.0, 1.0]}, [], "a whole number from 0"),
        ({"action": ["a", "b", "b"]}, [], "holds String, not numbers"),
        ({"reward": [0.0, 7.0, 0.5]}, [], "declared range [0, 1]; the first is row 1 (7.0)"),
        ({"reward": [0.0, float("nan"), 0.5]}, [], "the first is row 1 (nan)"),
        ({"feature": [0.1, float("inf"), 0.5]}, [], "context that is not made of finite numbers"),
        ({}, ["--confidence", "1"], "strictly between 0 and 1"),
        ({}, ["--resamples", "-5"], "resamples must be 0"),
        ({}, ["--policy", "POLICY"], "which sums to 1.4"),
    ],
)
def test_logs(columns, flags, words, tmp_path: Path, capsys) -> None:
    np.save(tmp_path / "policy.npy", np.full((3, 2), 0.7))
    flags = [str(tmp_path / "policy.npy") if flag == "POLICY" else flag for flag in flags]
    assert main(["bandit", "replay", log(tmp_path / "log.csv", **columns), *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("learner", "words"),
    [
        ("lin-ucb:ridge=0", "ridge must be a positive number; given 0. Without it the design is rank-deficient"),
        ("lin-ucb:confidence=1.5", "confidence must lie strictly between 0 and 1"),
        ("lin-ucb:alpha=-1", "alpha must be a number of at least 0"),
    ],
)
def test_constants(learner: str, words: str, tmp_path: Path, capsys) -> None:
    path = log(tmp_path / "log.csv", feature=[0.1, 0.2, 0.3])
    assert main(["bandit", "replay", path, learner]) == 2
    assert words in capsys.readouterr().err


def test_long_features_are_warned_of(tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", feature=[3.0, 0.2, 0.3])
    with pytest.warns(UserWarning, match="norm 3, above 1: the radius of the confidence ellipsoid"):
        assert main(["bandit", "replay", path, "lin-ucb"]) == 0
