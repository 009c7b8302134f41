"""The experiment of XPO: its schedules, its judgement, its smallest run."""

from headstart.papers import xpo
from tests.papers.judging import quick


def results(**finals):
    """Each seed's final suboptimality and first hit of the arms that claims ask of."""
    whole = {
        kind: {name: {"suboptimality": [2.0, 1.0], "first_hit": 40.0} for name in names}
        for kind, names in xpo.ARMS.items()
    }
    whole["rare"][xpo.OURS] = {"suboptimality": [2.0, finals.get("ours", 0.1)], "first_hit": finals.get("hit", 10.0)}
    whole["rarer"][xpo.OURS]["suboptimality"] = [2.0, finals.get("rarer", 0.1)]
    whole["rare"]["XPO 0.1 constant"]["suboptimality"] = [2.0, finals.get("much", 2.0)]
    return [whole, whole]


def holds(**finals):
    return [verdict.holds for verdict in xpo.judge(results(**finals))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True] * 5
    assert holds(ours=1.2) == [False, False, True, True, True]
    assert holds(hit=30.0) == [True, True, False, True, True]
    assert holds(rarer=1.0) == [True, True, True, False, True]
    assert holds(much=0.5) == [True, True, True, True, False]


def test_the_bonus_is_halved_after_a_third_of_the_rounds_and_then_left_out():
    alphas = [getattr(xpo.schedule(0.03, True, 6)(count), "alpha", None) for count in range(1, 7)]
    assert alphas == [0.03, 0.03, 0.015, 0.015, 0.0, 0.0]
    assert xpo.schedule(0.01, False, 6)(6) == xpo.XPO(beta=xpo.BETA, alpha=0.01)
    assert xpo.schedule(0.0, False, 6)(1) == xpo.DPO(beta=xpo.BETA)


def test_quick_run(tmp_path):
    rows = quick(xpo.PAPER, tmp_path)
    assert len(rows) == sum(map(len, xpo.ARMS.values()))
    assert all(0 < row["mean suboptimality"] < 6 for row in rows)
