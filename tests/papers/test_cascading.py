"""The experiment of cascading reinforcement learning: its judgement, its smallest run."""

import numpy as np

from headstart.papers import cascading
from headstart.papers.proving import prove

EPISODES = [200, 1000, 4000, 8000, 10_000]
FAIR = {"CascadingVI": (1, 0.5), "Hoeffding bonus": (3, 0.7), "myopic": (3, 0.9), "lists as actions": (9, 0.9)}


def results(arms=FAIR, stopping=None, **changes):
    """Regret that grows with a factor and a power of the episodes."""
    episodes, worlds = np.array(EPISODES), []
    for world in range(3):
        result = {"error": 1e-15, "speedup": 300.0, "planning speedup": 40.0 + world}
        for arm, (factor, power) in arms.items():
            regret = 900 * factor * (1 + 0.05 * world) * (episodes / 10_000) ** power
            result[arm] = {"episodes": EPISODES, "regret": regret.tolist()}
        for arm, count in (("CascadingVI", 1000), ("lists as actions", 9000 + world)):
            result[arm] |= {"episodes until sure": [count, count], "sure": [True, True], "gap then": [0.1, 0.2]}
        result["CascadingVI"] |= stopping or {}
        worlds.append(result | changes)
    return worlds


def verdicts(*arguments, **changes):
    return {verdict.claim: verdict.holds for verdict in cascading.judge(results(*arguments, **changes))}


def test_all_claims_hold_where_all_is_as_claimed():
    assert verdicts() == dict.fromkeys((claim.name for claim in cascading.PAPER.claims), True)


def test_each_claim_is_judged_by_its_own_numbers():
    assert not verdicts(error=1e-9)["exact"]
    assert not verdicts(speedup=80.0)["fast"]
    assert not verdicts(**{"planning speedup": 4.0})["planning-time"]
    assert not verdicts(FAIR | {"lists as actions": (3.0, 0.9)})["items-not-lists"]
    assert not verdicts(FAIR | {"myopic": (0.5, 0.9)})["planning"]
    assert not verdicts(FAIR | {"Hoeffding bonus": (1, 0.5)})["variance"]
    assert not verdicts(FAIR | {"CascadingVI": (1, 0.8)})["growth"]
    assert not verdicts(stopping={"sure": [True, False]})["identification"]
    assert not verdicts(stopping={"gap then": [0.1, 0.4]})["identification"]
    assert not verdicts(stopping={"episodes until sure": [90_000, 90_000]})["identification"]


def test_quick_run():
    proof = prove("cascading", quick=True, show_progress=False)
    assert [row["arm"] for row in proof.table] == list(cascading.ARMS)
    assert all(row["regret"] > 0 for row in proof.table)
    assert proof.verdicts[0].holds
