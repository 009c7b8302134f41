"""Lists of runs and datasets: one line a row in a narrow window, everything in a pipe."""

import pytest

from headstart.cli import main, tables
from headstart.runs.folder import RunFolder

PROBLEM = "the world returned a number that is none in step 17;\nlook at its rewards " + "and at its observations " * 9


@pytest.fixture
def some_runs(tmp_path, monkeypatch):
    """A run that is well and one that failed with a long error, below runs/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    config = {"method": "wsrl", "world": "HalfCheetah-v5", "data": "halfcheetah-medium-replay"}
    for name in ("well", "failed"):
        with RunFolder.create(f"runs/{name}", config, seeds=[0]).seed(0).record() as recorder:
            recorder.log(1000, 200_000, "online", {"evaluation/return": 1234.5})
    with (
        pytest.raises(ValueError, match="none in step 17"),
        RunFolder.create("runs/ill", config, seeds=[0]).seed(0).record(),
    ):
        raise ValueError(PROBLEM)


def shown(capsys, *arguments):
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_runs_in_a_window_take_a_line_each_and_an_error_one_more(some_runs, capsys, monkeypatch, width):
    monkeypatch.setattr(tables, "window", lambda: width)
    lines = shown(capsys, "runs")
    if width < 120:
        assert "for want of room" in lines.pop()
    assert len(lines) == 1 + 3 + 1  # heading, runs, the error
    assert all(len(line) <= width for line in lines)
    (ill,) = [at for at, line in enumerate(lines) if line.startswith("runs/ill")]
    assert "wsrl" in lines[ill]
    assert "failed" in lines[ill]
    assert "ValueError: the world returned a number" in lines[ill + 1]
    assert lines[ill + 1].endswith("…")
    (well,) = [line for line in lines if line.startswith("runs/well")]
    assert "1,234.5" in well
    assert ("HalfCheetah" in well) == (width >= 80)


def test_runs_in_a_pipe_are_whole_and_a_line_each(some_runs, capsys):
    lines = shown(capsys, "runs")
    assert len(lines) == 1 + 3
    (ill,) = [line for line in lines if line.startswith("runs/ill")]
    assert " ".join(PROBLEM.split()) in ill
    assert all("halfcheetah-medium-replay" in line for line in lines[1:])
    assert not any("…" in line for line in lines)
    assert shown(capsys, "runs", "--columns", "method", "data")[1].split() == ["wsrl", "halfcheetah-medium-replay"]


def test_datasets_take_a_line_each(some_runs, capsys, monkeypatch):
    whole = shown(capsys, "data", "list", "--match", "hopper-*")
    assert not any("…" in line for line in whole)
    monkeypatch.setattr(tables, "window", lambda: 80)
    *lines, note = shown(capsys, "data", "list", "--match", "hopper-*")
    assert len(lines) == len(whole)
    assert all(len(line) <= 80 for line in lines)
    assert [line.split()[:2] for line in lines] == [line.split()[:2] for line in whole]
    assert "| cat" in note


def test_columns_are_cut_at_the_end_that_says_less_and_numbers_never():
    columns = [tables.Column("run", least=8, keep="end"), tables.Column("steps", side="right")]
    lines, missing = tables.lines_of(columns, [["runs/long/path/a", "1,000,000"], ["b", "5"]], 20)
    assert lines == ["run            steps", "…g/path/a  1,000,000", "b                  5"]
    assert missing == []
