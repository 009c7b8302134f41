"""``headstart lm judge`` and ``compare`` on files."""

import json

import pytest

from headstart.cli import main
from headstart.data.rows import check_rows, load_rows


def write(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{i} + {i} =", "answer": 2 * i} for i in range(8)]
    right = [{**row, "completion": f"It is {row['answer']}."} for row in rows]
    half = [{**row, "completion": str(row["answer"] + (i % 2))} for i, row in enumerate(rows)]
    return write(tmp_path / "right.jsonl", right), write(tmp_path / "half.jsonl", half), tmp_path


def test_judge_writes_scores_that_are_rows_again(files, capsys) -> None:
    _, half, folder = files
    assert main(["lm", "judge", "--data", half, "--judge", "numeric:answer", "--out", "judged.parquet", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "8 of 8 judged by numeric:answer" in shown
    assert "mean 0.5 (95 %" in shown
    checked = check_rows(load_rows(folder / "judged.parquet"), "completion")
    assert checked.dataset["reward"][:] == [1.0, 0.0] * 4
    assert not list(folder.glob(".*answers"))
    assert main(["lm", "judge", "--data", half, "--judge", "numeric:answer", "--out", "judged.parquet"]) == 2
    assert "judged.parquet exists" in capsys.readouterr().err


def test_judges_of_ones_own_and_rows_that_fail(files, capsys) -> None:
    _, half, folder = files
    (folder / "my_own_judge.py").write_text(
        "def grade(completion):\n    assert completion != '4'\n    return len(completion)\n"
    )
    command = ["lm", "judge", "--data", half, "--judge", "my_own_judge:grade", "--out", "j.jsonl", "--json", "--quiet"]
    assert main(command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["answers"], summary["asked"]) == (7, 8)
    assert list(summary["failures"].values()) == [[2]]
    assert json.loads((folder / "j.jsonl").read_text().splitlines()[2])["reward"] is None
    assert main(["lm", "judge", "--data", half, "--judge", "numeric:answr", "--out", "k.jsonl", "--quiet"]) == 2
    assert "did you mean answer?" in capsys.readouterr().err


def test_compare_tells_the_win_rate(files, capsys) -> None:
    right, half, folder = files
    command = ["lm", "compare", right, half, "--judge", "numeric:answer", "--quiet"]
    assert main([*command, "--out", "rows.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert "win rate of" in shown
    assert "75.0% (" in shown
    assert "4 wins, 4 ties, 0 losses on 8 prompts" in shown
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 8
    assert main([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["win_rate"]["estimate"] == 0.75
    assert 0.5 < record["length_controlled"]["estimate"] < 1


@pytest.mark.parametrize(("make", "count"), [("best_worst", 2), ("best", 3), ("rejection", 2), ("labels", 4)])
def test_rows_are_made_of_the_completions_that_have_a_reward(make, count, files, capsys) -> None:
    _, _, folder = files
    none, nan = None, float("nan")
    groups = [[1.0, none, 3.0], [nan, 2.0, none], [none, none, none], [0.0, 1.0, 2.0]]
    texts = ["a", "bb", "ccc"]
    ids = [[1], [2], [3]]
    data = write(folder / "judged.jsonl", [
        {"prompt": f"p{i}", "completions": texts, "rewards": rewards, "completion_ids": ids, "truncated": [False] * 3}
        for i, rewards in enumerate(groups)
    ])  # fmt: skip
    assert main(["lm", "rows", "--data", data, "--make", make, "--out", "made.jsonl"]) == 0
    told = capsys.readouterr()
    assert "6 completions of 3 prompts left out: no reward" in told.out
    assert "1 left out: no completions or no rewards" in told.err
    made = [json.loads(line) for line in (folder / "made.jsonl").read_text().splitlines()]
    assert len(made) == count
    if make == "best_worst":
        assert [(row["chosen"], row["rejected"], row["rejected_ids"]) for row in made] == [
            ("ccc", "a", [1]),
            ("ccc", "a", [1]),
        ]
        assert "1 prompts gave none: fewer than two completions" in told.out


def test_rewards_that_are_infinite_are_still_refused(files, capsys) -> None:
    _, _, folder = files
    data = write(folder / "judged.jsonl", [{"prompt": "p", "completions": ["a", "b"], "rewards": [0.0, float("inf")]}])
    assert main(["lm", "rows", "--data", data, "--make", "best", "--out", "made.jsonl"]) == 2
    assert "not a finite number" in capsys.readouterr().err
