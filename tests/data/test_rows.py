"""Rows of every kind are read, brought to one form, and checked; what is wrong is named."""

import json

import pytest
from datasets import Dataset, DatasetDict

from headstart.core.errors import DataError, UsageError
from headstart.data.rows import check_rows, load_rows, split_implicit_prompt


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ROWS = {
    "prompt": {"prompt": "The sky is"},
    "completion": {"prompt": "The sky is", "completion": " blue.", "reward": 1.0},
    "label": {"prompt": "The sky is", "completion": " blue.", "label": True},
    "pair": {"prompt": "The sky is", "chosen": " blue.", "rejected": " green.", "margin": 2.0},
    "scored": {"prompt": "The sky is", "completions": [" blue.", " green."], "rewards": [1.0, 0.0], "iteration": 3},
}
CHAT = {
    "prompt": {"prompt": [said("user", "Sky?")]},
    "completion": {"prompt": [said("user", "Sky?")], "completion": [said("assistant", "Blue.")]},
    "label": {"prompt": [said("user", "Sky?")], "completion": [said("assistant", "Blue.")], "label": False},
    "pair": {
        "prompt": [said("user", "Sky?")],
        "chosen": [said("assistant", "Blue.")],
        "rejected": [said("assistant", "Green.")],
    },
    "scored": {
        "prompt": [said("user", "Sky?")],
        "completions": [[said("assistant", "Blue.")], [said("assistant", "Green.")]],
        "rewards": [1.0, 0.0],
    },
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("rows", [ROWS, CHAT], ids=["text", "chat"])
def test_good_rows_pass_unchanged_and_are_numbered(kind, rows) -> None:
    checked = check_rows(Dataset.from_list([rows[kind]] * 2), kind)
    assert checked.dataset[1] == {**rows[kind], "row_id": 1}
    assert checked.dropped == checked.noted == {}


def test_rows_that_teach_nothing_are_left_out_and_listed() -> None:
    good = ROWS["pair"]
    rows = [
        good,
        {**good, "rejected": good["chosen"]},
        {**good, "chosen": ""},
        {**good, "margin": float("nan")},
        {**good, "rejected": None},
        {**good, "prompt": None},
    ]
    checked = check_rows(Dataset.from_list(rows), "pair")
    assert len(checked.dataset) == 1
    assert checked.dropped == {
        "chosen equals rejected": [1],
        "chosen is empty": [2],
        "margin is not a finite number": [3],
        "rejected is missing": [4],
        "no prompt, or no start that both sides share": [5],
    }
    assert "1 left out: chosen is empty (row_id 2)" in str(checked)
    with pytest.raises(DataError, match=r"row 1 \(row_id 1\): chosen equals rejected; mend or remove it"):
        check_rows(Dataset.from_list(rows), "pair", bad_rows="refuse")
    with pytest.raises(DataError, match="no row of 1 can be learned from"):
        check_rows(Dataset.from_list(rows[1:2]), "pair")


def test_groups_of_scored_completions() -> None:
    group = ROWS["scored"]
    rows = [
        {**group, "row_id": 7},
        {**group, "rewards": [1.0, float("nan")], "row_id": 8},
        {**group, "rewards": [1.0, 1.0], "row_id": 9},
        {**group, "completions": [], "rewards": [], "row_id": 10},
    ]
    checked = check_rows(Dataset.from_list(rows), "scored")
    assert checked.dataset["row_id"][:] == [7, 9]
    assert checked.dropped == {"a reward is not a finite number": [8], "no completions or no rewards": [10]}
    assert checked.noted == {"all rewards of the group are equal": [9]}
    with pytest.raises(DataError, match=r"row 0 \(row_id 0\): rewards has 1 entries for 2 completions"):
        check_rows(Dataset.from_list([{**group, "rewards": [1.0]}]), "scored")


def test_malformed_values_are_refused_by_row() -> None:
    for row, kind, message in [
        ({"prompt": 3}, "prompt", "prompt is 3, expected text or a list of messages"),
        ({"prompt": [{"text": "hi"}]}, "prompt", "expected one with role and content"),
        ({"prompt": "hi", "completion": [said("assistant", "x")]}, "completion", "the prompt plain text"),
        ({"prompt": "hi", "completion": "x", "label": 5}, "label", "label is 5, expected true or false"),
        ({"prompt": "hi", "completion": "x", "reward": "high"}, "completion", "reward is 'high', expected a number"),
    ]:
        with pytest.raises(DataError, match="row 0") as caught:
            check_rows(Dataset.from_list([row]), kind)
        assert message in str(caught.value)


def test_a_missing_column_is_named_with_what_may_be_meant() -> None:
    with pytest.raises(DataError, match=r"need a column 'chosen'.*'choosen' is meant, rename it"):
        check_rows(Dataset.from_list([{"prompt": "p", "choosen": "a", "rejected": "b"}]), "pair")
    with pytest.raises(DataError, match="they are rows of kind 'scored'"):
        check_rows(Dataset.from_list([ROWS["scored"]]), "pair")
    with pytest.raises(DataError, match="label the steps of one answer"):
        check_rows(Dataset.from_list([{"prompt": "p", "completions": ["a"], "labels": [True]}]), "scored")
    with pytest.raises(DataError, match="no rows"):
        check_rows(Dataset.from_dict({"prompt": []}), "prompt")


def test_other_names_of_columns() -> None:
    checked = check_rows(Dataset.from_list([{"prompt": "p", "responses": ["a", "b"], "rewards": [1.0, 2.0]}]), "scored")
    assert checked.dataset[0]["completions"] == ["a", "b"]
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 2.0, "score_rejected": 1.0}
    assert check_rows(Dataset.from_list([row]), "pair").dataset[0]["chosen_reward"] == 2.0


