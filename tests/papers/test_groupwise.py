"""The experiment on groupwise regret: its judgement and its smallest run."""

import numpy as np

from headstart.bandits.grouped_data import shapes_and_colours
from headstart.papers import groupwise


def results(gain=10.0, own=0.0, worse=(), **gains):
    """Three orders; by how much ours is better in each stream, except for the groups in ``worse``."""
    sizes = {f"group {number}": 500 + 300 * number for number in range(11)}

    def one(stream, order):
        better = gains.get(stream.replace(" ", "_"), gain) + order
        return {
            group: {
                "rounds": rounds,
                "ours": 5.0,
                "always on": 5.0 + (-50 if (stream, group) in worse else better),
                "against its own": own,
            }
            for group, rounds in sizes.items()
        }

    return [{stream: one(stream, order) for stream in groupwise.STREAMS} for order in range(3)]


def failing(**changes):
    return [verdict.claim for verdict in groupwise.judge(results(**changes)) if not verdict.holds]


def test_each_claim_is_judged_by_its_own_numbers():
    assert failing() == []
    assert failing(worse=[("adult", "group 3")]) == ["every-group"]
    assert failing(own=400.0) == ["sleeping-bound"]
    assert failing(worse=[("adult by age", "group 5")]) == []
    assert failing(worse=[("adult by age", "group 0"), ("adult by age", "group 5")]) == []  # one of them is small
    assert failing(worse=[("adult by age", "group 4"), ("adult by age", "group 5")]) == ["sorted"]
    assert failing(worse=[("medical", f"group {number}") for number in range(3)]) == ["medical"]
    assert failing(drugs=-1.5) == []
    assert failing(drugs=-5.0) == ["small-price"]
    assert failing(synthetic_max=-3.0) == ["synthetic"]


def test_quick_run(monkeypatch):
    # Every package but one is among the pinned; made-up data stand in for that one's.
    made_up = shapes_and_colours(50, "mean", np.random.default_rng(0))
    monkeypatch.setattr(groupwise, "load_medical_expenditure", lambda: made_up)
    result = groupwise.run(473, quick=True)
    assert list(result) == list(groupwise.STREAMS)
    assert result["adult"]["all"]["rounds"] == groupwise.QUICK_ROUNDS
    rows = groupwise.table([result, result])
    assert len(rows) == 15 + 15 + 6 + 10 + 18
    assert np.isfinite([row["gain"] for row in rows]).all()
