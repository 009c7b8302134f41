"""Sharing runs: packed, checked, merged without repeating or overwriting."""

import json
import shutil
import zipfile

import pytest

from headstart.cli import main
from headstart.core.errors import DataError, UsageError
from headstart.runs.folder import RunFolder
from headstart.runs.pack import add, conflicts, pack, verify


def write_weights(folder):
    (folder / "weights").write_bytes(b"much")


def make(path, value, method="iql"):
    run = RunFolder.create(path, {"method": method, "world": "pendulum", "data": None}, seeds=[0])
    with run.seed(0).record() as recorder:
        recorder.log(1, 2, "online", {"evaluation/return": value})
        recorder.checkpoints.save(1, write_weights)
    return path


@pytest.fixture
def packed(tmp_path):
    runs = [make(tmp_path / "theirs" / "a", 1.0), make(tmp_path / "theirs" / "b", 2.0, "sac")]
    return pack(runs, tmp_path / "runs.zip")


def test_packed_runs_arrive_whole_and_only_once(packed, tmp_path):
    assert verify(packed) == ["a", "b"]
    ours = tmp_path / "ours"
    assert [one.outcome for one in add(packed, ours)] == ["added", "added"]
    assert RunFolder.open(ours / "a").metrics()["value"].to_list() == [1.0]
    assert not (ours / "a" / "seed-0" / "checkpoints").exists()
    assert not (ours / "a" / "seed-0" / "lock").exists()
    again = add(packed, ours)
    assert [(one.outcome, one.path) for one in again] == [("present", ours / "a"), ("present", ours / "b")]
    assert len(list(ours.iterdir())) == 2


def test_checkpoints_are_packed_when_asked_for(tmp_path):
    file = pack([make(tmp_path / "a", 1.0)], tmp_path / "a.zip", checkpoints=True)
    add(file, tmp_path / "ours")
    assert RunFolder.open(tmp_path / "ours" / "a").seed(0).checkpoints.latest() is not None


def test_other_numbers_of_the_same_experiment_are_shown_and_left_out(packed, tmp_path, capsys):
    ours = make(tmp_path / "ours" / "mine", 1.5)
    assert main(["runs", "add", str(packed), "--to", str(tmp_path / "ours")]) == 1
    assert f"a left out, other numbers than {ours}" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == ["b", "mine"]
    assert conflicts([tmp_path / "ours"]) == []
    assert conflicts([tmp_path / "ours", tmp_path / "theirs"]) == [sorted([ours, tmp_path / "theirs" / "a"])]


def test_another_run_of_that_name_is_not_overwritten(packed, tmp_path):
    make(tmp_path / "ours" / "a", 5.0, "td3")
    assert add(packed, tmp_path / "ours")[0].path == tmp_path / "ours" / "a-2"
    assert RunFolder.open(tmp_path / "ours" / "a").metrics()["value"].to_list() == [5.0]


def rewritten(packed, change):
    """The packed file with its entries changed by ``change(name, content)``, which returns both or None."""
    with zipfile.ZipFile(packed) as archive:
        entries = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(packed, "w") as archive:
        for entry in entries:
            if entry is not None:
                archive.writestr(*entry)
    return packed


def outside(name, content):
    if name != "manifest.json":
        return name, content
    manifest = json.loads(content)
    manifest["sha256"]["a/../../evil"] = "0" * 64
    return name, json.dumps(manifest)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda name, content: (name, content + b" " if name.endswith("run.json") else content), "a/run.json"),
        (lambda name, content: None if name == "b/run.json" else (name, content), "b/run.json"),
        (lambda name, content: None if name == "manifest.json" else (name, content), "manifest"),
        (outside, "evil"),
    ],
)
def test_a_packed_file_that_was_changed_is_refused_whole(packed, tmp_path, change, named):
    rewritten(packed, change)
    with pytest.raises(DataError, match=named):
        add(packed, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_what_cannot_be_packed_is_refused(packed, tmp_path):
    with pytest.raises(UsageError, match="exists already"):
        pack([tmp_path / "theirs" / "a"], packed)
    with pytest.raises(UsageError, match="different names"):
        pack([tmp_path / "theirs" / "a", make(tmp_path / "x" / "a", 3.0)], tmp_path / "new.zip")
    with pytest.raises(UsageError, match="is not a run"):
        pack([tmp_path], tmp_path / "new.zip")
    run = RunFolder.open(tmp_path / "theirs" / "a")
    with run.seed(0).record(), pytest.raises(UsageError, match="still running"):
        pack([run.path], tmp_path / "new.zip")
    shutil.copy(__file__, tmp_path / "text.zip")
    with pytest.raises(DataError, match="not a file of packed runs"):
        verify(tmp_path / "text.zip")
    assert not (tmp_path / "new.zip").exists()
