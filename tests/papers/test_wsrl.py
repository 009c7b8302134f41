"""The experiment of the warm-start paper: its judgement and its smallest run."""

import numpy as np

from headstart.papers import wsrl
from headstart.papers.proving import prove


def result(change, dropped_change, mean=0.9, dropped_mean=0.9, hard=0.8, dropped_hard=0.5, final=1.0):
    def arm(value_change=0.0, mean_success=0.9, final=1.0):
        return {"value_change": value_change, "mean_success": mean_success, "final": final}

    return {
        "WSRL": arm(change, mean, final),
        "Cal-QL": arm(dropped_change, dropped_mean),
        "Cal-QL retain": arm(),
        "hard": {"WSRL": arm(mean_success=hard), "Cal-QL": arm(mean_success=dropped_hard)},
    }


def holds(*changes, **numbers):
    return [verdict.holds for verdict in wsrl.judge([result(a, b, **numbers) for a, b in changes])]


DRIFT = ((0.5, -4.0), (-0.4, -5.0), (0.6, -4.5))


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds(*DRIFT) == [True, True, True, True]
    assert holds((1.5, -4.0), (1.5, -4.2), (1.5, -4.1)) == [False, True, True, True]  # apart, but not three times
    assert holds((-0.5, -0.1), (0.1, -6.0), (0.9, -0.2)) == [False, True, True, True]  # on average, but not surely
    assert holds(*DRIFT, mean=0.8) == [True, False, True, True]
    assert holds(*DRIFT, dropped_hard=0.8) == [True, True, False, True]
    assert holds(*DRIFT, final=0.85) == [True, True, True, False]


def test_data_are_undirected():
    data = wsrl.record(5, wsrl.Size(episodes=60))
    assert len(data.episodes()) == 60
    assert 0 < np.mean(data.rewards) < 0.02
    assert np.array_equal(data.observations, wsrl.record(5, wsrl.Size(episodes=60)).observations)


def test_quick_run():
    proof = prove("wsrl", quick=True, show_progress=False)
    rows = {row["arm"]: row for row in proof.table}
    assert len(rows) == 7
    before = {name: row["recorded value before"] for name, row in rows.items()}
    assert before["WSRL"] == before["SAC without warm-up"] == before["Cal-QL, half data"] != before["RLPD from scratch"]
    assert all(np.isfinite(list(row.values())[1:]).all() for row in proof.table)
