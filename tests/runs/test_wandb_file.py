"""Offline runs of Weights & Biases: one that its package (0.31.0) wrote, cut off, damaged, and made from the format.

``files/run-offline.wandb`` is of this script, run with ``mode="offline"``: 24 calls of ``log`` with an episode's return
``step / 10 + random`` (seed 0), a loss ``1 / (1 + step)``, ``global_step`` 100 a step and a text long enough for
records to cross the blocks' borders; then one with a nested number, not-a-number and a whole number; ``config.update``
with a discount; and ``summary["best"] = 99.5``.
"""

import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from headstart.cli import main
from headstart.core.errors import DataError
from headstart.runs.folder import RunFolder
from headstart.runs.foreign import add_foreign, read_foreign
from headstart.runs.query import Condition, runs_table
from headstart.runs.wandb_file import read_wandb

FILE = Path(__file__).parent / "files" / "run-offline.wandb"


def test_a_run_written_by_the_package():
    run = read_wandb(FILE)
    assert (run.id, run.name, run.project) == ("fixture1", "Hopper-v4__ppo__3__1700", "headstart-fixture")
    assert run.tags == ["v1", "fixture"]
    assert run.config == {
        "env_id": "Hopper-v4",
        "exp_name": "ppo",
        "seed": 3,
        "learning_rate": 3e-4,
        "net": {"hidden": [64, 64]},
        "discount": 0.99,
    }
    assert (run.exit_code, run.truncated, run.summary["best"]) == (0, False, 99.5)
    random.seed(0)
    returns = [step / 10 + random.random() for step in range(24)]
    assert [logged.step for logged in run.history] == list(range(25))
    assert [logged.values["charts/episodic_return"] for logged in run.history[:24]] == returns
    assert [logged.values["losses/value_loss"] for logged in run.history[:24]] == [1 / (1 + k) for k in range(24)]
    assert set(run.history[24].values) == {"nested.a", "bad", "whole"}
    assert np.isnan(run.history[24].values["bad"])
    assert all(0 < a.seconds <= b.seconds for a, b in zip(run.history, run.history[1:]))


def test_a_file_that_was_cut_off_is_read_as_far_as_it_is_whole(tmp_path):
    content, whole = FILE.read_bytes(), read_wandb(FILE).history[:24]
    counts = []
    for length in range(600, len(content), 1777):
        (tmp_path / "cut.wandb").write_bytes(content[:length])
        run = read_wandb(tmp_path / "cut.wandb")
        assert run.history[:24] == whole[: len(run.history)]
        assert run.truncated
        assert run.exit_code is None
        counts.append(len(run.history))
    assert counts == sorted(counts)
    assert counts[-1] > 20
    (tmp_path / "cut.wandb").write_bytes(content[:20_000] + bytes(4096))
    with pytest.raises(DataError, match="checksum"):
        read_wandb(tmp_path / "cut.wandb")


def test_a_file_that_was_changed_or_is_no_such_file_is_refused(tmp_path):
    content = bytearray(FILE.read_bytes())
    content[5000] ^= 1
    (tmp_path / "changed.wandb").write_bytes(content)
    with pytest.raises(DataError, match="checksum of the piece at byte"):
        read_wandb(tmp_path / "changed.wandb")
    for other in (b"", b":W&B", b"SQLite format 3\x00"):
        (tmp_path / "other.wandb").write_bytes(other)
        with pytest.raises(DataError, match="not a file of Weights & Biases"):
            read_wandb(tmp_path / "other.wandb")


def written(*records):
    """Records in pieces, as the format has them."""
    content = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    for record in records:
        kinds = (1, 2)
        while True:
            left = 32768 - len(content) % 32768
            if left < 7:
                content += bytes(left)
                continue
            piece, record = record[: left - 7], record[left - 7 :]
            kind = kinds[1] if record else kinds[0]
            content += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            kinds = (4, 3)
            if not record:
                break
    return content


def field(number, content):
    size, key = len(content), number << 3 | 2
    lead = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    length = b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return lead + length + bytes([size]) + content


def item(value, *names):
    kind = 1 if len(names) == 1 else 2
    return field(1, b"".join(field(kind, name.encode()) for name in names) + field(16, value.encode()))


def test_records_longer_than_blocks_items_removed_and_runs_without_a_good_name(tmp_path):
    records = [
        field(17, field(1, b"abc") + field(4, item('"Ant"', "env") + item("7", "seed") + item("NaN", "rate"))),
        field(5, item('"td3"', "algo") + item("1", "gone")),
        field(5, field(2, field(1, b"gone"))),
        field(2, item("1.5", "return") + item("4", "_step") + item('"' + "x" * 100_000 + '"', "note")),
        field(2, item('{"_type": "histogram", "bins": [1]}', "image") + item("true", "flag") + item("2", "loss", "q")),
    ]
    folder = tmp_path / "wandb" / "offline-run-1"
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(written(*records) + b"\x01")
    (tmp_path / "wandb" / "latest-run").symlink_to(folder)
    (run,) = read_foreign(tmp_path)
    assert (run.name, run.world, run.seed, run.library) == ("td3", "Ant", 7, "wandb")
    assert run.config["rate"] == "nan"
    assert "gone" not in run.config
    assert run.metrics.select("name", "value", "environment_steps").rows() == [("loss.q", 2.0, 0), ("return", 1.5, 4)]
    assert "middle of a record" in run.problem
    (place,) = add_foreign([run], tmp_path / "runs")
    assert RunFolder.open(place).state() == "stopped"
    assert "middle of a record" in RunFolder.open(place).seed(7).notes()[0]


def test_offline_runs_are_brought_in_filtered_and_plotted(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "wandb" / "offline-run-1"
    folder.mkdir(parents=True)
    (folder / "run-fixture1.wandb").write_bytes(FILE.read_bytes()[:-400])
    assert main(["runs", "import", str(tmp_path / "wandb"), "--to", str(tmp_path / "store")]) == 0
    assert "ends in the middle of a record" in capsys.readouterr().err
    conditions = ["tag=fixture", "learning_rate=3e-4", "wandb.project=headstart*", "state=stopped"]
    table = runs_table([tmp_path / "store"], [Condition.parse(condition) for condition in conditions])
    assert table.select("method", "world", "state").rows() == [("ppo", "Hopper-v4", "stopped")]
    arguments = ["plot", str(tmp_path / "store"), "--metric", "episode/return", "--out", str(tmp_path / "figure")]
    assert main(arguments) == 0
    assert "| ppo |" in capsys.readouterr().out
