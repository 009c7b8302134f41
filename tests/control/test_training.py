"""Training from end to end: plans, runs, failures and policies, as a user of the Python interface meets them."""

import gymnasium
import jax
import numpy as np
import onnxruntime
import pytest

from headstart.control.bc import BC
from headstart.control.export import export_onnx
from headstart.control.iql import IQL
from headstart.control.plan import offline, online, warmup
from headstart.control.playing import evaluate_run
from headstart.control.policy import Policy
from headstart.control.preprocessing import Preprocessor
from headstart.control.programs import initialise
from headstart.control.registry import make_method
from headstart.control.sac import SAC
from headstart.control.trainer import Settings
from headstart.control.training import default_plan, resume, train
from headstart.core.errors import DataError, DivergenceError, UsageError, WorldError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.experience import Experience

SMALL = {"hidden": (16,), "batch_size": 16}
FAST = Settings(log_every=50, evaluate_every=100, evaluate_episodes=2, checkpoint_every=100)
PENDULUM = Spec(Box.uniform((3,), -1, 1), Box.uniform((1,), -1, 1))


def recorded(rows=400, spec=PENDULUM, seed=0):
    generator = np.random.default_rng(seed)
    observations = generator.normal(size=(rows + 1, spec.observation_size)).astype(np.float32)
    discrete = isinstance(spec.action, Discrete)
    actions = (
        generator.integers(0, spec.action_size, rows)
        if discrete
        else generator.uniform(-0.9, 0.9, (rows, spec.action_size)).astype(np.float32)
    )
    truncations = np.arange(1, rows + 1) % 50 == 0
    columns = {
        "observations": observations[:-1],
        "actions": actions,
        "rewards": generator.normal(size=rows).astype(np.float32),
        "next_observations": observations[1:],
        "terminations": np.zeros(rows, bool),
        "truncations": truncations,
    }
    return Experience(spec, columns, {"name": "noise"})


def test_offline_then_online_is_one_plan(tmp_path):
    plan = [offline(100), warmup(50), online(100, updates_per_step=2, data_ratio=0.5)]
    run = train(IQL(**SMALL), world="pendulum", data=recorded(), plan=plan, folder=tmp_path / "run", settings=FAST)
    table = run.metrics(["evaluation/return"])
    assert table["phase"].to_list() == ["offline", "offline", "warmup", "warmup", "online", "online"]
    assert table["updates"].to_list() == [0, 100, 100, 100, 100, 300]
    assert table["environment_steps"].to_list() == [0, 0, 0, 50, 50, 150]
    assert run.folder.state() == "finished"
    assert run.folder.config["method"]["actor_decay_steps"] is None  # what the plan made of it


def test_seeds_differ_and_repeat(tmp_path):
    def final(name, seed):
        run = train(
            BC(**SMALL), data=recorded(), plan=[offline(50)], seeds=[seed], folder=tmp_path / name, settings=FAST
        )
        return run.policy()(np.zeros(3))

    assert np.array_equal(final("a", 0), final("b", 0))
    assert not np.array_equal(final("c", 1), final("d", 0))


def test_data_too_large_for_the_device_trains_the_same(tmp_path):
    def learned(name, megabytes):
        settings = Settings(
            log_every=50, evaluate_every=100, checkpoint_every=100, device_megabytes=megabytes, sampler="return:0.5"
        )
        method = make_method("cal-ql", **SMALL, action_samples=2)
        run = train(method, data=recorded(), plan=[offline(60)], folder=tmp_path / name, settings=settings)
        return jax.tree.leaves(run.policy().state)

    for kept, streamed in zip(learned("device", 100), learned("disk", 0), strict=True):
        np.testing.assert_array_equal(kept, streamed)


def untrained(method, spec):
    state = initialise(method, spec, jax.random.key(0))
    preprocessor = Preprocessor.standardizing(recorded(spec=spec))
    return Policy(method, state, preprocessor)


@pytest.mark.parametrize("name", ["sac", "iql", "td3-bc", "ppo", "edac"])
def test_exported_policies_act_the_same(tmp_path, name):
    fields = {"layer_norm": True, "actor_layer_norm": True} if name == "sac" else {}
    policy = untrained(make_method(name, hidden=(16, 16), **fields), PENDULUM)
    export_onnx(policy, tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    observations = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32) * 3
    (actions,) = session.run(None, {"observations": observations})
    np.testing.assert_allclose(actions, policy(observations), atol=1e-5)


