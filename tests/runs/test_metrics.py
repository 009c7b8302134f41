import subprocess
import sys
import time

import numpy as np
import pytest

from headstart.core.errors import CheckpointError, DataError
from headstart.runs.metrics import SCHEMA, MetricsWriter, read_metrics


def log_steps(writer, steps):
    for step in steps:
        writer.log(step, 2 * step, "online", {"loss/critic": step / 3, "loss/actor": -float(step)})


def test_rows_come_back_in_order_with_their_counters(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.log(0, 0, "offline", {"loss/critic": np.float32(0.5)})
    writer.log(7, 3, "online", {"evaluation/return": 10.0, "loss/critic": float("nan")})
    assert writer.flush() == 3
    table = read_metrics(tmp_path)
    assert table.columns == list(SCHEMA)
    assert table["name"].to_list() == ["loss/critic", "evaluation/return", "loss/critic"]
    assert table["phase"].to_list() == ["offline", "online", "online"]
    assert table["updates"].to_list() == [0, 7, 7]
    assert table["environment_steps"].to_list() == [0, 3, 3]
    assert table["value"][1] == 10.0
    assert np.isnan(table["value"][2])
    assert read_metrics(tmp_path, ["evaluation/return"])["value"].to_list() == [10.0]


def test_a_folder_without_rows_is_an_empty_table(tmp_path):
    assert read_metrics(tmp_path / "none").height == 0
    MetricsWriter(tmp_path).flush()
    assert read_metrics(tmp_path).schema == read_metrics(tmp_path / "none").schema


@pytest.mark.parametrize("part_rows", [3, 10, 10_000])
@pytest.mark.parametrize("keep", [0, 1, 3, 10, 17, 40])
def test_a_resumed_run_has_no_duplicate_and_no_future_rows(tmp_path, part_rows, keep):
    """Whatever was flushed after the checkpoint, resuming gives the rows of a run that was never interrupted."""
    writer = MetricsWriter(tmp_path, part_rows=part_rows)
    for step in range(0, 20, 2):
        log_steps(writer, [step, step + 1])
        writer.flush()
    resumed = MetricsWriter(tmp_path, part_rows=part_rows)
    assert resumed.rows == 40
    resumed.truncate_after(keep)
    assert read_metrics(tmp_path).height == keep
    for row in range(keep, 40):
        step, name = row // 2, ("loss/critic", "loss/actor")[row % 2]
        resumed.log(step, 2 * step, "online", {name: step / 3 if row % 2 == 0 else -float(step)})
    resumed.flush()
    table = read_metrics(tmp_path)
    assert table["updates"].to_list() == [row // 2 for row in range(40)]
    assert table["name"].to_list() == ["loss/critic", "loss/actor"] * 20
    assert table["value"].to_list() == [v for step in range(20) for v in (step / 3, -float(step))]
    assert table["time"].is_sorted()


def test_rows_in_memory_are_truncated_too(tmp_path):
    writer = MetricsWriter(tmp_path)
    log_steps(writer, range(5))
    writer.truncate_after(4)
    assert writer.rows == 4
    log_steps(writer, [9])
    writer.flush()
    assert read_metrics(tmp_path)["updates"].to_list() == [0, 0, 1, 1, 9, 9]


def test_keeping_more_rows_than_are_recorded_is_refused(tmp_path):
    writer = MetricsWriter(tmp_path)
    log_steps(writer, range(5))
    with pytest.raises(CheckpointError, match=r"cannot keep 11 rows.*10 are recorded"):
        writer.truncate_after(11)
    assert writer.rows == 10


def test_time_continues_where_it_stopped(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer._origin -= 100.0
    log_steps(writer, [0])
    writer.flush()
    resumed = MetricsWriter(tmp_path)
    log_steps(resumed, [1])
    resumed.flush()
    times = read_metrics(tmp_path)["time"]
    assert 100.0 <= times[0] <= times[2] < times[0] + 50.0


def test_parts_stay_few_over_many_flushes(tmp_path):
    writer = MetricsWriter(tmp_path, part_rows=100)
    for step in range(150):
        log_steps(writer, [step])
        writer.flush()
    assert len(list(tmp_path.iterdir())) == 3
    assert read_metrics(tmp_path).height == 300


def test_rows_are_written_without_an_explicit_flush(tmp_path):
    writer = MetricsWriter(tmp_path, flush_seconds=0.0)
    log_steps(writer, range(3))
    assert read_metrics(tmp_path).height == 6


def test_a_damaged_part_is_named(tmp_path):
    writer = MetricsWriter(tmp_path)
    log_steps(writer, range(3))
    writer.flush()
    (part,) = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-000000000000\.parquet is not a readable part"):
        read_metrics(tmp_path)


def test_a_process_killed_while_logging_leaves_whole_rows(tmp_path):
    program = (
        "import sys; from headstart.runs.metrics import MetricsWriter\n"
        "writer = MetricsWriter(sys.argv[1], flush_seconds=0.0, part_rows=64)\n"
        "step = 0\n"
        "while True:\n"
        "    writer.log(step, step, 'online', {'a': step, 'b': -step})\n"
        "    step += 1\n"
        "    print(step, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 150:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    table = read_metrics(tmp_path)
    assert table.height >= 300
    assert table["value"].to_list() == [sign * step for step in range(table.height // 2) for sign in (1.0, -1.0)]


def test_logging_a_scalar_takes_microseconds(tmp_path):
    """At 1000 scalars a second, 2 % of the time is 20 microseconds each; processor time, flushes included."""
    writer = MetricsWriter(tmp_path, flush_seconds=float("inf"))
    values = {f"loss/{index}": 0.5 for index in range(10)}
    start = time.process_time()
    for second in range(60):
        for tick in range(100):
            writer.log(100 * second + tick, tick, "online", values)
        if second % 10 == 9:
            writer.flush()
    each = (time.process_time() - start) / 60_000
    assert each < 20e-6
