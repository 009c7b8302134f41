"""Files larger than memory: read block by block, they give what reading them whole gives."""

import h5py
import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.core.files import cache_folder
from headstart.data import d4rl_format, large_files
from headstart.data.check import check
from headstart.data.columns import COLUMNS
from headstart.data.d4rl_format import open_d4rl, read_d4rl
from headstart.data.experience import Experience
from headstart.data.folder import load
from headstart.data.large_files import write_folder
from headstart.data.registry import convert

ROWS = 103
GENERATOR = np.random.default_rng(0)
PLAIN = {
    "observations": GENERATOR.normal(size=(ROWS, 3)),
    "actions": GENERATOR.uniform(-3, 2, (ROWS, 2)).astype(np.float32),
    "rewards": GENERATOR.normal(size=(ROWS, 1)),
    "terminals": np.isin(np.arange(ROWS), (20, 21, 70)),
    "timeouts": np.isin(np.arange(ROWS), (0, 6, 7, 8, 41, 70, 101)),
}
LAYOUTS = {
    "successors derived": PLAIN,
    "successors recorded": PLAIN | {"next_observations": GENERATOR.normal(size=(ROWS, 3)).astype(np.float32)},
    "choices": PLAIN | {"actions": np.arange(ROWS) % 7, "timeouts": None},
    "images and flags of numbers": PLAIN
    | {
        "observations": GENERATOR.integers(0, 255, (ROWS, 2, 2), np.uint8),
        "terminals": PLAIN["terminals"].astype(np.float32)[:, None],
    },
    "one action of no dimension, not finite": PLAIN | {"actions": np.where(np.arange(ROWS) == 9, np.nan, 0.5)},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


def write(path, columns):
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            if column is not None:
                file[name] = column
    return path


def assert_same(one: Experience, other: Experience):
    assert one.spec == other.spec
    assert {**one.metadata, "digest": ""} == {**other.metadata, "digest": ""}
    assert one.digest() == other.digest()
    for name in COLUMNS:
        np.testing.assert_array_equal(one.columns[name], other.columns[name], err_msg=name)
        assert one.columns[name].dtype == other.columns[name].dtype
    assert [str(problem) for problem in check(one)] == [str(problem) for problem in check(other)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("horizon", [None, 9])
def test_blocks_of_any_size_give_what_the_whole_file_gives(tmp_path, monkeypatch, layout, horizon):
    path = write(tmp_path / "file.hdf5", LAYOUTS[layout])
    whole = read_d4rl(path, horizon=horizon)
    monkeypatch.setattr(d4rl_format, "_LOOK_BYTES", 40)
    monkeypatch.setattr(d4rl_format, "_FLAGS_AT_ONCE", 5)
    for size in (1, 2, 10, 1000):
        with open_d4rl(path, horizon=horizon) as source:
            write_folder(source, tmp_path / str(size), rows_at_once=size)
        in_blocks = load(tmp_path / str(size))
        in_blocks.left_out = whole.left_out
        assert_same(whole, in_blocks)


def test_a_large_file_is_read_through_a_copy_that_is_made_once(tmp_path, monkeypatch, caplog):
    path = write(tmp_path / "file.hdf5", LAYOUTS["successors derived"])
    whole = read_d4rl(path)
    monkeypatch.setattr(d4rl_format, "LARGE_BYTES", 1000)
    assert_same(whole, read_d4rl(path))
    assert str(cache_folder()) in caplog.text
    caplog.clear()
    made = {copy: copy.stat().st_mtime_ns for copy in cache_folder().rglob("*.npy")}
    again = read_d4rl(path)
    assert not caplog.text
    assert isinstance(again.observations.base, np.memmap)
    assert_same(whole, again)
    assert {copy: copy.stat().st_mtime_ns for copy in cache_folder().rglob("*.npy")} == made


def test_a_copy_of_what_the_file_was_before_is_not_used_and_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(d4rl_format, "LARGE_BYTES", 1000)
    path = write(tmp_path / "file.hdf5", LAYOUTS["successors derived"])
    read_d4rl(path)
    (before,) = (cache_folder() / "converted").glob("file-*/*")
    write(path, PLAIN | {"rewards": np.full(ROWS, 0.25)})
    assert set(read_d4rl(path).rewards) == {0.25}
    (after,) = (cache_folder() / "converted").glob("file-*/*")
    assert before != after


def test_a_cache_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(d4rl_format, "LARGE_BYTES", 1000)
    monkeypatch.setattr(large_files.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    path = write(tmp_path / "file.hdf5", PLAIN)
    with pytest.raises(DataError, match="HEADSTART_CACHE"):
        read_d4rl(path)
    assert not list(cache_folder().rglob("*.npy"))


def test_conversion_never_holds_the_file_in_memory(tmp_path, monkeypatch):
    path = write(tmp_path / "file.hdf5", PLAIN)
    whole = read_d4rl(path)
    read, largest = d4rl_format.D4RLRows._read, []

    def watched(self, name, start, stop):
        largest.append(stop - start)
        return read(self, name, start, stop)

    monkeypatch.setattr(d4rl_format.D4RLRows, "_read", watched)
    monkeypatch.setattr(large_files, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(d4rl_format, "_LOOK_BYTES", 40)
    monkeypatch.setattr(d4rl_format, "_FLAGS_AT_ONCE", 16)
    convert(path, tmp_path / "folder")
    assert max(largest) < 30
    converted = load(tmp_path / "folder")
    assert converted.digest() == whole.digest()


@pytest.mark.parametrize("large", [False, True])
def test_problems_are_reported_with_the_rows_of_the_file(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(d4rl_format, "LARGE_BYTES", 1000)
    rows = 1000
    columns = {
        "observations": np.zeros((rows, 2)),
        "actions": np.zeros((rows, 1)),
        "rewards": np.arange(rows, dtype=float),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.arange(rows) % 200 == 199,
    }
    columns["observations"][[399, 900, 950], 0] = np.inf  # row 399 is the end of an episode, not to be learned from
    columns["rewards"][901] = np.nan
    fatal = [
        str(problem) for problem in check(read_d4rl(write(tmp_path / "file.hdf5", columns))) if "NaN" in str(problem)
    ]
    assert fatal == [
        "observations: 3 numbers are NaN or infinite, first in rows 399, 900, 950",
        "rewards: 1 numbers are NaN or infinite, first in rows 901",
    ]


@pytest.mark.parametrize("read", [read_d4rl, lambda path: convert(path, path.with_suffix(""))])
def test_a_file_of_one_step_episodes_alone_is_refused_with_the_reason(tmp_path, read):
    path = write(tmp_path / "file.hdf5", PLAIN | {"timeouts": np.ones(ROWS, bool)})
    with pytest.raises(DataError, match=f"all {ROWS} rows were one-step episodes.*next_observations"):
        read(path)
