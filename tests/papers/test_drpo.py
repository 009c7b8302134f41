"""Dataset resets: judgement, the sparse reward, the smallest run."""

import copy

import numpy as np

from headstart.papers import drpo
from tests.papers.judging import quick


def results():
    def one(seed):
        def curve(half):
            return [0.0] * (half + seed) + [0.6] * (151 - half - seed)

        chain = {"0": curve(100), "0.25": curve(80), "0.5": curve(40), "1": curve(40), "poor": curve(60)}
        return {"chain": chain | {"first": [0.001] + [0.499] * 150}}

    return [one(seed) for seed in range(5)]


def test_each_claim_is_judged_by_its_own_numbers():
    def holds(**changed):
        found = copy.deepcopy(results())
        for result in found:
            result["chain"] |= changed
        return [verdict.holds for verdict in drpo.PAPER.verdicts(found)]

    assert holds() == [True] * 4
    assert holds(**{"0.5": [0.0] * 70 + [0.6] * 81}) == [False, False, True, True]
    assert holds(**{"0.25": [0.0] * 151}) == [True, True, False, True]
    assert holds(first=[0.0, 0.51]) == [True, True, True, False]
    assert drpo.halfway([0.1, 0.2]) == 2


def test_the_sparse_reward_is_for_all_three_words_and_their_order():
    score = drpo.Conditions().score
    prompts = ["w1 w2 w3 =>"] * 4
    assert score(prompts, ["w1 w2", "w3 w2 w1", "w1 w5 w2 w3", ""]) == [0.0, 1.0, 2.0, 0.0]


def test_quick_run(tmp_path):
    rows = quick(drpo.PAPER, tmp_path)
    by_arm = {(row["world"], row["arm"]): row for row in rows}
    none, half = (by_arm["chain", drpo.CHAIN_ARMS[arm][0]] for arm in ("0", "0.5"))
    assert half["iterations to half, median"] < none["iterations to half, median"]
    assert all(np.isfinite(by_arm["key words", drpo.CHAIN_ARMS[arm][0]]["KL, nats"]) for arm in drpo.TEXT_ARMS)