@pytest.mark.parametrize("name", ["dqn", "qr-dqn", "rem", "bcq", "iql"])
def test_discrete_policies_choose_the_same_when_exported(tmp_path, name):
    policy = untrained(make_method(name, hidden=(16,)), Spec(Box.uniform((2,), -2, 2), Discrete(3)))
    export_onnx(policy, tmp_path / "policy.onnx")
    observations = np.random.default_rng(1).normal(size=(64, 2)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    np.testing.assert_array_equal(session.run(None, {"observations": observations})[0], policy(observations))


def test_a_recorded_run_can_be_played(tmp_path):
    run = train(
        SAC(**SMALL),
        world="pendulum",
        plan=[online(100)],
        seeds=[3, 5],
        folder=tmp_path / "run",
        settings=FAST,
        workers=1,
    )
    outcomes = evaluate_run(run.folder, episodes=4)
    assert set(outcomes) == {3, 5}
    assert outcomes[3].returns.shape == (4,)
    with pytest.raises(UsageError, match="was trained for"):
        evaluate_run(run.folder, world="mountain-car")


class Fragile(gymnasium.Env):
    """Raises in its second episode, until it is mended."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-2, 2, (1,), np.float32)
    mended = False

    def __init__(self):
        self.episodes, self.steps = 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episodes, self.steps = self.episodes + 1, 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.episodes == 2 and self.steps == 7 and not Fragile.mended:
            raise RuntimeError("the gripper is stuck")
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), float(action[0]), False, self.steps == 80, {}


def test_a_world_that_fails_costs_nothing_but_time(tmp_path, monkeypatch):
    monkeypatch.setattr(Fragile, "mended", False)
    settings = Settings(log_every=50, evaluate_every=1000, evaluate_episodes=1, checkpoint_every=1000)
    options = {"plan": [warmup(20, "random"), online(180)], "folder": tmp_path / "run", "settings": settings}
    with pytest.raises(WorldError, match=r"step 7 of episode 1.*gripper is stuck"):
        train(SAC(**SMALL), world=Fragile, **options)
    from headstart.runs.folder import RunFolder

    seed = RunFolder.open(tmp_path / "run").seed(0)
    assert seed.status().state == "failed"
    assert seed.checkpoints.latest_progress() == 86
    monkeypatch.setattr(Fragile, "mended", True)
    assert resume(tmp_path / "run", world=Fragile).metrics()["environment_steps"].max() == 200


def test_divergence_stops_with_the_last_good_checkpoint(tmp_path):
    data = recorded()
    with pytest.raises(DivergenceError, match="checkpoint at 100 is the last good one"):
        train(Exploding(**SMALL), data=data, plan=[offline(400)], folder=tmp_path / "run", settings=FAST)


class Exploding(BC):
    """Behaviour cloning whose loss is not a number from the 120th update on."""

    def update(self, state, batch, key):
        broken = jax.numpy.where(state.updates >= 120, jax.numpy.nan, 1.0)
        return super().update(state, batch._replace(observations=batch.observations * broken), key)


def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path):
    def refused(match, error=UsageError, method="iql", **options):
        with pytest.raises(error, match=match):
            train(method, folder=tmp_path / "run", show_progress=False, **options)
        assert not (tmp_path / "run").exists()

    refused("did you mean", method="iqll", data=recorded(), offline_steps=1)
    refused("did you mean", world="Hoper-v5", online_steps=1, method="sac")
    refused("no data was given", world="pendulum", plan=[offline(5)])
    refused("no world was given", data=recorded(), plan=[online(5)])
    refused("multiple", data=recorded(), offline_steps=5, settings=Settings(log_every=30))
    refused("discrete", world="mountain-car", method="sac", online_steps=5)
    refused("the plan has no steps", data=recorded(), offline_steps=0)
    refused("shape", DataError, world="Hopper-v5", data=recorded(), offline_steps=5)
    broken = recorded()
    broken.observations[17, 1] = np.nan
    refused("observations", DataError, data=broken, offline_steps=5)


def test_a_run_folder_that_exists_is_left_alone(tmp_path):
    train(BC(**SMALL), data=recorded(), plan=[offline(5)], folder=tmp_path / "run", settings=FAST)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        train(BC(**SMALL), data=recorded(), plan=[offline(5)], folder=tmp_path / "run", settings=FAST)
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_default_plans_follow_what_is_given():
    both = default_plan(IQL(), has_data=True, has_world=True)
    assert [(phase.kind, phase.steps) for phase in both] == [("offline", 250_000)]
    scratch = default_plan(SAC(), has_data=False, has_world=True)
    assert [(phase.kind, phase.steps, phase.policy) for phase in scratch] == [
        ("warmup", 5000, "random"),
        ("online", 100_000, "current"),
    ]
