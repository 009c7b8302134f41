"""Weighing and choosing rows of data larger than memory: block by block as at once, on disk as in memory."""

import jax
import numpy as np
import pytest

from headstart.core.specs import Box, Spec
from headstart.data import experience as experience_module
from headstart.data import row_weights
from headstart.data.columns import COLUMNS
from headstart.data.experience import Experience
from headstart.data.replay import Replay
from headstart.data.row_weights import RowWeights
from headstart.data.sampling import AliasTable
from headstart.data.windows import parts_of_episodes


@pytest.mark.parametrize("kind", ["alike", "runs", "rows", "few", "one"])
def test_a_table_built_block_by_block_is_that_of_all_rows_at_once(monkeypatch, kind):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 300)
    values = {
        "alike": np.full(300, 0.1),
        "runs": generator.exponential(size=300),
        "rows": np.exp(5 * generator.normal(size=300)),
        "few": (generator.random(300) < 0.1).astype(float),
        "one": np.eye(300)[7],
    }[kind]
    weights = RowWeights(values, np.cumsum(lengths))
    whole = weights.whole()
    at_once = AliasTable.from_weights(whole)
    monkeypatch.setattr(row_weights, "_BLOCK", 129)
    in_blocks = AliasTable.from_weights(weights)
    assert weights.total() == whole.sum()
    np.testing.assert_array_equal(at_once.keep, in_blocks.keep)
    np.testing.assert_array_equal(at_once.alias, in_blocks.alias)
    chance = np.bincount(in_blocks.alias, 1.0 - np.asarray(in_blocks.keep, float), len(whole)) + in_blocks.keep
    np.testing.assert_allclose(chance / len(whole), whole / whole.sum(), atol=1e-6)


def test_equal_weights_that_round_below_their_mean():
    for rows in range(1, 60):
        table = AliasTable.from_weights(np.full(rows, 0.1 / 3))
        assert set(np.asarray(table.draw(jax.random.key(0), 400)).tolist()) <= set(range(rows))


def test_episodes_chosen_from_a_large_folder_stay_on_disk_and_are_the_same(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    rows = 500
    spec = Spec(Box.uniform((3,), -9, 9), Box.uniform((2,), -1, 1))
    seen = generator.normal(size=(rows, 3)).astype(np.float32)
    ends = np.arange(rows) % 20 == 19
    actions, rewards = generator.uniform(-1, 1, (rows, 2)), generator.normal(size=rows)
    columns = (seen, actions, rewards, seen[::-1], ends & False, ends)
    Experience(spec, dict(zip(COLUMNS, columns, strict=True))).save(tmp_path / "data")
    data, best = Experience.load(tmp_path / "data"), [7, 3, 22, 8]
    held = data.select(best)
    monkeypatch.setattr(experience_module, "_TAKEN_BYTES", 0)
    chosen = data.select(best)
    assert (chosen.scattered, held.scattered) == (True, False)
    at = generator.integers(0, len(held), 64)
    for one, other in zip(chosen.gather(at, n_step=3), held.gather(at, n_step=3), strict=True):
        np.testing.assert_array_equal(one, other)
    for start, stop in ((0, None), (5, 47), (19, 21)):
        np.testing.assert_array_equal(chosen.read("actions", start, stop), held.read("actions", start, stop))
    packed = Replay.from_experience(chosen, 0.99).rows
    np.testing.assert_array_equal(packed, Replay.from_experience(held, 0.99).rows)
    again, held_again = chosen.select([2, 0]), held.select([2, 0])
    np.testing.assert_array_equal(again.take("actions", at % 40), held_again.take("actions", at % 40))
    assert chosen.with_rewards(held.rewards * 2).scattered
    assert chosen.digest() == held.digest()
    np.testing.assert_array_equal(chosen.columns["next_observations"], held.columns["next_observations"])


def test_returns_are_summed_up_whole_episodes_at_a_time():
    ends = np.cumsum(np.random.default_rng(0).integers(1, 30, 100))
    rewards = np.random.default_rng(1).normal(size=ends[-1]).astype(np.float32)
    parts = list(parts_of_episodes(ends, rows=25))
    assert len(parts) > 50
    sums = [np.add.reduceat(rewards[part[0] : part[-1]], part[:-1] - part[0], dtype=np.float64) for part in parts]
    whole = np.add.reduceat(rewards, np.concatenate([[0], ends[:-1]]), dtype=np.float64)
    np.testing.assert_array_equal(np.concatenate(sums), whole)
