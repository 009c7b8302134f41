"""Our own format: what is written is read back, damage is noticed, and large files do not fill memory."""

import json
import subprocess
import sys
import textwrap

import equinox as eqx
import jax
import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec, spec_from_json, spec_to_json
from headstart.data.experience import COLUMNS, Experience
from headstart.data.folder import VERSION, Writer, load
from headstart.data.replay import Replay

SPEC = Spec(Box((2,), (-np.inf, 0.0), (np.inf, 5.0)), Box.uniform((1,), -2.0, 2.0))


def make(rows: int = 40, spec: Spec = SPEC, seed: int = 0) -> Experience:
    generator = np.random.default_rng(seed)
    discrete = isinstance(spec.action, Discrete)
    return Experience(
        spec,
        {
            "observations": generator.normal(size=(rows, *spec.observation.shape)),
            "actions": generator.integers(0, 4, rows) if discrete else generator.uniform(-2, 2, (rows, 1)),
            "rewards": generator.normal(size=rows),
            "next_observations": generator.normal(size=(rows, *spec.observation.shape)),
            "terminations": generator.random(rows) < 0.1,
            "truncations": generator.random(rows) < 0.1,
        },
        {"world": "somewhere"},
    )


def assert_equal(one: Experience, other: Experience):
    assert one.spec == other.spec
    for name in COLUMNS:
        np.testing.assert_array_equal(one.columns[name], other.columns[name], err_msg=name)
        assert one.columns[name].dtype == other.columns[name].dtype


@pytest.mark.parametrize("memory_map", [True, False])
@pytest.mark.parametrize("spec", [SPEC, Spec(Box.uniform((2, 2), 0, 1), Discrete(4))])
def test_round_trip(tmp_path, memory_map, spec):
    data = make(spec=spec)
    data.save(tmp_path / "data")
    again = Experience.load(tmp_path / "data", memory_map)
    assert_equal(data, again)
    assert again.metadata["world"] == "somewhere"
    assert not list(tmp_path.glob(".*"))
    assert json.loads((tmp_path / "data" / "metadata.json").read_text())["rows"] == 40


def test_spec_survives_json():
    for spec in (SPEC, Spec(Box.uniform((2, 2), 0, 255), Discrete(4))):
        assert spec_from_json(json.loads(json.dumps(spec_to_json(spec), allow_nan=False))) == spec


def test_digest_depends_on_content_alone(tmp_path):
    make().save(tmp_path / "a")
    with Writer(tmp_path / "b", SPEC, {"another": "note"}) as writer:
        data = make()
        for start in range(0, 40, 13):
            writer.append(*(data.read(name, start, start + 13) for name in COLUMNS))
    make(seed=1).save(tmp_path / "c")
    digests = [load(tmp_path / name).metadata["digest"] for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    assert make().digest() == load(tmp_path / "a").digest() == digests[0]
    changed = load(tmp_path / "a", memory_map=False)
    assert changed.select([0]).digest() != digests[0]
    changed.append(*(make().columns[name][:1] for name in COLUMNS))
    assert changed.digest() != digests[0]


def test_training_batches_from_a_memory_map_are_those_from_memory(tmp_path):
    data = make(300)
    data.save(tmp_path / "data")
    mapped = Experience.load(tmp_path / "data")
    replay = Replay.from_experience(data, 0.9, n_step=3, returns_to_go=True, next_actions=True)
    indices = eqx.filter_jit(Replay.indices)(replay, jax.random.key(0), 64)
    device = eqx.filter_jit(Replay.gather)(replay, indices)
    host = mapped.gather(np.asarray(indices), 0.9, 3, mapped.returns_to_go(0.9), next_actions=True)
    for ours, theirs in zip(host, device, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(mapped.gather(np.arange(5)), Experience(SPEC, mapped.columns).gather(np.arange(5))):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(DataError, match="read-only"):
        mapped.append(*(data.columns[name][:1] for name in COLUMNS))


def test_a_ring_is_saved_in_order_of_time(tmp_path):
    ring = Experience.empty(SPEC, 6, streams=2)
    for step in range(5):
        done = [False, step == 3]
        ring.append([[step, 0], [step, 1]], [[0], [1]], [step, step], [[step + 1, 0], [step + 1, 1]], done, [False] * 2)
    ring.save(tmp_path / "ring")
    again = Experience.load(tmp_path / "ring")
    np.testing.assert_array_equal(again.rewards, [2, 3, 4, 2, 3, 4])
    np.testing.assert_array_equal(again.actions[:, 0], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(again.episodes().lengths, [3, 2, 1])


def test_writer_extends_and_survives_failure(tmp_path):
    data = make()
    rows = [data.columns[name] for name in COLUMNS]
    data.save(tmp_path / "data")
    with Writer(tmp_path / "data", SPEC, {"more": 1}, extend=True) as writer:
        writer.append(*rows)
    again = load(tmp_path / "data", verify=True)
    assert len(again) == 80
    assert again.metadata["more"] == 1
    np.testing.assert_array_equal(again.rewards[40:], data.rewards)

    def fail(**options):
        with Writer(tmp_path / options.pop("name"), SPEC, **options) as writer:
            writer.append(*rows)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail(name="data", extend=True)
    assert_equal(again, load(tmp_path / "data", verify=True))
    with Writer(tmp_path / "data", SPEC, extend=True) as writer:
        writer.append(*rows)
    assert len(load(tmp_path / "data", verify=True)) == 120
    with pytest.raises(KeyboardInterrupt):
        fail(name="new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_nothing_is_overwritten(tmp_path):
    make().save(tmp_path / "data")
    with pytest.raises(UsageError, match="exists already"):
        make(seed=1).save(tmp_path / "data")
    with pytest.raises(UsageError, match="holds data of"):
        Writer(tmp_path / "data", Spec(SPEC.observation, Discrete(2)), extend=True)
    assert_equal(make(), load(tmp_path / "data"))


def damage(folder, what):
    path = folder / "rewards.npy"
    if what == "missing column":
        path.unlink()
    elif what == "truncated column":
        path.write_bytes(path.read_bytes()[:-8])
    elif what == "truncated header":
        path.write_bytes(path.read_bytes()[:20])
    elif what == "changed content":
        path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    elif what == "other dtype":
        np.save(path, np.zeros(40))
    elif what == "pickled":
        np.save(path, np.array([{}] * 40, object), allow_pickle=True)
    elif what == "half metadata":
        path = folder / "metadata.json"
        path.write_text(path.read_text()[:100])
    elif what == "no metadata":
        (folder / "metadata.json").unlink()
    elif what == "newer version":
        path = folder / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": VERSION + 1}))
    elif what == "no spec":
        path = folder / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"spec": {}}))


@pytest.mark.parametrize("memory_map", [True, False])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing column", "rewards.npy is missing"),
        ("truncated column", "rewards.npy is truncated or damaged"),
        ("truncated header", "rewards.npy is truncated or damaged"),
        ("changed content", "rewards.npy has changed"),
        ("other dtype", r"float64\[40\].*float32\[40\]"),
        ("pickled", "rewards.npy is truncated or damaged"),
        ("half metadata", "metadata.json is damaged"),
        ("no metadata", "no metadata.json"),
        ("newer version", "version 2"),
        ("no spec", "spec cannot be read"),
    ],
)
def test_damage_is_noticed(tmp_path, what, message, memory_map):
    make().save(tmp_path / "data")
    damage(tmp_path / "data", what)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "data", memory_map)


