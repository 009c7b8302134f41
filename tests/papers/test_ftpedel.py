"""The experiment of the fine-tuning paper: its judgement, its smallest run."""

from headstart.papers import ftpedel
from headstart.papers.proving import prove


def result(episodes, stuck=0.15, certificate=0.0, random=(200, 100), wrong=0.0):
    """One seed, with episodes for 0, 2, 4, 5 and 6 doors; 100 are necessary at each level but the last."""
    doors = [
        {
            "covered": covered,
            "epsilon": 0.1,
            "episodes": played,
            "suboptimality": wrong,
            "certificate": 0.0,
            "necessary": 0 if covered == 6 else 100 - 10 * covered,
            "offline_suboptimality": 0 if covered == 6 else stuck,
        }
        for covered, played in zip(ftpedel.COVERED, episodes, strict=True)
    ]
    expert = {
        "offline_suboptimality": 0.0,
        "necessary": 40.0,
        "necessary_uncovered": 40.0,
        "episodes": 100,
        "suboptimality": 0.05,
        "certificate": 0.1 + certificate,
    }
    return {
        "doors": doors,
        "expert": expert,
        "random": {"PEDEL": random[0], "FTPedel": random[1], "PEDEL_suboptimality": 0.0, "FTPedel_suboptimality": 0.0},
    }


def holds(**changes):
    arguments = {"episodes": (1000, 800, 600, 400, 0)} | changes
    return [verdict.holds for verdict in ftpedel.PAPER.verdicts([result(**arguments)] * 3)]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True] * 6
    assert holds(episodes=(1000, 800, 600, 600, 0)) == [False, True, True, True, True, True]
    assert holds(wrong=0.15) == [True, False, True, True, True, True]
    assert holds(episodes=(5000, 800, 600, 400, 0)) == [True, True, False, True, True, True]
    assert holds(stuck=0.1) == [True, True, True, False, True, True]
    assert holds(certificate=-0.09) == [True, True, True, True, False, True]
    assert holds(random=(100, 120)) == [True, True, True, True, True, False]


def test_quick_run():
    proof = prove("ftpedel", quick=True, show_progress=False)
    none, *_, five, all_known, _expert, _pedel, _ours = proof.table
    assert none["episodes, epsilon 0.1"] > five["episodes, epsilon 0.1"] > all_known["episodes, epsilon 0.1"] == 0
    assert len({tuple(row) for row in proof.table}) == 1
