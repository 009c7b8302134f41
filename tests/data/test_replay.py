"""Sampling and gathering: the device and the host agree, windows respect every kind of end."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.experience import Experience, concatenate
from headstart.data.replay import Replay
from headstart.data.sampling import AliasTable

append, gather, indices = (eqx.filter_jit(method) for method in (Replay.append, Replay.gather, Replay.indices))

SPEC = Spec(Box.uniform((2,), -np.inf, np.inf), Box.uniform((1,), -1.0, 1.0))


def seven_steps() -> Experience:
    """Observation i at row i; rows 2 ends at a time limit, row 5 in a termination, row 6 is still going on."""
    observations = np.arange(7, dtype=np.float32)[:, None] * [1.0, 10.0]
    return Experience(
        SPEC,
        {
            "observations": observations,
            "actions": np.linspace(-0.6, 0.6, 7)[:, None],
            "rewards": np.array([1, 2, 4, 8, 16, 32, 64.0]),
            "next_observations": observations + np.array([0.5, 5.0]),
            "terminations": np.arange(7) == 5,
            "truncations": np.arange(7) == 2,
        },
    )


def random_ring(streams: int, capacity: int, groups: int, spec: Spec = SPEC, seed: int = 0) -> Experience:
    generator = np.random.default_rng(seed)
    ring = Experience.empty(spec, capacity, streams)
    for _ in range(groups):
        observations = generator.normal(size=(2, streams, *spec.observation.shape))
        actions = generator.integers(0, 3, streams) if spec.discrete else generator.uniform(-1, 1, (streams, 1))
        ends = generator.random(streams)
        ring.append(observations[0], actions, generator.normal(size=streams), observations[1], ends < 0.1, ends > 0.85)
    return ring


def one_row():
    return jnp.ones((1, 2)), jnp.ones((1, 1)), jnp.ones(1), jnp.ones((1, 2)), jnp.zeros(1, bool), jnp.zeros(1, bool)


def assert_same(host, device):
    for name, ours, theirs in zip(host._fields, host, device, strict=True):
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            np.testing.assert_array_equal(ours, np.asarray(theirs), err_msg=name)
            assert ours.dtype == theirs.dtype, name


@pytest.mark.parametrize("n_step", [1, 3])
def test_windows_of_a_hand_computed_file(n_step):
    data = seven_steps()
    batch = gather(Replay.from_experience(data, 0.5, n_step, next_actions=True), jnp.arange(7))
    if n_step == 1:
        rewards, last, length = [1, 2, 4, 8, 16, 32, 64], [0, 1, 2, 3, 4, 5, 6], [1] * 7
        ended, following = [0, 0, 0, 0, 0, 1, 0], [1, 2, 2, 4, 5, 5, 6]
    else:
        rewards = [1 + 1 + 1, 2 + 2, 4, 8 + 8 + 8, 16 + 16, 32, 64]
        last, length = [2, 2, 2, 5, 5, 5, 6], [3, 2, 1, 3, 2, 1, 1]
        ended, following = [0, 0, 0, 1, 1, 1, 0], [2, 2, 2, 5, 5, 5, 6]
    np.testing.assert_array_equal(batch.rewards, rewards)
    np.testing.assert_array_equal(batch.next_observations, data.next_observations[last])
    np.testing.assert_array_equal(batch.discounts, 0.5 ** np.array(length))
    np.testing.assert_array_equal(batch.terminations, ended)
    np.testing.assert_array_equal(batch.next_actions, data.actions[following])
    np.testing.assert_array_equal(batch.observations, data.observations)


def test_returns_to_go_of_a_hand_computed_file():
    data = seven_steps()
    expected = [1 + 1 + 1, 2 + 2, 4, 8 + 8 + 8, 16 + 16, 32, 64]
    np.testing.assert_allclose(data.returns_to_go(0.5), expected)
    np.testing.assert_allclose(data.returns_to_go(0.5, tail=8.0), [4, 6, 8, 24, 32, 32, 68])
    # A reward repeated for ever is worth reward / (1 - discount): twice the reward, and so 2 * reward in all.
    np.testing.assert_allclose(data.returns_to_go(0.5, tail="repeat"), [4, 6, 8, 24, 32, 32, 128])
    np.testing.assert_allclose(data.returns(), [7, 56])
    np.testing.assert_allclose(data.returns(incomplete=True), [7, 56, 64])
    replay = Replay.from_experience(data, 0.5, returns_to_go=True)
    np.testing.assert_array_equal(gather(replay, jnp.arange(7)).returns_to_go, data.returns_to_go(0.5))


@pytest.mark.parametrize("tail", [0.0, "repeat"])
def test_returns_to_go_in_blocks_and_on_the_device_follow_the_recursion(tail):
    from headstart.data.windows import discounted_returns

    ring = random_ring(streams=3, capacity=90, groups=41)
    returns = ring.returns_to_go(0.9, tail)
    rewards, ended, cut = (np.asarray(getattr(ring, name)) for name in ("rewards", "terminations", "truncations"))
    for row in range(90):
        at, factor, expected = row, 1.0, 0.0
        while True:
            expected += factor * rewards[at]
            factor *= 0.9
            if ended[at] or cut[at] or ring.layout.newest(at):
                beyond = 0.0 if ended[at] else (rewards[at] / 0.1 if tail == "repeat" else tail)
                expected += factor * beyond
                break
            at = ring.layout.following(at)
        np.testing.assert_allclose(returns[row], expected, rtol=1e-5, atol=1e-5)
    device = eqx.filter_jit(Replay.with_returns_to_go)(Replay.from_experience(ring, 0.9, returns_to_go=True), tail)
    np.testing.assert_allclose(gather(device, jnp.arange(90)).returns_to_go, returns, rtol=1e-5, atol=1e-5)
    # The same whatever the size of the blocks worked on.
    arguments = (rewards, ended, cut, 0.9, tail)
    np.testing.assert_allclose(discounted_returns(*arguments, block=7), discounted_returns(*arguments), rtol=1e-6)


@pytest.mark.parametrize(("streams", "groups"), [(1, 20), (1, 103), (4, 9), (4, 60)])
@pytest.mark.parametrize("discrete", [False, True])
def test_host_and_device_gather_the_same_bits(streams, groups, discrete):
    spec = Spec(Box.uniform((2, 3), -1, 1), Discrete(3) if discrete else SPEC.action)
    ring = random_ring(streams, 64, groups, spec)
    rows = np.arange(len(ring))
    for n_step in (1, 5):
        replay = Replay.from_experience(ring, 0.97, n_step, returns_to_go=True, next_actions=True)
        host = ring.gather(rows, 0.97, n_step, ring.returns_to_go(0.97), next_actions=True)
        assert_same(host, gather(replay, rows))


@pytest.mark.parametrize(("streams", "groups"), [(1, 7), (1, 23), (3, 4), (3, 11)])
def test_device_ring_holds_what_the_host_ring_holds(streams, groups):
    ring = random_ring(streams, 12, groups)
    replay = Replay.empty(SPEC, 12, 0.9, n_step=3, streams=streams, next_actions=True)
    append_in_place = eqx.filter_jit(Replay.append, donate="all")
    generator = np.random.default_rng(0)
    for _ in range(groups):
        observations = generator.normal(size=(2, streams, 2))
        actions = generator.uniform(-1, 1, (streams, 1))
        ends = generator.random(streams)
        columns = (observations[0], actions, generator.normal(size=streams), observations[1], ends < 0.1, ends > 0.85)
        replay = append_in_place(replay, *map(jnp.asarray, columns))
    assert (int(replay.size), int(replay.position)) == (len(ring), ring.position)
    rows = np.arange(len(ring))
    assert_same(ring.gather(rows, 0.9, 3, next_actions=True), gather(replay, jnp.asarray(rows)))


def test_windows_stop_at_the_write_position():
    ring = Experience.empty(SPEC, 4)
    for step in range(6):
        ring.append([[step, 0]], [[0.0]], [float(step)], [[step + 1, 0]], [False], [False])
    # Rows now hold steps 4, 5, 2, 3.
    batch = ring.gather(np.arange(4), 1.0, n_step=3)
    np.testing.assert_array_equal(batch.rewards, [4 + 5, 5, 2 + 3 + 4, 3 + 4 + 5])
    np.testing.assert_array_equal(batch.next_observations[:, 0], [6, 6, 5, 6])
    assert not ring.episodes().complete.any()
    np.testing.assert_array_equal(ring.episodes().rows(0), [2, 3, 0, 1])


def test_append_writes_in_place_when_donated():
    replay = Replay.empty(SPEC, 1000, 0.9)
    append_in_place = eqx.filter_jit(Replay.append, donate="all")
    replay = append_in_place(replay, *one_row())
    before = replay.rows.unsafe_buffer_pointer()
    for _ in range(3):
        replay = append_in_place(replay, *one_row())
    assert replay.rows.unsafe_buffer_pointer() == before
    assert int(replay.size) == 4


@pytest.mark.parametrize(
    "weights", [[1.0], [0.0, 3.0, 0.0, 1.0], [1e-9, 5, 2, 2, 0.5], list(range(50)), [1000.0] + [1.0] * 500]
)
def test_alias_table_holds_its_distribution_exactly(weights):
    table = AliasTable.from_weights(np.array(weights))
    keep, alias = np.asarray(table.keep, np.float64), np.asarray(table.alias)
    probabilities = keep.copy()
    np.add.at(probabilities, alias, 1.0 - keep)
    np.testing.assert_allclose(probabilities / len(weights), np.array(weights) / np.sum(weights), atol=2e-7)


def test_weighted_rows_are_drawn_as_often_as_their_weights_say():
    weights = np.array([0, 1, 2, 3, 0, 0, 4.0])
    replay = Replay.from_experience(seven_steps(), 0.9, weights=weights, capacity=10)
    draws = np.bincount(indices(replay, jax.random.key(0), 40_000), minlength=7) / 40_000
    np.testing.assert_allclose(draws, weights / weights.sum(), atol=0.01)
    assert draws[0] == draws[4] == 0.0
    # Rows appended later share what is left of the draws evenly.
    for _ in range(3):
        replay = append(replay, *one_row())
    draws = np.bincount(indices(replay, jax.random.key(0), 40_000), minlength=10) / 40_000
    np.testing.assert_allclose(draws, np.concatenate([0.7 * weights / 10, [0.1] * 3]), atol=0.01)


def test_uniform_draws_stay_among_recorded_rows():
    replay = Replay.from_experience(random_ring(1, 100, 30), 0.9)
    draws = np.asarray(indices(replay, jax.random.key(1), 30_000))
    assert draws.max() == 29
    np.testing.assert_allclose(np.bincount(draws) / 30_000, 1 / 30, atol=0.005)


def test_a_dataset_appended_to_keeps_episodes_apart():
    data = seven_steps()
    data.append(np.zeros((2, 2)), np.zeros((2, 1)), np.ones(2), np.ones((2, 2)), [False, True], [False, False])
    assert len(data) == 9
    np.testing.assert_array_equal(data.episodes().ends, [3, 6, 7, 9])
    assert data.gather(np.array([6]), 0.5, 3).rewards[0] == 64
    # An append that begins where the last row ended carries the episode on.
    data = seven_steps()
    data.append(data.next_observations[-1:], [[0.0]], [2.0], np.ones((1, 2)), [True], [False])
    np.testing.assert_array_equal(data.episodes().lengths, [3, 3, 2])
    device = append(Replay.from_experience(seven_steps(), 0.5, 3, capacity=9), *one_row())
    assert gather(device, jnp.array([6])).rewards[0] == 64


def test_select_and_concatenate():
    data = seven_steps()
    chosen = data.select([2, 0])
    np.testing.assert_array_equal(chosen.rewards, [64, 1, 2, 4])
    np.testing.assert_array_equal(chosen.truncations, [True, False, False, True])
    both = concatenate([data, random_ring(3, 30, 25)])
    assert len(both) == 37
    np.testing.assert_array_equal(both.rewards[:7], data.rewards)
    assert both.truncations[6]
    assert len(both.episodes()) == 3 + len(random_ring(3, 30, 25).episodes())
    other = Experience.empty(Spec(SPEC.observation, Discrete(3)), 4)
    with pytest.raises(DataError, match="different worlds"):
        concatenate([data, other])


def test_what_does_not_fit_is_refused():
    data = seven_steps()
    with pytest.raises(DataError, match="shape"):
        data.append(np.zeros((1, 3)), np.zeros((1, 1)), np.zeros(1), np.zeros((1, 3)), [False], [False])
    ring = Experience.empty(SPEC, 4, streams=2)
    with pytest.raises(DataError, match="multiple of 2"):
        ring.append(np.zeros((1, 2)), np.zeros((1, 1)), np.zeros(1), np.zeros((1, 2)), [False], [False])
    with pytest.raises(UsageError, match="empty"):
        Replay.from_experience(Experience.empty(SPEC, 4), 0.9)
    with pytest.raises(UsageError, match="weights"):
        Replay.from_experience(data, 0.9, weights=np.ones(3))
    with pytest.raises(DataError, match="negative or not finite"):
        Replay.from_experience(data, 0.9, weights=np.array([1, 1, 1, -1, 1, 1, 1.0]))
    with pytest.raises(UsageError, match="discount"):
        data.returns_to_go(1.0, tail="repeat")
    with pytest.raises(UsageError, match="there are 3"):
        data.select([3])
    with pytest.raises(DataError, match="missing"):
        Experience(SPEC, {"observations": np.zeros((1, 2))})
    with pytest.raises(DataError, match="differ in length"):
        Experience(SPEC, {**data.columns, "rewards": np.zeros(3)})
