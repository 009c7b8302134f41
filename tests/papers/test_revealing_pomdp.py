"""The experiment of the paper on revealing POMDPs: its judgement, its smallest run."""

import numpy as np

from headstart.papers import revealing_pomdp
from headstart.papers.proving import prove

SLOPES = {"symbols": 0.5, "sigma": -2.0, "epsilon": -1.9, "states": 1.6, "states, 16 symbols": 1.1}


def result(slopes=None, reveal=0.66, free=0.55, coincidences=True, long=False, short=True, optimal=True):
    exponents = SLOPES | (slopes or {})
    horizons = np.array(revealing_pomdp.HORIZONS)
    return {
        "reveals": {name: (10 * np.array(x) ** exponents[name]).tolist() for name, x in revealing_pomdp.GRIDS.items()},
        "regret": {"reveal": (horizons**reveal).tolist(), "free": (horizons**free).tolist()},
        "opened": {"UCB, long": [long], "coincidences": [coincidences], "UCB, short": [short], "UCB, middle": [False]},
        "omle": {"value": 0.9, "optimal": optimal, "plausible": 1},
    }


def failing(**changes):
    """The claims that do not hold after a change."""
    verdicts = revealing_pomdp.PAPER.verdicts([result(**changes)] * 3)
    return [verdict.claim for verdict in verdicts if not verdict.holds]


def test_each_claim_is_judged_by_its_own_numbers():
    assert failing() == []
    assert failing(slopes={"symbols": 0.8}) == ["observations"]
    assert failing(slopes={"sigma": -1.5}) == ["revealing"]
    assert failing(slopes={"epsilon": -2.4}) == ["accuracy"]
    assert failing(slopes={"states, 16 symbols": 1.5}) == ["states"]
    assert failing(reveal=0.55) == ["regret"]
    assert failing(coincidences=False) == failing(long=True) == ["opened"]
    assert failing(short=False) == ["short-passwords"]
    assert failing(optimal=False) == ["omle"]


def test_quick_run():
    proof = prove("revealing-pomdp", quick=True, show_progress=False)
    assert {row["cost against"] for row in proof.table} >= {"symbols", "states", "optimal: OMLE"}
    assert all(verdict.numbers for verdict in proof.verdicts)
    assert len({tuple(row) for row in proof.table}) == 1
