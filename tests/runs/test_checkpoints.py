import errno
import os
import signal
import subprocess
import sys

import pytest

from headstart.core.errors import CheckpointError
from headstart.runs.checkpoints import Checkpoints


def writer_of(text):
    def write(folder):
        (folder / "state.txt").write_text(text)
        (folder / "replay").mkdir()
        (folder / "replay" / "rows.bin").write_bytes(text.encode() * 100)

    return write


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for progress, score in [(1, 5.0), (2, 50.0), (3, None), (4, float("nan")), (10, 20.0), (200, 30.0)]:
        checkpoints.save(progress, writer_of(str(progress)), {"rows": progress}, score)
    assert [checkpoint.progress for checkpoint in checkpoints.all()] == [2, 10, 200]
    latest, best = checkpoints.latest(), checkpoints.best()
    assert latest is not None
    assert best is not None
    assert (latest.progress, latest.metadata) == (200, {"rows": 200})
    assert (best.progress, best.score) == (2, 50.0)
    assert (best.folder / "state.txt").read_text() == "2"
    assert (best.folder / "replay" / "rows.bin").stat().st_size == 100


def test_the_newest_of_equally_good_ones_is_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for progress in (1, 2, 3):
        checkpoints.save(progress, writer_of("x"), score=1.0)
    assert [checkpoint.progress for checkpoint in checkpoints.all()] == [3]


def test_nothing_saved_yet(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none")
    assert (checkpoints.all(), checkpoints.latest(), checkpoints.best()) == ([], None, None)


def test_saving_again_at_the_same_progress_replaces(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, writer_of("before"))
    checkpoints.save(5, writer_of("after"))
    (only,) = checkpoints.all()
    assert (only.folder / "state.txt").read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["000000000005"]


@pytest.mark.parametrize("damage", ["shorten", "remove", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer_of("one"))
    newest = checkpoints.save(2, writer_of("two"))
    if damage == "shorten":
        (newest.folder / "state.txt").write_text("t")
    elif damage == "remove":
        (newest.folder / "replay" / "rows.bin").unlink()
    else:
        (newest.folder / "checkpoint.json").unlink()
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.progress == 1


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer_of("one"))

    def write(folder):
        (folder / "state.txt").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CheckpointError, match=r"the one at 1 is still there.*disk is full; make room"):
        checkpoints.save(2, write)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000001"]
    latest = checkpoints.latest()
    assert latest is not None
    assert (latest.folder / "state.txt").read_text() == "one"


def test_another_error_while_writing_leaves_nothing_behind(tmp_path):
    checkpoints = Checkpoints(tmp_path)

    def write(folder):
        raise KeyError("weights")

    with pytest.raises(KeyError):
        checkpoints.save(1, write)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_writing_leaves_the_previous_checkpoint(tmp_path):
    program = (
        "import os, signal, sys; from headstart.runs.checkpoints import Checkpoints\n"
        "checkpoints = Checkpoints(sys.argv[1])\n"
        "checkpoints.save(1, lambda folder: (folder / 'a').write_text('one') and None)\n"
        "def write(folder):\n"
        "    (folder / 'a').write_text('two')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "checkpoints.save(2, write)\n"
    )
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert result.returncode == -signal.SIGKILL
    checkpoints = Checkpoints(tmp_path)
    assert [checkpoint.progress for checkpoint in checkpoints.all()] == [1]
    checkpoints.save(2, writer_of("two"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000001", "000000000002"]


def test_at_least_one_is_kept(tmp_path):
    with pytest.raises(CheckpointError, match="keep=0"):
        Checkpoints(tmp_path, keep=0)