def test_implicit_prompts_are_split_off() -> None:
    assert split_implicit_prompt("The sky is blue.", "The sky is blurry.") == ("The sky is", " blue.", " blurry.")
    assert split_implicit_prompt("Q: a\nfoo", "Q: a\nbar") == ("Q: a\n", "foo", "bar")
    assert split_implicit_prompt("天空是蓝", "天空是绿") == ("天空是", "蓝", "绿")
    turns = [said("user", "Sky?"), said("assistant", "Blue."), said("assistant", "Green.")]
    assert split_implicit_prompt(turns[:2], [turns[0], turns[2]]) == (turns[:1], turns[1:2], turns[2:])
    rows = Dataset.from_list(
        [
            {"chosen": turns[:2], "rejected": [turns[0], turns[2]]},
            {"chosen": turns[1:2], "rejected": turns[2:]},
        ]
    )
    checked = check_rows(rows, "pair")
    assert checked.dataset[0] == {"prompt": turns[:1], "chosen": turns[1:2], "rejected": turns[2:], "row_id": 0}
    assert list(checked.dropped.values()) == [[1]], "nothing is shared, so there is no prompt"


def test_conversations_and_text_alone_become_prompt_and_completion() -> None:
    turns = [said("user", "Sky?"), said("assistant", "Blue."), said("user", "Why?"), said("assistant", "Air.")]
    row = check_rows(Dataset.from_list([{"messages": turns}]), "completion").dataset[0]
    assert (row["prompt"], row["completion"]) == (turns[:3], turns[3:])
    row = check_rows(Dataset.from_list([{"text": "The sky is blue."}]), "completion").dataset[0]
    assert (row["prompt"], row["completion"]) == ("", "The sky is blue.")


def test_files_and_folders(tmp_path) -> None:
    rows = Dataset.from_list([ROWS["scored"]] * 3)
    rows.to_json(tmp_path / "rows.jsonl")
    rows.to_parquet(tmp_path / "rows.parquet")
    rows.save_to_disk(tmp_path / "saved")
    DatasetDict({"a": rows, "b": rows}).save_to_disk(tmp_path / "several")
    (tmp_path / "rows.json").write_text(json.dumps([ROWS["scored"]] * 3))
    for name in ("rows.jsonl", "rows.parquet", "saved", "rows.json"):
        assert load_rows(tmp_path / name).to_list() == rows.to_list()
    assert len(load_rows(tmp_path / "several", "b")) == 3
    with pytest.raises(UsageError, match="has the splits a, b; choose one"):
        load_rows(tmp_path / "several")


def test_files_that_cannot_be_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n{"prompt": oops}\n')
    with pytest.raises(DataError, match=r"bad.jsonl cannot be read as rows: line 2 is not JSON"):
        load_rows(tmp_path / "bad.jsonl")
    (tmp_path / "none.jsonl").touch()
    with pytest.raises(DataError, match=r"none.jsonl is empty; at least one row"):
        load_rows(tmp_path / "none.jsonl")
    (tmp_path / "rows.txt").write_text("a")
    with pytest.raises(UsageError, match=r"rows are read from .json, .jsonl, .parquet, .csv"):
        load_rows(tmp_path / "rows.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no saved dataset"):
        load_rows(tmp_path / "empty")


@pytest.mark.parametrize("name", ["nowhere.jsonl", "./nowhere", "/nowhere/rows"])
def test_a_file_that_is_not_there_is_not_asked_of_a_hub(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("headstart.data.rows.load_dataset", lambda name: pytest.fail(f"asked for {name}"))
    with pytest.raises(UsageError, match=f"there is no file {name}"):
        load_rows(name)
