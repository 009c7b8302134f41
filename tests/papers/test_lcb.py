"""The experiments on pessimism: judgement both ways, smallest run."""

import copy

import numpy as np

from headstart.papers import lcb
from headstart.papers.proving import prove


def results(seeds=4):
    rows = [300, 3000, 30000]
    falling = {"1 + 1/N": -1.0, "1.05": -0.9, "1.3": -0.6, "2": -0.5, "4": -0.5}

    def one(seed):
        noise = 1 + 0.01 * seed
        contextual = {"LCB": {label: [noise * n**slope for n in rows] for label, slope in falling.items()}}
        contextual |= {name: {key: [0.1, 0.1, 0.1 * noise] for key in falling} for name in ("greedy", "cloning")}
        mixes = [str(mix) for mix in lcb.MIXES]
        planned = {name: {mix: [0.2 * noise, 0.1 * noise] for mix in mixes} for name in lcb.PLANNERS}
        planned["VI-LCB"] = {mix: [0.2, 0.01 * noise] for mix in mixes}
        alone = {"LCB": 0.1 * noise, "LCB, theory's width": 0.2 * noise, "most played": 0.0}
        return {
            "rows": rows,
            "contextual": contextual,
            "without context": alone,
            "transitions": [200, 5000],
            "planned": planned,
        }

    return [one(seed) for seed in range(seeds)]


def holds(changed):
    return [verdict.holds for verdict in lcb.judge(changed)]


def test_each_claim_is_judged_by_its_own_numbers():
    good = results()
    assert holds(good) == [True] * 5
    for path, value, claim in [
        (("contextual", "LCB", "2"), [0.1, 0.1, 0.1], 0),
        (("contextual", "LCB", "1.05"), [0.3, 0.29, 0.28], 0),
        (("contextual", "greedy", "1 + 1/N"), [1.0, 1.0, 1e-6], 1),
        (("contextual", "cloning", "1.3"), [1.0, 1.0, 1e-3], 2),
        (("without context", "most played"), 0.5, 3),
        (("planned", "cloning", "0.7"), [0.2, 0.0], 4),
        (("planned", "value iteration", "0.95"), [0.2, 0.0], 4),
    ]:
        changed = copy.deepcopy(good)
        for result in changed:
            place = result
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        assert holds(changed) == [index != claim for index in range(5)], path


def test_quick_run():
    proof = prove("lcb", quick=True, show_progress=False)
    assert len(proof.verdicts) == 5
    losses = np.array([row["loss, most data"] for row in proof.table])
    assert np.isfinite(losses).all()
    assert (losses >= -1e-9).all()