def test_reading_a_large_file_keeps_memory_small(tmp_path):
    """Batches from a file of 300 MB, and a look at every row, raise resident memory by less than a third of it."""
    script = f"""
        import numpy as np
        from headstart.core.specs import Box, Spec
        from headstart.data.folder import Writer, load
        spec = Spec(Box.uniform((350,), -1, 1), Box.uniform((50,), -1, 1))
        generator = np.random.default_rng(0)
        def resident():
            lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
            return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024
        block = generator.random((2_000, 350), np.float32)
        ends = np.arange(2_000) % 500 == 499
        with Writer({str(tmp_path / "data")!r}, spec) as writer:
            for _ in range(50):
                writer.append(block, block[:, :50], block[:, 0], block, ends, ~ends & False)
        before = resident()[0]
        data = load({str(tmp_path / "data")!r})
        size = sum(column.nbytes for column in data.columns.values()) / 2**20
        for _ in range(40):
            data.gather(generator.integers(0, len(data), 1024), n_step=3)
        data.returns_to_go(0.99), data.returns()
        for start in range(0, len(data), 10_000):
            data.read("observations", start, start + 10_000).mean()
        print(size, resident()[1] - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    size, growth = map(float, done.stdout.split())
    assert size > 280
    assert growth < 100


@pytest.mark.parametrize("call_bytes", [0, 4096])
def test_rows_come_in_the_order_asked_however_they_are_read(tmp_path, monkeypatch, call_bytes):
    monkeypatch.setattr("headstart.data.disk._CALL_BYTES", call_bytes)
    monkeypatch.setattr("headstart.data.disk._BLOCK_BYTES", 100)
    monkeypatch.setattr("headstart.data.disk._HELD_BYTES", 0)
    data = make(200)
    data.save(tmp_path / "data")
    mapped = Experience.load(tmp_path / "data")
    for rows in (np.random.default_rng(0).integers(0, 200, 500), np.array([199, 0, 0]), np.zeros(0, int)):
        for name in COLUMNS:
            np.testing.assert_array_equal(mapped.take(name, rows), data.columns[name][rows])
    np.testing.assert_array_equal(mapped.select([2, 0]).rewards, data.select([2, 0]).rewards)
    with pytest.raises(IndexError, match="there are 200"):
        mapped.take("rewards", np.array([200]))


def test_a_file_cut_short_while_it_is_read(tmp_path):
    make(5000).save(tmp_path / "data")
    data = Experience.load(tmp_path / "data")
    with (tmp_path / "data" / "rewards.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DataError, match="cut short"):
        data.gather(np.array([4999]))
    with pytest.raises(DataError, match="cut short"):
        data.returns()
