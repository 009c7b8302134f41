"""Metrics given to TensorBoard and Weights & Biases: every row once, also when a run is stopped and goes on."""

import struct
import sys
from types import SimpleNamespace

import pytest

from headstart.cli import main
from headstart.core.errors import UsageError
from headstart.runs.event_file import Scalar, append_scalars, read_scalars
from headstart.runs.folder import RunFolder
from headstart.runs.mirroring import mirrored
from headstart.runs.sinks import Mirror, check, sinks_of


def checksum(content):
    """CRC-32C bit by bit (Castagnoli's polynomial, reflected), masked as TensorFlow does."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", {"method": "wsrl", "world": "w"}, [0, 3])


def log(run, rows, seed=0):
    with run.seed(seed).record() as recorder:
        for updates, steps, phase, values in rows:
            recorder.log(updates, steps, phase, values)


def shown(run, seed=0):
    (file,) = (run.path / f"seed-{seed}" / "tensorboard").iterdir()
    return [(one.name, one.step, one.value) for one in read_scalars(file)]


def test_an_event_file_holds_what_was_appended_with_checksums(tmp_path):
    path, scalars = tmp_path / "of" / "tfevents", [Scalar("a/b", 0, 5.5, 0.25), Scalar("ü", 70_000, 6.5, -3.0)]
    append_scalars(path, scalars[:1])
    append_scalars(path, scalars[1:])
    assert list(read_scalars(path)) == scalars
    content, place, records = path.read_bytes(), 0, 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        message = content[place + 12 : place + 12 + length]
        assert content[place + 8 : place + 12] == checksum(content[place : place + 8])
        assert content[place + 12 + length : place + 16 + length] == checksum(message)
        place, records = place + 16 + length, records + 1
    assert records == 3
    assert checksum(b"123456789") == struct.pack("<I", ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32)


def test_every_row_is_given_once_and_steps_grow_over_phases(run):
    rows = [(0, 0, "offline", {"x": 1.0}), (10, 0, "offline", {"x": 2.0, "y": 3.0}), (10, 5, "warmup", {"x": 4.0})]
    rows += [(14, 9, "online", {"x": 5.0})]
    log(run, rows[:3])
    log(run, [(1, 0, "offline", {"z": 7.0})], seed=3)
    mirror = Mirror(run, ["tensorboard"])
    assert (mirror.send(), mirror.send()) == (5, 0)
    with run.seed(0).record() as recorder:  # goes on from a checkpoint after the first row, to the same numbers
        recorder.metrics.truncate_after(1)
        recorder.log(*rows[1])
        recorder.metrics.flush()
        assert Mirror(run, ["tensorboard"]).send() == 0
        recorder.log(*rows[2])
        recorder.log(*rows[3])
    assert Mirror(run, ["tensorboard"]).send() == 1
    assert shown(run) == [("x", 0, 1.0), ("x", 10, 2.0), ("y", 10, 3.0), ("x", 15, 4.0), ("x", 19, 5.0)]
    assert shown(run, 3) == [("z", 1, 7.0)]
    assert list(sinks_of(run)) == ["tensorboard"]


def test_a_language_run_counts_its_updates(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"wing": "language"}, [0])
    log(run, [(3, 0, "iteration-0", {"loss": 1.0}), (6, 1, "iteration-1", {"loss": 0.5})])
    Mirror(run, ["tensorboard"]).send()
    assert shown(run) == [("loss", 3, 1.0), ("loss", 6, 0.5)]


def test_weights_and_biases_is_asked_for_one_run_a_seed(run, monkeypatch):
    asked, logged, ended = [], [], []

    def init(**options):
        asked.append(options)
        return SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: ended.append(1))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    log(run, [(2, 0, "offline", {"x": 1.0, "bad": float("nan")}), (4, 0, "offline", {"x": 2.0})])
    mirror = Mirror(run, ["wandb"])
    mirror.send()
    mirror.close()
    log(run, [(6, 0, "offline", {"x": 3.0})])
    Mirror(run, ["wandb"]).send()
    assert logged == [(2, {"x": 1.0}), (4, {"x": 2.0}), (6, {"x": 3.0})]
    assert len(ended) == 1
    assert asked[0] == asked[1]
    assert (asked[0]["project"], asked[0]["name"], asked[0]["resume"]) == ("headstart", "run seed 0", "allow")
    assert asked[0]["config"] == {"method": "wsrl", "world": "w", "seed": 0}


def test_nobody_logged_in_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(login=lambda: False))
    monkeypatch.setenv("WANDB_MODE", "offline")
    check(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UsageError, match="nobody is logged in"):
        check(["wandb"])


def test_a_process_of_its_own_gives_all_that_is_recorded_meanwhile(tmp_path):
    with mirrored(tmp_path / "run", ["tensorboard", "tensorboard"]):
        run = RunFolder.create(tmp_path / "run", {"method": "iql"}, [0])
        log(run, [(1, 0, "offline", {"x": 1.0})])
    assert shown(run) == [("x", 1, 1.0)]


def test_a_missing_package_is_told_before_anything_begins(tmp_path, monkeypatch):
    (tmp_path / "wandb.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UsageError, match="wandb is not installed"), mirrored(tmp_path / "run", ["wandb"]):
        pytest.fail("begun")


def test_the_command_exports_what_is_recorded(run, capsys):
    log(run, [(1, 0, "offline", {"x": 1.0})])
    assert main(["runs", "export", str(run.path)]) == 0
    assert "1 numbers given to tensorboard" in capsys.readouterr().out
    assert shown(run) == [("x", 1, 1.0)]
    for wrong in ([], [str(run.path / "seed-0")], [str(run.path), "--to"]):
        assert main(["runs", "export", *wrong]) == 2
