"""Learning from logged rewards: its judgement, its log, its smallest run."""

import copy

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.papers import alol
from tests.papers.judging import quick


def results():
    def one(seed):
        arms = {arm: {"reward": 0.7, "kl": 1.0, "distinct": 0.9} for arm in [*alol.ARMS, *alol.FILTERS, "reference"]}
        arms["wBC"]["reward"] = 0.6 + 0.001 * seed
        arms["seq"]["reward"] = 0.75
        return {"mixed": arms, "noise": {}}

    return [one(seed) for seed in range(5)]


def test_each_claim_is_judged_by_its_own_numbers():
    def holds(arm=None, name="reward", value=None):
        changed = copy.deepcopy(results())
        for result in changed:
            if arm:
                result["mixed"][arm][name] = value
        return [verdict.holds for verdict in alol.PAPER.verdicts(changed)]

    assert holds() == [True] * 4
    for variant in ("A-LoL", "ref-free", "KL"):
        assert holds(variant, value=0.6) == [False, True, True, True]
    assert holds("R-GOLD", value=0.76) == [True, False, True, True]
    for variant in alol.VARIANTS:
        assert holds(variant, "distinct", 0.88) == [True, True, False, True]
    assert holds("kept", value=0.695) == [True, True, True, True]
    assert holds("kept", value=0.68) == [True, True, True, False]


def test_the_careful_writer_is_worth_more_than_the_careless_one():
    rows = alol.logged(300, 300, np.random.default_rng(0))
    careful, careless = (np.mean([row["reward"] for row in part]) for part in (rows[:300], rows[300:]))
    assert careful > careless + 0.15
    assert all(0 < row["reward"] < 1 for row in rows)
    assert all(row["truncated"] == (len(row["completion"].split()) == 7) for row in rows)


def test_constant_rewards_are_refused():
    rows = [row | {"reward": 0.5} for row in alol.logged(40, 80, np.random.default_rng(0))]
    with pytest.raises(DataError, match="0 of 120 rows have a positive advantage"):
        alol.methods(rows, 0.5)


def test_quick_run(tmp_path):
    rows = quick(alol.PAPER, tmp_path)
    assert [row["method"] for row in rows[:8]] == ["reference", *alol.ARMS.values()]
    assert all(0 < row["reward"] < 1 and 0 < row["distinct"] <= 1 for row in rows)
