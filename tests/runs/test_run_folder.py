import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from headstart.core.errors import CheckpointError, DataError, DivergenceError, UsageError
from headstart.runs import folder as folder_module
from headstart.runs.folder import RunFolder, overall_state

CONFIG = {"method": {"name": "iql", "expectile": 0.7}, "world": "Hopper-v5", "data": "hopper-medium"}


def test_a_run_remembers_what_it_was_asked(tmp_path):
    RunFolder.create(tmp_path / "deep" / "run", CONFIG, seeds=[3, 1], accelerators=["imaginary"])
    run = RunFolder.open(tmp_path / "deep" / "run")
    assert run.config == CONFIG
    assert run.seeds == [3, 1]
    assert run.provenance["machine"]["accelerators"] == ["imaginary"]
    assert run.state() == "waiting"
    assert [seed.path.name for seed in run.seed_folders()] == ["seed-3", "seed-1"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]


@pytest.mark.parametrize("occupant", ["run", "other files", "file"])
def test_an_existing_folder_is_refused_and_left_alone(tmp_path, occupant):
    path = tmp_path / "run"
    if occupant == "run":
        RunFolder.create(path, CONFIG)
    elif occupant == "other files":
        path.mkdir()
        (path / "thesis.txt").write_text("precious")
    else:
        path.write_text("precious")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"run exists already.*headstart resume"):
        RunFolder.create(path, {"method": "other"})
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_an_empty_folder_is_accepted(tmp_path):
    RunFolder.create(tmp_path, CONFIG)
    assert RunFolder.open(tmp_path).config == CONFIG


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"method": {"discount": float("nan")}}, r"config\.method\.discount is nan"),
        ({"plan": [{"steps": 1}, {"steps": object()}]}, r"config\.plan\[1\]\.steps is a object"),
        ({1: "one"}, "keys must be strings"),
    ],
)
def test_a_configuration_that_json_cannot_hold_is_refused(tmp_path, config, message):
    with pytest.raises(UsageError, match=message):
        RunFolder.create(tmp_path / "run", config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_distinct_and_some(tmp_path, seeds):
    with pytest.raises(UsageError, match="each once"):
        RunFolder.create(tmp_path / "run", CONFIG, seeds)


def test_unknown_seeds_and_folders_that_are_no_runs(tmp_path):
    with pytest.raises(UsageError, match="is not a run"):
        RunFolder.open(tmp_path)
    with pytest.raises(UsageError, match=r"no seed 5; its seeds are \[0\]"):
        RunFolder.create(tmp_path / "run", CONFIG).seed(5)


@pytest.mark.parametrize("content", ["{", "[]", '{"config": 3, "seeds": [0], "provenance": {}, "created": 0}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=r"run\.json is not a readable record"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"state": "dreaming"}', '{"unknown": 1}'])
def test_a_damaged_status_is_named(tmp_path, content):
    run = RunFolder.create(tmp_path / "run", CONFIG)
    (run.seed(0).path / "status.json").write_text(content)
    with pytest.raises(DataError, match=r"status\.json is not a readable status"):
        run.state()


def test_recording_to_the_end(tmp_path):
    run = RunFolder.create(tmp_path / "run", CONFIG, seeds=[0, 1])
    for seed in run.seed_folders():
        with seed.record() as recorder:
            assert seed.status().state == "running"
            assert seed.status().pid == os.getpid()
            recorder.log(10, 0, "offline", {"loss/critic": 1.0})
            recorder.log(10, 0, "offline", {"evaluation/return": 5.0 + seed.seed, "evaluation/score": float("nan")})
            recorder.log(20, 30, "online", {"loss/critic": 2.0})
        status = seed.status()
        assert (status.state, status.phase, status.updates, status.environment_steps) == ("finished", "online", 20, 30)
        assert status.last == {"evaluation/return": 5.0 + seed.seed, "evaluation/score": None}
        assert status.error is None
    assert run.state() == "finished"
    table = run.metrics(["evaluation/return"])
    assert table["seed"].to_list() == [0, 1]
    assert table["value"].to_list() == [5.0, 6.0]
    assert run.metrics().height == 8


def test_a_failure_is_recorded_with_its_place(tmp_path):
    seed = RunFolder.create(tmp_path / "run", CONFIG).seed(0)

    def diverge():
        with seed.record() as recorder:
            recorder.log(40, 7, "online", {"loss/critic": float("inf")})
            raise DivergenceError("loss/critic is inf")

    with pytest.raises(DivergenceError):
        diverge()
    status = seed.status()
    assert status.state == "failed"
    assert status.error == {
        "kind": "DivergenceError",
        "message": "loss/critic is inf",
        "phase": "online",
        "updates": 40,
        "environment_steps": 7,
    }
    assert seed.metrics().height == 1
    with pytest.raises(ZeroDivisionError), seed.record():
        _ = 1 / 0
    assert "ZeroDivisionError" in (seed.status().error or {})["traceback"]
    with seed.record():
        pass
    assert seed.status().error is None


def test_notes_are_kept_in_order(tmp_path):
    seed = RunFolder.create(tmp_path / "run", CONFIG).seed(0)
    assert seed.notes() == []
    for line in ("first", "second"):
        with seed.record() as recorder:
            recorder.note([line, f"after {line}"])
    assert seed.notes() == ["first", "after first", "second", "after second"]


@pytest.mark.parametrize("how", ["asked", "interrupted"])
def test_stopping_is_not_failing(tmp_path, how):
    seed = RunFolder.create(tmp_path / "run", CONFIG).seed(0)
    if how == "asked":
        with seed.record() as recorder:
            recorder.stop()
    else:
        with pytest.raises(KeyboardInterrupt), seed.record():
            raise KeyboardInterrupt
    assert seed.status().state == "stopped"


def test_a_seed_is_trained_by_one_process_at_a_time(tmp_path):
    seed = RunFolder.create(tmp_path / "run", CONFIG).seed(0)
    with seed.record(), pytest.raises(UsageError, match=f"is being trained by process {os.getpid()}"):
        seed.record()
    assert seed.status().state == "finished"
    with seed.record():
        pass


def test_a_killed_process_shows_as_killed_and_can_be_resumed(tmp_path):
    run = RunFolder.create(tmp_path / "run", CONFIG)
    program = (
        "import sys; from headstart.runs.folder import RunFolder\n"
        "with RunFolder.open(sys.argv[1]).seed(0).record() as recorder:\n"
        "    recorder.log(5, 6, 'online', {'evaluation/return': 1.0})\n"
        "    rows = recorder.metrics.flush()\n"
        "    recorder.log(9, 9, 'online', {'evaluation/return': 9.0})\n"
        "    recorder.metrics.flush()\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(run.path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert run.state() == "running"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert run.state() == "killed"
    with run.seed(0).record() as recorder:
        assert recorder.metrics.rows == 2
        recorder.metrics.truncate_after(1)
        recorder.log(7, 8, "online", {"evaluation/return": 2.0})
    assert run.state() == "finished"
    assert run.metrics()["value"].to_list() == [1.0, 2.0]


def test_a_run_of_another_machine_is_judged_by_its_heartbeat(tmp_path):
    run = RunFolder.create(tmp_path / "run", CONFIG)
    path = run.seed(0).path / "status.json"
    with run.seed(0).record():
        status = json.loads(path.read_text())
    path.write_text(json.dumps({**status, "state": "running", "host": "elsewhere"}))
    assert run.state() == "running"
    path.write_text(json.dumps({**status, "state": "running", "host": "elsewhere", "heartbeat": 1.0}))
    assert run.state() == "killed"


def test_a_full_disk_is_said_and_does_not_hide_why_training_ended(tmp_path, monkeypatch):
    seed = RunFolder.create(tmp_path / "run", CONFIG).seed(0)

    def full(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def diverge_on_a_full_disk():
        with seed.record():
            monkeypatch.setattr(folder_module, "write_json", full)
            raise DivergenceError("loss is nan")

    with pytest.raises(CheckpointError, match=r"status\.json: the disk is full; make room"), seed.record():
        monkeypatch.setattr(folder_module, "write_json", full)
    with pytest.raises(CheckpointError, match=r"new run .*: the disk is full"):
        RunFolder.create(tmp_path / "other", CONFIG)
    monkeypatch.undo()
    with pytest.raises(DivergenceError, match="loss is nan"):
        diverge_on_a_full_disk()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("states", "overall"),
    [
        (["finished", "finished"], "finished"),
        (["finished", "waiting"], "waiting"),
        (["running", "killed", "finished"], "running"),
        (["running", "failed"], "failed"),
        (["stopped", "killed"], "killed"),
    ],
)
def test_the_state_of_a_run_is_its_most_pressing_one(states, overall):
    assert overall_state(states) == overall
