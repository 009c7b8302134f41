"""A disk without room for what is written: one line that says so, nothing left behind, nothing changed."""

import errno
import os
import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from headstart.cli import main
from headstart.core.specs import Box, Spec
from headstart.core.storage import StorageError
from headstart.data.experience import COLUMNS, Experience
from headstart.data.folder import Writer, load
from headstart.runs.folder import RunFolder
from headstart.runs.pack import add, pack

SPEC = Spec(Box.uniform((40,), -9, 9), Box.uniform((2,), -1, 1))


@pytest.fixture
def data(tmp_path):
    """Half a megabyte of transitions, kept in a folder of ours."""
    generator = np.random.default_rng(0)
    columns = {
        "observations": generator.normal(size=(1600, 40)),
        "actions": generator.uniform(-1, 1, (1600, 2)),
        "rewards": generator.normal(size=1600),
        "next_observations": generator.normal(size=(1600, 40)),
        "terminations": np.zeros(1600, bool),
        "truncations": np.arange(1600) % 100 == 99,
    }
    Experience(SPEC, columns).save(tmp_path / "source" / "data")
    return tmp_path / "source" / "data"


@contextmanager
def little_room(size=100_000):
    """No file grows beyond ``size`` bytes, which to a writer is as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refusal(capsys, *arguments):
    """What a command says, having failed in one line and no traceback."""
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: cannot write ")
    assert "\n" not in told
    return told


@pytest.mark.parametrize("name", ["copy", "copy.parquet"])
def test_a_conversion_that_does_not_fit_names_its_target_and_size(data, tmp_path, capsys, name):
    place = tmp_path / "full"
    place.mkdir()
    with little_room():
        told = refusal(capsys, "data", "convert", data, place / name)
    assert f"{place / name}: " in told
    assert "0.5 MB needed" in told
    assert not list(place.iterdir())


@pytest.mark.parametrize("target", ["{}/copy.hdf5", "minari:{}/copy-v0"])
def test_hdf5_which_a_full_disk_would_crash_is_not_begun(data, tmp_path, capsys, monkeypatch, target):
    place = tmp_path / "full"
    place.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6 - 300_000, 300_000))
    told = refusal(capsys, "data", "convert", data, target.format(place))
    assert "the disk is full (up to 0." in told
    assert "0.3 MB free" in told
    assert not list(place.iterdir())


def test_a_dataset_that_is_built_does_not_keep_the_disk_full(tmp_path, capsys):
    with little_room():
        told = refusal(capsys, "data", "build", "pendulum-random", "--transitions", 9000, "--out", tmp_path / "full/a")
    assert f"{tmp_path / 'full/a'}: " in told
    assert "0.3 MB needed" in told
    assert not list((tmp_path / "full").iterdir())


def test_a_folder_that_cannot_be_extended_stays_what_it_was(data):
    before = {file.name: file.read_bytes() for file in data.iterdir()}
    whole = load(data, memory_map=False)
    with (
        pytest.raises(StorageError, match="cannot write"),
        little_room(300_000),
        Writer(data, SPEC, extend=True) as writer,
    ):
        writer.append(*(whole.columns[name] for name in COLUMNS))
    assert {file.name: file.read_bytes() for file in data.iterdir()} == before


def test_a_page_that_does_not_fit_leaves_the_one_before(data, tmp_path, capsys, monkeypatch):
    page = tmp_path / "rows.svg"
    page.write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    told = refusal(capsys, "data", "info", data, "--figure", page)
    assert "the disk is full; make room" in told
    assert [file.name for file in page.parent.iterdir() if "partial" in file.name] == []
    assert page.read_text() == "old"


def test_runs_are_packed_and_added_whole_or_not_at_all(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "runs" / "a", {"method": "iql", "world": "pendulum", "data": None}, seeds=[0])
    with run.seed(0).record() as recorder:
        recorder.log(1, 2, "online", {"evaluation/return": 1.0})
        recorder.checkpoints.save(1, lambda folder: (folder / "weights").write_bytes(os.urandom(200_000)))
    with pytest.raises(StorageError, match="cannot write"), little_room():
        pack([run.path], tmp_path / "runs.zip", checkpoints=True)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    packed = pack([run.path], tmp_path / "runs.zip")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(StorageError, match="the disk is full"):
        add(packed, tmp_path / "ours")
    assert not list((tmp_path / "ours").glob("*"))


def test_a_place_that_may_not_be_written_is_refused_without_a_traceback(data, capsys):
    assert main(["data", "convert", str(data), str(data / "metadata.json" / "copy")]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"error: {data / 'metadata.json'}")
    assert "\n" not in told
