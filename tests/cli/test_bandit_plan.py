"""``headstart bandit plan`` on small files."""

import csv

import pytest

from headstart.cli.bandit_plan import plan, read_curves
from headstart.core.errors import DataError, UsageError


@pytest.fixture
def curves(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text("arm,1,2,3\nnews,0.9\nsport,0,1,1\n\nquiet,0,0,0\n")
    return path


def test_a_schedule_is_printed_with_its_value_and_bound(curves, capsys):
    assert plan(["--curves", str(curves), "-K", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == ["arm,period,offset,slot", "news,1,0,0", "sport,2,0,1"]
    assert "earns 1.4 a period; no schedule earns more than 1.4 (100.0 %); 2 of 3 arms" in printed[3]


def test_a_schedule_is_written_but_never_over_a_file(curves, tmp_path):
    output = tmp_path / "plan.csv"
    assert plan(["--curves", str(curves), "-K", "1", "--output", str(output)]) == 0
    with open(output, newline="") as file:
        assert [row["offset"] for row in csv.DictReader(file)] == ["0", "1"]
    with pytest.raises(UsageError, match="exists already"):
        plan(["--curves", str(curves), "-K", "1", "--output", str(output)])


def test_short_lines_go_on_level(curves):
    assert read_curves(curves) == (["news", "sport", "quiet"], [[0.9] * 3, [0, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,0.1,0.2\nb,zero", "line 2.*zero"),
        ("", "no curves"),
        ("arm,1,2\n", "no curves"),
        ("a,0.2\nb\n", "line 2: an arm's name without"),
        ("a,0.3,0.2\n", "arm 0 falls"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "curves.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        plan(["--curves", str(path), "-K", "1"])


def test_falling_curves_can_be_repaired(tmp_path, capsys):
    path = tmp_path / "curves.csv"
    path.write_text("a,0.3,0.2\n")
    assert plan(["--curves", str(path), "-K", "1", "--repair"]) == 0
    assert "earns 0.25" in capsys.readouterr().out
    with pytest.raises(DataError, match="no file"):
        plan(["--curves", str(tmp_path / "none.csv"), "-K", "1"])
