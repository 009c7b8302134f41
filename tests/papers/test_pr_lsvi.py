"""The experiment of learning from preferences: its judgement, its smallest run."""

import numpy as np

from headstart.papers import pr_lsvi
from headstart.papers.proving import prove

ROUNDS = [1, 30, 300, 1000, 3000]


def results(growth=0.4, late=0.1, questions=(900, 150, 30), random=2.0, same=4.0):
    """Regret that grows with a power; arms that are worse by factors; questions by threshold."""

    def arm(factor, count, world):
        regret = (100 * factor * (1 + 0.05 * world) * (np.array(ROUNDS) / 3000) ** growth).tolist()
        return {"rounds": ROUNDS, "regret": regret, "questions": count, "late questions": round(late * count)}

    worlds = []
    for world in range(4):
        worlds.append({"same policy 0.3": arm(same, 150, world), "PbTS": arm(1, 400, world)})
        worlds[-1]["PbTS random"] = arm(random, 400, world)
        for threshold, count in zip(pr_lsvi.THRESHOLDS, questions, strict=True):
            worlds[-1][f"active {threshold}"] = arm(1, count + world, world)
            worlds[-1][f"random {threshold}"] = arm(random, count, world)
    return worlds


def verdicts(**changes):
    return {verdict.claim: verdict.holds for verdict in pr_lsvi.judge(results(**changes))}


def test_each_claim_is_judged_by_its_own_numbers():
    claims = [claim.name for claim in pr_lsvi.PAPER.claims]
    assert verdicts() == dict.fromkeys(claims, True)
    failing = {
        "active-0.1": {"random": 0.9},
        "active-0.3": {"random": 0.9},
        "comparator": {"same": 0.9},
        "questions": {"questions": (300, 290, 280)},
        "regret-growth": {"growth": 0.9},
        "posterior-sampling": {"late": 0.5},
    }
    assert [claim for claim, change in failing.items() if verdicts(**change)[claim]] == []
    assert verdicts(same=0.9) == dict.fromkeys(claims, True) | {"comparator": False}


def test_quick_run():
    proof = prove("pr-lsvi", quick=True, show_progress=False)
    asked = {row["arm"]: row["questions"] for row in proof.table}
    assert asked["always"] >= asked["active 0.1"] > asked["active 0.9"] > 0
    assert asked["random 0.3"] <= asked["active 0.3"]
