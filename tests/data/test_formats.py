"""Foreign formats: D4RL HDF5, Minari and Parquet, read, written, converted, and refused when damaged."""

import gymnasium
import h5py
import minari
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.d4rl_format import read_d4rl, write_d4rl
from headstart.data.experience import COLUMNS, Experience
from headstart.data.minari_format import read_minari, write_minari
from headstart.data.parquet_format import read_parquet, write_parquet
from headstart.data.registry import convert, load

pytestmark = pytest.mark.filterwarnings("ignore:.*set to None:UserWarning", "ignore:env_spec is None:UserWarning")


@pytest.fixture(autouse=True)
def own_stores(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


def episodes(discrete: bool = False, shape: tuple[int, ...] = (3,)) -> Experience:
    """Three episodes of 4 (terminates), 3 (time limit) and 2 (terminates) steps, successors consistent."""
    generator = np.random.default_rng(0)
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for length, terminates in ((4, True), (3, False), (2, True)):
        seen = generator.uniform(-1, 1, (length + 1, *shape)).astype(np.float32)
        last = np.arange(length) == length - 1
        columns["observations"].append(seen[:-1])
        columns["next_observations"].append(seen[1:])
        actions = generator.integers(0, 3, length) if discrete else generator.uniform(-2, 2, (length, 2))
        columns["actions"].append(actions)
        columns["rewards"].append(generator.normal(size=length))
        columns["terminations"].append(last & terminates)
        columns["truncations"].append(last & (not terminates))
    spec = Spec(Box.uniform(shape, -1, 1), Discrete(3) if discrete else Box.uniform((2,), -2.0, 2.0))
    return Experience(spec, {name: np.concatenate(parts) for name, parts in columns.items()}, {"made": "by hand"})


def assert_equal(one: Experience, other: Experience, spec: bool = True):
    assert not spec or one.spec == other.spec
    for name in COLUMNS:
        np.testing.assert_array_equal(one.columns[name], other.columns[name], err_msg=name)
        assert one.columns[name].dtype == other.columns[name].dtype


def d4rl_file(path, **changes):
    """Seven steps: a time limit at row 2, a termination at row 5."""
    columns = {
        "observations": np.arange(7.0)[:, None] + np.zeros(2),
        "actions": np.linspace(-1, 1, 7)[:, None],
        "rewards": np.arange(7.0),
        "terminals": np.arange(7) == 5,
        "timeouts": np.arange(7) == 2,
    } | changes
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            if column is not None:
                file[name] = column
    return path


class TestD4RL:
    def test_successors_are_derived_as_qlearning_dataset_does(self, tmp_path):
        data = read_d4rl(d4rl_file(tmp_path / "file.hdf5"))
        np.testing.assert_array_equal(data.observations[:, 0], [0, 1, 3, 4, 5])
        np.testing.assert_array_equal(data.next_observations[:, 0], [1, 2, 4, 5, 6])
        np.testing.assert_array_equal(data.rewards, [0, 1, 3, 4, 5])
        np.testing.assert_array_equal(data.terminations, [0, 0, 0, 0, 1])
        np.testing.assert_array_equal(data.truncations, [0, 1, 0, 0, 0])
        assert any("float64" in note for note in data.metadata["notes"])

    def test_recorded_successors_keep_every_row(self, tmp_path):
        following = np.arange(7.0)[:, None] + np.full(2, 0.5)
        data = read_d4rl(d4rl_file(tmp_path / "file.hdf5", next_observations=following))
        np.testing.assert_array_equal(data.next_observations, following)
        np.testing.assert_array_equal(data.truncations, np.arange(7) == 2)
        assert data.episodes().complete.tolist() == [True, True, False]

    def test_without_timeouts_the_horizon_is_counted(self, tmp_path):
        path = d4rl_file(tmp_path / "file.hdf5", timeouts=None)
        data = read_d4rl(path, horizon=2)
        # Steps 1 and 3 are second steps of an episode; step 5 both terminates and is one, and is dropped.
        np.testing.assert_array_equal(data.observations[:, 0], [0, 2, 4])
        np.testing.assert_array_equal(data.truncations, [True, True, True])
        data = read_d4rl(path)
        assert len(data) == 6
        assert any("no horizon" in note for note in data.metadata["notes"])
        named = d4rl_file(tmp_path / "kitchen-mixed-v0.hdf5", timeouts=None)
        assert any("every 280 steps" in note for note in read_d4rl(named).metadata["notes"])

    def test_column_rewards_and_choices(self, tmp_path):
        path = d4rl_file(tmp_path / "file.hdf5", rewards=np.arange(7.0)[:, None], actions=np.arange(7) % 4)
        data = read_d4rl(path)
        assert data.spec.action == Discrete(4)
        assert data.rewards.shape == (5,)
        np.testing.assert_array_equal(data.actions, [0, 1, 3, 0, 1])

    def test_known_flaws_of_versions_are_noted(self, tmp_path):
        data = read_d4rl(d4rl_file(tmp_path / "antmaze-umaze-v0.hdf5"))
        assert any("version 2" in note for note in data.metadata["notes"])

    @pytest.mark.parametrize("discrete", [False, True])
    def test_round_trip(self, tmp_path, discrete):
        data = episodes(discrete)
        write_d4rl(data, tmp_path / "file.hdf5")
        again = read_d4rl(tmp_path / "file.hdf5")
        assert_equal(data, again)
        assert again.metadata["made"] == "by hand"
        with pytest.raises(UsageError, match="exists already"):
            write_d4rl(data, tmp_path / "file.hdf5")

    def test_damage(self, tmp_path):
        path = d4rl_file(tmp_path / "file.hdf5")
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="truncated or damaged HDF5"):
            read_d4rl(path)
        path.write_bytes(b"no HDF5 at all")
        with pytest.raises(DataError, match="truncated or damaged HDF5"):
            read_d4rl(path)
        with pytest.raises(DataError, match="does not exist"):
            read_d4rl(tmp_path / "other.hdf5")
        with pytest.raises(DataError, match="terminals missing"):
            read_d4rl(d4rl_file(tmp_path / "a.hdf5", terminals=None))
        with pytest.raises(DataError, match="cut short"):
            read_d4rl(d4rl_file(tmp_path / "b.hdf5", rewards=np.zeros(5)))
        with pytest.raises(DataError, match="expected numbers"):
            read_d4rl(d4rl_file(tmp_path / "c.hdf5", actions=np.array([b"a"] * 7)))
        with pytest.raises(DataError, match="shape"):
            read_d4rl(d4rl_file(tmp_path / "d.hdf5"), Spec(Box.uniform((3,), -1, 1), Box.uniform((1,), -1, 1)))


