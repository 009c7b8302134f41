"""Training whose early episodes start at snapshots: recorded, resumed bit for bit, refused where it cannot be right."""

import jax
import numpy as np
import pytest

from headstart.cli import main
from headstart.control.plan import online, warmup
from headstart.control.sac import SAC
from headstart.control.settings import Settings
from headstart.control.training import parts_of, resume, train, train_seed
from headstart.core.errors import CheckpointError, UsageError
from headstart.envs.mountain_car import MountainCar
from headstart.envs.snapshots import Snapshots, collect_snapshots
from headstart.runs.folder import RunFolder

WORLD, PLAN = "mountain-car-continuous", [warmup(100, "random"), online(300)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("snapshots") / "teacher.safetensors"
    assert main(["snapshots", WORLD, str(path), "--episodes", "4"]) == 0
    return path


def settings(file, **fields):
    counts = {"log_every": 50, "evaluate_every": 200, "evaluate_episodes": 1, "checkpoint_every": 100}
    return Settings(snapshots=str(file), snapshot_steps=200, snapshot_truncation=20, **(counts | fields))


def go(folder, settings, world=WORLD):
    method = SAC(hidden=(8,), batch_size=16)
    return train(method, world=world, plan=PLAN, folder=folder, settings=settings, show_progress=False)


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    return go(tmp_path_factory.mktemp("runs") / "whole", settings(file))


def test_early_episodes_are_short_and_start_apart_evaluations_do_not(run, file):
    steps, lengths = run.curve("episode/length")
    assert np.all(lengths[steps <= 200] <= 20)
    assert list(run.curve("evaluation/length")[1]) == [200] * len(run.curve("evaluation/length")[1])
    worlds = parts_of(run.folder).make_acting(2, 0)
    starts = np.array([worlds.reset()[0] for _ in range(8)])
    assert all(start in Snapshots.load(file).observations for start in starts)
    assert len(np.unique(starts, axis=0)) > 3


def test_a_run_that_is_stopped_among_snapshots_goes_on_to_the_same_parameters(run, tmp_path):
    again = RunFolder.create(tmp_path / "again", run.folder.config, [0])

    def stop(done):
        if done == 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seed(again.seed(0), parts_of(again), stop)
    assert again.seed(0).checkpoints.latest().progress == 100
    finished = resume(again.path, show_progress=False)
    for ours, theirs in zip(*(jax.tree.leaves(r.policy().state) for r in (run, finished)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_other_worlds_missing_and_changed_files_are_refused_before_anything_is_written(run, file, tmp_path):
    for world, given, problem in (
        ("pendulum", settings(file), "checksum"),
        (WORLD, settings(file, snapshot_clusters=10**6), "clusters"),
        (WORLD, settings(tmp_path / "none"), "not a file of snapshots"),
    ):
        with pytest.raises((UsageError, CheckpointError), match=problem):
            go(tmp_path / "refused", given, world)
        assert not (tmp_path / "refused").exists()
    kept = file.read_bytes()
    collect_snapshots(MountainCar(continuous=True), episodes=1).save(file)
    with pytest.raises(UsageError, match="have changed"):
        parts_of(run.folder)
    file.write_bytes(kept)


def test_a_runs_policy_is_a_teacher_whose_critic_values_its_states(run, tmp_path, capsys):
    assert main(["snapshots", str(run.path), str(tmp_path / "own"), "--episodes", "2", "--every", "50"]) == 0
    assert "8 snapshots" in capsys.readouterr().out
    found, policy = Snapshots.load(tmp_path / "own"), run.policy()
    nets = policy.state.nets
    values = policy.method.q_values(nets["critic"], found.observations, np.tanh(nets["actor"](found.observations).mean))
    np.testing.assert_allclose(found.values, values[0], rtol=1e-5)
    assert main(["snapshots", str(run.path), str(tmp_path / "own")]) == 2
