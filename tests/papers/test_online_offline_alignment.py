"""Online against offline: its judgement, its smallest run."""

import copy

from headstart.papers import online_offline_alignment as study
from tests.papers.judging import quick


def results():
    def arm(top, accuracy, noise):
        points = [{"kl": 0.0, "reward": 1.0}, {"kl": 2.0, "reward": top - 0.2}, {"kl": 4.0, "reward": top + noise}]
        return {"points": points, "accuracy": accuracy, "chosen": -1.0}

    def one(seed):
        noise = 0.01 * seed
        offline = {name: arm(2.0, 0.85, 0.0) for name in study.OFFLINE}
        others = {"online": arm(3.0, 0.7, noise), "shuffled": arm(2.5, 0.8, 0.0), "final pairs": arm(1.2, 0.6, 0.0)}
        return offline | others | {"proxy": 0.97}

    return [one(seed) for seed in range(5)]


def test_each_claim_is_judged_by_its_own_numbers():
    def holds(change=None):
        changed = copy.deepcopy(results())
        for result in changed:
            if change:
                change(result)
        return [verdict.holds for verdict in study.PAPER.verdicts(changed)]

    def rise(arm, place, value):
        def change(result):
            result[arm]["points"][place]["reward"] = value

        return change

    assert holds() == [True] * 5
    assert holds(rise("offline, beta 0.5", 2, 3.1)) == [False, True, True, True, True]
    assert holds(rise("shuffled", 2, 3.1)) == [True, False, True, True, True]
    assert holds(rise("final pairs", 2, 2.1)) == [True, True, False, True, True]
    assert holds(lambda result: result["offline"].update(accuracy=0.6)) == [True, True, True, False, True]
    assert holds(rise("online", 1, 1.6)) == [True, True, True, True, False]


def test_quick_run(tmp_path):
    rows = quick(study.PAPER, tmp_path)
    assert [row["arm"] for row in rows] == list(study.ARMS)
    assert all(0 < row["accuracy on recorded pairs"] <= 1 for row in rows)