class TestParquet:
    @pytest.mark.parametrize(("discrete", "shape"), [(False, (3,)), (True, (3,)), (False, (2, 2))])
    def test_round_trip(self, tmp_path, discrete, shape):
        data = episodes(discrete, shape)
        write_parquet(data, tmp_path / "file.parquet")
        again = read_parquet(tmp_path / "file.parquet")
        assert_equal(data, again)
        assert again.metadata["made"] == "by hand"

    def test_a_foreign_file_of_plain_lists(self, tmp_path):
        observations = np.arange(7.0)[:, None] + np.zeros(2)
        table = {
            "observations": observations.tolist(),
            "actions": np.linspace(-1, 1, 7)[:, None].tolist(),
            "rewards": np.arange(7.0),
            "terminations": np.arange(7) == 5,
            "truncations": np.arange(7) == 2,
        }
        pq.write_table(pa.table(table), tmp_path / "file.parquet")
        assert_equal(read_parquet(tmp_path / "file.parquet"), read_d4rl(d4rl_file(tmp_path / "file.hdf5")))

    def test_damage(self, tmp_path):
        path = tmp_path / "file.parquet"
        write_parquet(episodes(), path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="truncated or damaged Parquet"):
            read_parquet(path)
        # Data overwritten in the middle, the footer still whole.
        path.write_bytes(whole[:4] + b"\x00" * 100 + whole[104:])
        with pytest.raises(DataError, match="truncated or damaged Parquet"):
            read_parquet(path)
        table = {name: [[0.0], [1.0]] for name in ("observations", "actions")} | {"rewards": [0.0, 1.0]}
        pq.write_table(pa.table(table), path)
        with pytest.raises(DataError, match="columns terminations are missing"):
            read_parquet(path)
        table["terminations"] = [False, True]
        for column, message in (
            ([[0.0], [1.0, 2.0]], "different lengths"),
            ([[0.0], None], "missing in 1 rows"),
            ([[0.0], [None]], "gaps"),
            (["a", "b"], "expected numbers"),
        ):
            pq.write_table(pa.table(table | {"observations": column}), path)
            with pytest.raises(DataError, match=message):
                read_parquet(path)


def collect(env, dataset_id: str, count: int = 3, **options):
    """A dataset made by Minari's own collector, and the transitions that it saw."""
    env = minari.DataCollector(env, **options)
    seen = []
    for episode in range(count):
        observation, _ = env.reset(seed=episode)
        env.action_space.seed(episode)
        done = False
        while not done:
            action = env.action_space.sample()
            after, reward, terminated, truncated, _ = env.step(action)
            seen.append((observation, action, reward, after, terminated, truncated))
            observation, done = after, terminated or truncated
    env.create_dataset(dataset_id)
    env.close()
    return [np.array(column) for column in zip(*seen, strict=True)]


