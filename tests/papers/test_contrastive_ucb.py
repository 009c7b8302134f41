"""The experiment of the contrastive paper: its judgement, its smallest run."""

from headstart.papers import contrastive_ucb
from headstart.papers.proving import prove


def result(bonus=1.0, greedy=0.1, learned=0.04, recovery=None, unweighted=0.2, duel=(0.02, 0.3)):
    sizes = contrastive_ucb.SIZES
    errors = recovery or [20 * n**-0.55 for n in sizes]
    lock = {"learned_error": learned, "counted_error": 0.3}
    return {
        "lock": {"bonus": {"values": [0.1, bonus], **lock}, "greedy": {"values": [0.1, greedy], **lock}},
        "duel": {"bonus": duel[0], "greedy": duel[1]},
        "recovery": {"contrastive": errors, "counts": [30 * n**-0.5 for n in sizes], "unweighted": unweighted},
    }


def failing(**changes):
    """The claims that do not hold after a change."""
    verdicts = contrastive_ucb.PAPER.verdicts([result(**changes)] * 3)
    return [verdict.claim for verdict in verdicts if not verdict.holds]


def test_each_claim_is_judged_by_its_own_numbers():
    assert failing() == []
    assert failing(bonus=0.5) == failing(greedy=1.0) == ["exploration"]
    assert failing(learned=0.2) == ["transitions"]
    assert failing(recovery=[100 * n**-0.55 for n in contrastive_ucb.SIZES], unweighted=9.0) == ["recovery"]
    assert failing(unweighted=0.05) == ["weights"]
    assert failing(duel=(0.3, 0.3)) == ["games"]


def test_quick_run():
    proof = prove("contrastive-ucb", quick=True, show_progress=False)
    with_bonus, without, *_ = proof.table
    assert min(with_bonus["value in the lock"], without["value in the lock"]) >= 0
    assert with_bonus["error, learned"] > 0
    assert len({tuple(row) for row in proof.table}) == 1
