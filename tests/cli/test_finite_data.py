"""``headstart finite fit`` and ``plan-online``, as typed by a user."""

import json

import numpy as np
import polars as pl
import pytest

from headstart.cli import main
from headstart.finite.episodes import collect
from headstart.finite.planning import backward_induction
from headstart.finite.rare_rooms import rare_rooms

WORLD = rare_rooms(doors=3)


def episodes(number: int, policy=None) -> pl.DataFrame:
    policy = np.full((2, 5, 3), 1 / 3) if policy is None else policy
    data = collect(WORLD, policy, number)
    columns = {"observation": data.observations, "action": data.actions, "reward": data.rewards}
    columns |= {"next_observation": data.next_observations}
    numbers = {"episode": np.repeat(np.arange(number), 2), "step": np.tile([0, 1], number)}
    return pl.DataFrame(numbers | {name: column.ravel() for name, column in columns.items()})


def test_recorded_episodes_lower_the_number_still_needed(tmp_path, capsys):
    best = np.asarray(backward_induction(WORLD).policy)
    episodes(2000).sample(fraction=1, shuffle=True, seed=0).write_parquet(tmp_path / "even.parquet")
    episodes(2000, best).write_csv(tmp_path / "best.csv")
    needed = {}
    for name in ("", "even.parquet", "best.csv"):
        flags = ["--data", str(tmp_path / name)] if name else []
        arguments = ["finite", "plan-online", "rare-rooms:doors=3", "--epsilon", "0.3", "--sample", "6", *flags]
        assert main([*arguments, "--json"]) == 0
        needed[name] = json.loads(capsys.readouterr().out)["episodes"]
    assert needed["even.parquet"] < needed["best.csv"] < needed[""]
    assert main(["finite", "plan-online", "rare-rooms:doors=2", "--sample", "1"]) == 0
    assert "episodes still needed" in capsys.readouterr().out


def test_a_policy_is_fitted_to_a_table(tmp_path, capsys):
    table = pl.DataFrame(
        {
            "observation": [0] * 40 + [1] * 10,
            "action": [0, 1] * 20 + [0] * 10,
            "reward": [0.2, 0.8] * 20 + [0.5] * 10,
            "next_observation": [0] * 40 + [1] * 10,
            "termination": [1] * 50,
        }
    )
    table.write_csv(tmp_path / "log.csv")
    out = tmp_path / "plan.npz"
    arguments = [
        "finite",
        "fit",
        str(tmp_path / "log.csv"),
        "--states",
        "3",
        "--discount",
        "0.5",
        "--json",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["action"] for row in shown["plan"]] == [1, 0, None]
    assert shown["share of states seen"] == pytest.approx(2 / 3)
    assert np.load(out)["policy"].shape == (3, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop("reward"), "lacks the columns reward"),
        (lambda table: table.head(5), "episode 2 has 1 rows"),
        (lambda table: table.with_columns(step=pl.lit(0)), "expected 0 to the last"),
        (lambda table: table.with_columns(action=pl.lit(7)), "expected 0 to 2"),
        (lambda table: table.with_columns(reward=pl.lit(None, pl.Float64)), "empty entries in reward"),
    ],
)
def test_tables_that_cannot_be_episodes_are_refused(change, words, tmp_path, capsys):
    change(episodes(10)).write_parquet(tmp_path / "data.parquet")
    assert main(["finite", "plan-online", "rare-rooms:doors=3", "--data", str(tmp_path / "data.parquet")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "flags", "words"),
    [
        ("observation,action,reward,next_observation\n0,0,1.5,0\n", [], "within [0, 1]"),
        ("observation,action,reward,next_observation\n0,0,nan,0\n", [], "within [0, 1]"),
        ("observation,action,reward,next_observation\n0.5,0,1,0\n", [], "whole numbers"),
        ("observation,action,reward,next_observation\n4,0,1,0\n", ["--states", "3"], "0 to 2"),
        ("observation,action,reward,next_observation\n0,0,1,0\n", ["--discount", "1"], "[0, 1)"),
        ("a\n1\n", [], "lacks the columns"),
    ],
)
def test_tables_that_cannot_be_transitions_are_refused(rows, flags, words, tmp_path, capsys):
    (tmp_path / "log.csv").write_text(rows)
    assert main(["finite", "fit", str(tmp_path / "log.csv"), *flags]) == 2
    assert words in capsys.readouterr().err


def test_missing_files_are_named(tmp_path, capsys):
    assert main(["finite", "fit", str(tmp_path / "none.csv")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["finite", "plan-online", "rare-rooms", "--policies", str(tmp_path / "none.npy")]) == 2
    assert "cannot be read" in capsys.readouterr().err