class Goals(gymnasium.Env):
    """Dictionary observations with text, as goal-conditioned datasets have."""

    observation_space = gymnasium.spaces.Dict(
        {
            "place": gymnasium.spaces.Box(-1, 1, (2, 2), np.float32),
            "direction": gymnasium.spaces.Discrete(4),
            "mission": gymnasium.spaces.Text(8),
        }
    )
    action_space = gymnasium.spaces.Discrete(3)

    def observe(self):
        place = np.full((2, 2), self.steps / 10, np.float32)
        return {"place": place, "direction": self.steps % 4, "mission": "go"}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), 1.0, self.steps == 3, False, {}


class TestMinari:
    @pytest.mark.parametrize(("world", "data_format"), [("CartPole-v1", "hdf5"), ("Pendulum-v1", "arrow")])
    def test_what_minari_collects_is_read(self, world, data_format):
        env = gymnasium.make(world, max_episode_steps=15)
        expected = collect(env, "test/made-v0", data_format=data_format)
        data = load("test/made-v0")
        for name, column in zip(COLUMNS, expected, strict=True):
            np.testing.assert_allclose(data.columns[name], column, rtol=1e-6, err_msg=name)
        assert data.metadata["world"] == world
        assert data.spec == Spec.from_spaces(env.observation_space, env.action_space)
        assert len(data.episodes()) == 3
        assert data.episodes().complete.all()

    def test_dictionaries_are_flattened_as_gymnasium_does(self):
        collect(Goals(), "test/goals-v0", 1)
        data = read_minari("test/goals-v0")
        np.testing.assert_allclose(data.observations[1], [0, 1, 0, 0, 0.1, 0.1, 0.1, 0.1])
        assert data.spec.observation_size == 8
        assert any("mission" in note for note in data.metadata["notes"])

    @pytest.mark.parametrize(("discrete", "shape"), [(False, (3,)), (True, (3,)), (False, (2, 2))])
    def test_round_trip(self, tmp_path, discrete, shape):
        data = episodes(discrete, shape)
        write_minari(data, "test/ours-v1")
        assert_equal(data, read_minari("test/ours-v1"))
        write_minari(data, tmp_path / "folder")
        assert_equal(data, load(tmp_path / "folder"))
        with pytest.raises(UsageError, match="exists already"):
            write_minari(data, "test/ours-v1")

    def test_minari_reads_what_we_write(self):
        data = episodes()
        data.metadata["world"] = "Pendulum-v1"
        write_minari(data, "test/ours-v1")
        theirs = minari.load_dataset("test/ours-v1")
        assert (theirs.total_episodes, theirs.total_steps) == (3, 9)
        assert theirs.env_spec.id == "Pendulum-v1"
        lengths = [len(episode.rewards) for episode in theirs.iterate_episodes()]
        assert lengths == [4, 3, 2]
        episode = theirs[1]
        np.testing.assert_array_equal(episode.observations[:-1], data.observations[4:7])
        np.testing.assert_array_equal(episode.observations[-1], data.next_observations[6])
        np.testing.assert_array_equal(episode.truncations, [False, False, True])

    def test_damage_and_absence(self, tmp_path):
        with pytest.raises(DataError, match="cannot open Minari dataset"):
            read_minari("test/nothing-v0", download=False)
        write_minari(episodes(), tmp_path / "folder")
        path = tmp_path / "folder" / "data" / "main_data.hdf5"
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(DataError, match="damaged"):
            read_minari(tmp_path / "folder")
        (tmp_path / "folder" / "data" / "metadata.json").write_text('{"data_format": ')
        with pytest.raises(DataError, match="cannot open"):
            read_minari(tmp_path / "folder")
        with pytest.raises(UsageError, match="no Minari id"):
            write_minari(episodes(), "no version")


def test_what_minari_does_not_hold_is_refused():
    with pytest.raises(DataError, match="no version' is no Minari id; expected minari:namespace"):
        load("minari:no version")
    with pytest.raises(DataError, match="does not exist"):
        load("minari:./nothing-v0")


def test_convert_between_all_formats(tmp_path):
    data = episodes()
    data.save(tmp_path / "ours")
    chain = ["a.hdf5", "b.parquet", "minari:test/chain-v0", "c", f"minari:{tmp_path}/d-v0", "e.h5"]
    source = str(tmp_path / "ours")
    for target in chain:
        target = target if target.startswith("minari:") else str(tmp_path / target)
        convert(source, target)
        source = target
        assert_equal(data, load(source))
        assert_equal(data, load(target.removeprefix("minari:")))
    with pytest.raises(UsageError, match="exists already"):
        convert(tmp_path / "ours", tmp_path / "c")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UsageError, match="no known kind"):
        load(tmp_path / "notes.txt")
