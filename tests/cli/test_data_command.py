"""``headstart data``, as typed by a user."""

import json

import numpy as np
import pytest

from headstart.cli import main
from headstart.data.experience import Experience
from headstart.data.registry import load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


def refusal(capsys, *arguments):
    assert main(["data", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_a_dataset_is_built_listed_described_and_converted(tmp_path, capsys):
    assert main(["data", "build", "pendulum-expert", "--transitions", "600", "--quiet"]) == 0
    assert "pendulum-expert" in capsys.readouterr().out
    assert main(["data", "list", "--match", "pendulum-*", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (listed["pendulum-expert"]["state"], listed["pendulum-expert"]["rows"]) == ("built", 600)
    assert listed["pendulum-random"]["state"] == "recipe"

    figure = tmp_path / "figure.svg"
    assert main(["data", "info", "pendulum-expert", "--json", "--figure", str(figure)]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["description"]["n_trajectories"] == 3
    assert described["metadata"]["recipe"] == "pendulum-expert"
    low, high = -1229.2, -149.65  # the world's reference returns
    mean = described["description"]["mean_return"]
    assert described["description"]["tq"] == pytest.approx((mean - low) / (high - low))
    assert "<svg" in figure.read_text()

    assert main(["data", "convert", "pendulum-expert", str(tmp_path / "copy.hdf5")]) == 0
    copy = load(tmp_path / "copy.hdf5")
    np.testing.assert_array_equal(copy.observations, load("pendulum-expert").observations)
    capsys.readouterr()
    assert main(["data", "info", "pendulum-expert", "--reference", "pendulum-expert"]) == 0
    shown = capsys.readouterr().out
    assert "3 complete" in shown
    assert "1.000" in shown
    assert "episodes by return" in shown


def test_what_is_not_built_here_is_listed_with_the_reason_and_its_names(capsys):
    assert main(["data", "list", "--match", "antmaze-*", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in rows} == {"elsewhere"}
    assert all("days of training" in row["not_built"] and "D4RL/antmaze/" in row["about"] for row in rows)


def test_wrong_input_is_answered_with_what_to_do(tmp_path, capsys):
    assert "did you mean build" in refusal(capsys, "biuld")
    assert "did you mean hopper-medium" in refusal(capsys, "info", "hopper-medum")
    assert "days of training" in refusal(capsys, "build", "antmaze-umaze")
    assert "give at least 2" in refusal(capsys, "build", "pendulum-random", "--transitions", "1")
    target = tmp_path / "there.parquet"
    target.write_text("mine")
    assert "exists already" in refusal(capsys, "convert", "pendulum-random", target)
    assert target.read_text() == "mine"


def test_data_with_a_number_missing_is_refused_with_how_many(tmp_path, capsys):
    main(["data", "build", "pendulum-random", "--transitions", "400", "--quiet"])
    data = load("pendulum-random", memory_map=False)
    columns = dict(data.columns)
    columns["observations"] = columns["observations"].copy()
    columns["observations"][7] = np.nan
    Experience(data.spec, columns).save(tmp_path / "broken")
    capsys.readouterr()
    assert "NaN" in refusal(capsys, "info", tmp_path / "broken")
