"""The experiments on density ratios: judgement both ways, smallest run."""

from headstart.papers import glow
from headstart.papers.proving import prove

GOOD = {
    "glow": [20.0, 21.0],
    "hyglow expert": [2.0],
    "hyglow mixed": [10.0],
    "h2o likelihood": [2.0],
}


def failing(kept=True, **change):
    def one(seed):
        regret = dict.fromkeys(glow.ARMS, (90.0,)) | GOOD | change
        return {
            "episodes": [400, 800],
            "regret": {arm: [value + 0.1 * seed for value in curve] for arm, curve in regret.items()},
            "optimum kept": kept,
        }

    return [verdict.claim for verdict in glow.judge([one(seed) for seed in range(5)]) if not verdict.holds]


def test_each_claim_is_judged_by_its_own_numbers():
    assert failing() == []
    assert failing(**{"mabo online": [1.0]}) == ["hybrid"]
    assert failing(**{"mabo offline": [1.0]}) == ["hybrid"]
    assert failing(glow=[20.0, 24.0]) == ["exploration-ends"]
    assert failing(kept=False) == ["optimum-kept"]
    assert failing(**{"squared td mixed": [5.0]}) == ["no-double-sampling"]
    assert failing(**{"squared td expert": [1.0]}) == ["no-double-sampling-expert"]
    assert failing(**{"likelihood offline": [1.0]}) == ["any-offline-learner"]


def test_quick_run():
    proof = prove("glow", quick=True, show_progress=False)
    regrets = {row["arm"]: row["regret"] for row in proof.table}
    assert len(regrets) == len(glow.ARMS)
    assert all(regret >= 0 for regret in regrets.values())
    assert regrets["HyGLOW, expert's data"] < regrets["MABO, online without optimism"]
