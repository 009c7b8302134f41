"""Runs of other libraries, read from the files that these write."""

import struct

import pytest

from headstart.cli import main
from headstart.core.errors import DataError, UsageError
from headstart.runs.event_file import read_scalars
from headstart.runs.foreign import add_foreign, read_foreign
from headstart.runs.query import Condition, runs_table

MONITOR = '#{"t_start": 1700000000.5, "env_id": "Hopper-v5"}\nr,l,t\n10.5,20,1.0\n12.0,30,2.5\n'
RUN = "Hopper-v4__ppo__3__1700 - charts/episodic_return"
TABLE = f'"Step","{RUN}","{RUN}__MIN"\n'


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def record(message):
    return struct.pack("<Q", len(message)) + bytes(4) + message + bytes(4)


def event(step, tag, value, wall_time=5.0, tensor=False):
    number = (
        field(8, b"\x08\x01" + field(4, struct.pack("<f", value))) if tensor else b"\x15" + struct.pack("<f", value)
    )
    summary = field(1, field(1, tag.encode()) + number)
    return record(b"\x09" + struct.pack("<d", wall_time) + b"\x10" + varint(step) + field(5, summary))


@pytest.fixture
def cleanrl(tmp_path):
    folder = tmp_path / "Hopper-v4__ppo_continuous__2__1700000000"
    folder.mkdir()
    version = record(b"\x09" + struct.pack("<d", 1.0) + field(3, b"brain.Event:2"))
    events = [
        event(100, "charts/episodic_return", 1.5, 10.0),
        event(300, "charts/episodic_return", 2.5, 12.0, tensor=True),
    ]
    (folder / "events.out.tfevents.17.host.1.0").write_bytes(version + b"".join(events))
    return tmp_path


def test_event_files_of_cleanrl(cleanrl):
    (run,) = read_foreign(cleanrl)
    assert (run.library, run.name, run.world, run.seed) == ("cleanrl", "ppo_continuous", "Hopper-v4", 2)
    rows = (
        run.metrics.filter(run.metrics["name"] == "episode/return").select("environment_steps", "value", "time").rows()
    )
    assert rows == [(100, 1.5, 0.0), (300, 2.5, 2.0)]


def test_an_event_file_cut_off_by_a_kill_is_read_up_to_there(cleanrl):
    (file,) = cleanrl.rglob("*tfevents*")
    file.write_bytes(file.read_bytes()[:-7])
    assert [scalar.value for scalar in read_scalars(file)] == [1.5]
    file.write_bytes(b"nothing of the kind, at all")
    with pytest.raises(DataError, match="not a TensorBoard event file"):
        list(read_scalars(file))


def test_monitor_files_of_stable_baselines(tmp_path):
    (tmp_path / "sac_seed_4").mkdir()
    (tmp_path / "sac_seed_4" / "0.monitor.csv").write_text(MONITOR)
    (run,) = read_foreign(tmp_path, name="sac")
    assert (run.library, run.name, run.world, run.seed) == ("stable-baselines3", "sac", "Hopper-v5", 4)
    assert run.metrics.select("environment_steps", "value", "time").rows() == [(20, 10.5, 1.0), (50, 12.0, 2.5)]
    (tmp_path / "sac_seed_4" / "0.monitor.csv").write_text("r,l,t\n1,2,3\n")
    with pytest.raises(DataError, match="not a monitor file"):
        read_foreign(tmp_path)


def test_tables_of_weights_and_biases(tmp_path):
    (tmp_path / "export.csv").write_text(TABLE + "100,1.5,1.0\n200,,\n300,2.5,2.0\n")
    (run,) = read_foreign(tmp_path / "export.csv")
    assert (run.library, run.name, run.world, run.seed) == ("wandb", "ppo", "Hopper-v4", 3)
    returns = run.metrics.filter(run.metrics["name"] == "episode/return")
    assert returns["value"].to_list() == [1.5, 2.5]


def test_foreign_runs_are_listed_and_plotted_like_our_own(cleanrl, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    store = tmp_path / "store"
    assert main(["runs", "import", str(cleanrl), "--to", str(store)]) == 0
    assert "1 run" in capsys.readouterr().out
    assert add_foreign(read_foreign(cleanrl), store) == []
    table = runs_table([store], [Condition.parse("library=cleanrl")])
    assert table.select("method", "world", "state", "seeds").rows() == [("ppo_continuous", "Hopper-v4", "finished", 1)]
    arguments = ["plot", str(store), "--metric", "episode/return", "--out", str(tmp_path / "figure")]
    assert main(arguments) == 0
    assert "| ppo_continuous | 2" in capsys.readouterr().out


def test_a_folder_without_any_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nothing that is known"):
        read_foreign(tmp_path)
