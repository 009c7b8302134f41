"""The experiment of the snapshot paper: its limiting case, its judgement, its smallest run."""

import jax
import numpy as np

from headstart.envs.snapshots import SnapshotWorld, collect_snapshots
from headstart.papers import snapshot_rl
from headstart.papers.proving import prove

SIZE = snapshot_rl.Size(random_steps=100, snapshot_steps=0, steps=200, every=100, episodes=2)


def test_without_steps_from_snapshots_training_is_bit_for_bit_that_of_the_bare_method():
    snapshots = collect_snapshots(snapshot_rl.WORLD, episodes=2)
    starts = SnapshotWorld(snapshot_rl.WORLD, snapshots)
    arms = [snapshot_rl.train(3, world, SIZE) for world in (None, starts)]
    bare, ours = (jax.tree.leaves(arm.state.nets) for arm in arms)
    assert all(np.array_equal(a, b) for a, b in zip(bare, ours, strict=True))
    assert arms[0].curve("evaluation/return") == arms[1].curve("evaluation/return")


def results(finals, hits):
    return [
        {
            arm: {"final": final[i], "goal_hits": hit[i], "returns": [0.0, final[i]], "steps": [0, 10]}
            for i, arm in enumerate(snapshot_rl.ARMS)
        }
        for final, hit in zip(finals, hits, strict=True)
    ]


def test_each_claim_is_judged_by_its_own_numbers():
    better, same = [(90.0, 0.0, 0.0), (80.0, 0.0, 0.0), (95.0, 0.0, 0.0)], [(1.0, 0.0, 1.0)] * 3
    often, seldom = [(20, 3, 0), (15, 2, 0), (18, 5, 0)], [(3, 3, 0), (2, 4, 0), (5, 4, 0)]
    assert [v.holds for v in snapshot_rl.judge(results(better, often))] == [True, True]
    assert [v.holds for v in snapshot_rl.judge(results(same, often))] == [False, True]
    assert [v.holds for v in snapshot_rl.judge(results(better, seldom))] == [True, False]


def test_quick_run():
    proof = prove("snapshot-rl", quick=True, show_progress=False)
    s3rl, uniform, sac = proof.table
    assert s3rl["goal hits in the snapshot phase"] > 0
    assert sac["goal hits in the snapshot phase"] == 0
    assert np.isfinite([uniform["final return"], sac["final return"]]).all()
