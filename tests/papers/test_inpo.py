"""The experiment of INPO: its judgement, its smallest run."""

from headstart.papers import inpo
from tests.papers.judging import quick


def results(ours=0.005, tie=2.0, extremes=0.5, power=-0.5, planned=-2.0):
    """Two equal seeds."""
    circle = {name: {"gap": [0.1, 0.3], "kl": 1.0} for name in inpo.ARMS}
    circle[inpo.OURS]["gap"] = [0.1, ours]
    circle["DPO beta 2"]["gap"] = [0.1, 0.05]
    circle["INPO without tie"]["kl"] = tie
    circle["INPO, best and worst of 8"]["gap"] = [0.1, extremes]
    errors = [size**power for size in inpo.SIZES]
    return [{"circle": circle, "errors": errors, "planned": [float(t) ** planned for t in inpo.PLANNED]}] * 2


def holds(**changes):
    return [verdict.holds for verdict in inpo.judge(results(**changes))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True] * 6
    assert holds(ours=0.03) == [False, *[True] * 5]
    assert holds(ours=0.2) == [False, False, *[True] * 4]
    assert holds(power=-0.3) == [True, True, False, True, True, True]
    assert holds(planned=-0.5) == [True, True, True, False, True, True]
    assert holds(tie=0.9) == [True, True, True, True, False, True]
    assert holds(extremes=0.001) == [True] * 5 + [False]


def test_the_best_beta_is_compared_with():
    verdict = inpo.judge(results())[1]
    assert verdict.numbers["best_beta"] == 2.0


def test_quick_run(tmp_path):
    exact, *rows = quick(inpo.PAPER, tmp_path)
    assert [row["arm"] for row in rows] == list(inpo.ARMS)
    assert exact["final gap"] > 0
