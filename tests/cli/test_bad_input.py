"""Numbers that cannot be, as a user would hand them over on the command line: each is refused, and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.cli import main

EVEN, REWARD = np.full((2, 2, 2), 0.5), np.full((2, 2), 0.5)
HEAD = "action,reward,propensity\n"


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transition": EVEN * 0.9}, "transition at state 0, action 0 sums to 0.9"),
        ({"transition": EVEN + np.array([1, -1])}, "gives state 1 the probability -0.5"),
        ({"reward": REWARD[:1]}, "transition has 2 states and 2 actions, reward 1 and 2"),
        ({"transition": EVEN[:, :, :1]}, "goes from 2 states to 1"),
        ({"reward": 4 * REWARD}, "reward at state 0, action 0 is 2; mean rewards lie in [0, 1]: rescale"),
        ({"horizon": 0}, "horizon is 0; an episode needs a whole number of steps, at least 1"),
        ({"initial": [0.5, 0.4]}, "initial sums to 0.9"),
    ],
)
@pytest.mark.parametrize("command", ["solve", "plan-online"])
def test_worlds_that_cannot_be(command: str, change: dict, words: str, tmp_path: Path, capsys) -> None:
    arrays = {"transition": EVEN, "reward": REWARD, "horizon": 3} | change
    np.savez(tmp_path / "world.npz", **arrays)
    assert words in refusal(capsys, "finite", command, str(tmp_path / "world.npz"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("action,reward\n0,1\n", "no column 'propensity'"),
        (HEAD + "0,1,\n1,0,0.5\n", "propensity that is not within (0, 1]"),
        (HEAD + "0,1,0\n1,0,0.5\n", "the first is row 0 (0.0)"),
        (HEAD + "0,1,0.5\n1,0,1.5\n", "the first is row 1 (1.5)"),
        (HEAD + "0,3,0.5\n", "declared range [0, 1]"),
        (HEAD + "-1,1,0.5\n", "numbered from 0"),
        (HEAD + "red,1,0.5\n", "not numbers"),
    ],
)
def test_logs_that_cannot_be(rows: str, words: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "log.csv").write_text(rows)
    assert words in refusal(capsys, "bandit", "replay", str(tmp_path / "log.csv"), "ucb")


def test_an_arm_beyond_those_declared(tmp_path: Path, capsys) -> None:
    (tmp_path / "log.csv").write_text(HEAD + "0,1,0.5\n4,0,0.5\n")
    said = refusal(capsys, "bandit", "replay", str(tmp_path / "log.csv"), "ucb", "--arms", "3")
    assert "not one of 3 arms, numbered from 0; the first is row 1 (4)" in said


@pytest.mark.parametrize("confidence", ["0", "1", "-0.5", "1.5"])
def test_confidence_levels_that_are_none(confidence: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "log.csv").write_text(HEAD + "0,1,0.5\n1,0,0.5\n")
    log = str(tmp_path / "log.csv")
    assert "between 0 and 1" in refusal(capsys, "bandit", "replay", log, "ucb", "--confidence", confidence)
    world = ("--world", "two-rooms", "--confidence", confidence)
    assert "in (0, 1)" in refusal(capsys, "finite", "simulate", "ucbvi", *world)
    assert "between 0 and 1" in refusal(capsys, "bandit", "simulate", "linear", f"lin-ucb:confidence={confidence}")


def test_designs_without_full_rank(capsys) -> None:
    world = ("--world", "random-linear:states=3,actions=2,dimension=2,horizon=2")
    assert "full rank" in refusal(capsys, "finite", "simulate", "lsvi-ucb", *world, "--ridge", "0")
    assert "rank-deficient" in refusal(capsys, "bandit", "simulate", "linear", "lin-ucb:alpha=1,ridge=0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("finite", "simulate", "ucbvi", "--world", "river-swim:horizon=0"), "horizon is 0"),
        (("finite", "simulate", "ucbvi", "--world", "river-swim", "--episodes", "0"), "episodes is 0"),
        (("bandit", "simulate", "bernoulli", "ucb", "--horizon", "0"), "must be 1 or more"),
        (("bandit", "simulate", "bernoulli:arms=0", "ucb"), "not empty"),
        (("finite", "plan-online", "two-rooms", "--epsilon", "0"), "epsilon is 0"),
        (("finite", "plan-online", "two-rooms", "--beta", "-1"), "beta is -1"),
    ],
)
def test_lengths_and_constants_that_cannot_be(arguments: tuple[str, ...], words: str, capsys) -> None:
    assert words in refusal(capsys, *arguments)
