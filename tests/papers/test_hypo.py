"""The experiment of HyPO: its judgement, its smallest run."""

from headstart.papers import hypo
from tests.papers.judging import quick


def results(rewards, kls, uncovered, everywhere):
    """Each seed's finals of DPO and HyPO."""

    def arm(values, index):
        return {name: [value[index]] for name, value in zip(("reward", "kl", "uncovered"), values, strict=True)}

    return [
        {
            "covered": {name: arm((r, k, u), i) for i, name in enumerate(hypo.CONTROL)},
            "everywhere": {name: arm((e, k, u), i) for i, name in enumerate(hypo.CONTROL)},
        }
        for r, k, u, e in zip(rewards, kls, uncovered, everywhere, strict=True)
    ]


def holds(*measures):
    return [verdict.holds for verdict in hypo.judge(results(*measures))]


BETTER, NEARER = [(0.0, 0.4), (0.1, 0.6), (0.0, 0.5)], [(3.0, 1.5), (2.5, 1.4), (3.2, 1.7)]
COVERED, SAME = [(0.4, 0.2), (0.45, 0.3), (0.4, 0.25)], [(1.0, 1.02), (0.9, 0.9), (1.0, 1.01)]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds(BETTER, NEARER, COVERED, SAME) == [True, True, True, True]
    assert holds(SAME, NEARER, COVERED, SAME) == [False, True, True, False]
    assert holds(BETTER, [(3.0, 2.7)] * 3, COVERED, SAME) == [True, False, True, True]
    assert holds(BETTER, NEARER, [(0.4, 0.37)] * 3, SAME) == [True, True, False, True]
    assert holds(BETTER, NEARER, COVERED, BETTER) == [True, True, True, False]


def test_quick_run(tmp_path):
    reference, *rows = quick(hypo.PAPER, tmp_path)
    assert reference["KL to the reference"] == 0
    assert [row["pairs"] for row in rows] == ["covered"] * len(hypo.ARMS) + ["everywhere"] * 2
    assert all(row["KL to the reference"] > 0 for row in rows)
