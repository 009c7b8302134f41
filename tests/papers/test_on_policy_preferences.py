"""The experiment on fresh draws: its judgement, its smallest run."""

from headstart.papers import on_policy_preferences as paper
from tests.papers.judging import quick


def results(imitation=(0.3, 0.9), contrast=(0.6, 0.95)):
    """Two equal seeds; the finals of old draws at the far and at the near peak, those of fresh ones being 1."""
    stale = {"best of 10": imitation, "IPO": contrast, "REINFORCE": (0.5, 0.9)}
    return [
        {
            str(peak): {name: {"1": [0.1, 1.0], "10": [0.1, 1.0], "200": [0.1, end[i]]} for name, end in stale.items()}
            for i, peak in enumerate((paper.FAR, paper.NEAR))
        }
    ] * 2


def holds(**changes):
    return [verdict.holds for verdict in paper.judge(results(**changes))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True, True, True]
    assert holds(imitation=(0.45, 0.6)) == [False, True, True]
    assert holds(contrast=(0.6, 0.65)) == [True, False, True]
    assert holds(contrast=(0.35, 0.95)) == [True, True, False]


def test_quick_run(tmp_path):
    rows = quick(paper.PAPER, tmp_path)
    assert len(rows) == 2 * len(paper.METHODS) + len(paper.FURTHER) + len(paper.TARGETS)
    assert [row["steps, reverse KL"] for row in rows[-3:-1]] == [75, 151]
    assert all(0 < row["reward, 1 steps a round"] < 1 for row in rows[: 2 * len(paper.METHODS)])
