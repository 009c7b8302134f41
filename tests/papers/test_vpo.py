"""The experiment of VPO: its judgement, its smallest run."""

from headstart.papers import vpo
from tests.papers.judging import quick


def results(reward=0.3, uncovered=(0.2, 0.2), dpo=(0.25, 0.4), online=0.1, own=0.1, wrong=-0.5, slope=0.3):
    """Two equal seeds."""

    def regret(power):
        return [float((count + 1) ** power) for count in range(60)]

    steps = list(vpo.EVALUATE)
    offline = {name: {"reward": [0.0] * 4, "kl": [1.0] * 4, "uncovered": [0.3] * 4} for name in vpo.OFFLINE}
    offline["DPO"]["uncovered"] = [dpo[0], *[dpo[0]] * 2, dpo[1]]
    offline[vpo.OURS] = {
        "reward": [0.0, 0.0, 0.0, reward],
        "kl": [1.0] * 4,
        "uncovered": [uncovered[0]] * 3 + [uncovered[1]],
    }
    offline["wrong sign"]["reward"] = [wrong] * 4
    arms = {name: {"suboptimality": [1.0, 1.0], "regret": regret(0.9), "first_hit": 40.0} for name in vpo.ONLINE}
    arms["VPO 0.3/sqrt(t)"] |= {"suboptimality": [1.0, online], "regret": regret(slope)}
    arms["VPO 0.3/sqrt(t), own pairs"] |= {"suboptimality": [1.0, own], "regret": regret(0.5)}
    return [{"steps": steps, "offline": offline, "online": arms}] * 2


def holds(**changes):
    return [verdict.holds for verdict in vpo.judge(results(**changes))]


def test_each_claim_is_judged_by_its_own_numbers():
    assert holds() == [True] * 7
    assert holds(reward=-0.1) == [False, *[True] * 6]
    assert holds(uncovered=(0.35, 0.35)) == [True, False, *[True] * 5]
    assert holds(uncovered=(0.0, 0.25)) == [True, True, False, *[True] * 4]
    assert holds(online=1.5) == [True, True, True, False, True, True, True]
    assert holds(own=1.5) == [True, True, True, True, False, True, True]
    assert holds(slope=0.7) == [True] * 5 + [False, True]
    assert holds(wrong=0.1) == [True] * 6 + [False]


def test_quick_run(tmp_path):
    rows = quick(vpo.PAPER, tmp_path)
    assert len(rows) == len(vpo.OFFLINE) + len(vpo.ONLINE)
    assert all(row["regret"] > 0 for row in rows[len(vpo.OFFLINE) :])
