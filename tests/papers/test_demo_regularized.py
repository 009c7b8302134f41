"""The experiments on demonstrations: judgement both ways, smallest run."""

import numpy as np

from headstart.papers import demo_regularized
from headstart.papers.proving import prove

NAMES = [claim.name for claim in demo_regularized.PAPER.claims]


def result(seed=0, slope=-0.9, none=2_000_000, loss=0.01, accuracy_slope=1.8, imitation=-1.0, gains=None):
    noise = 1 + 0.01 * seed
    certified = {}
    for accuracy in demo_regularized.ACCURACIES:
        certified[f"{accuracy}"] = {"episodes": none, "loss": 0.0}
        for number in demo_regularized.DEMONSTRATIONS:
            episodes = noise * 1000 * accuracy**-accuracy_slope * (number / 1600) ** slope
            certified[f"{accuracy}, {number}"] = {"episodes": episodes, "loss": loss}
    cloned = [50, 500, 5000]
    return {
        "certified": certified,
        "accuracies": list(demo_regularized.ACCURACIES),
        "cloned": cloned,
        "divergences": [noise * number**imitation for number in cloned],
        "preferences": [50, 3200],
        "gains": gains or [[-0.2 * noise, -0.1, 0.0, 0.05 * noise], [0.15 * noise, 0.1, 0.1, 0.05]],
    }


def failing(**change):
    verdicts = demo_regularized.judge([result(seed, **change) for seed in range(4)])
    return [verdict.claim for verdict in verdicts if not verdict.holds]


def test_each_claim_is_judged_by_its_own_numbers():
    assert failing() == []
    assert failing(slope=-0.6) == ["fewer-episodes"]
    assert failing(none=900_000) == ["beats-none"]
    assert failing(loss=0.03) == ["certificates-are-true"]
    assert failing(accuracy_slope=2.3, none=1e9) == ["accuracy-rate"]
    assert failing(imitation=-0.8) == ["imitation-rate"]
    for gains in (
        [[0.0, 0.0, 0.0, -0.01], [0.15, 0.1, 0.1, 0.05]],
        [[-0.2, -0.1, 0.0, 0.05], [0.1, 0.1, 0.1, 0.2]],
    ):
        assert failing(gains=gains) == ["preferences"]


def test_quick_run():
    proof = prove("demo-regularized", quick=True, show_progress=False)
    assert [verdict.claim for verdict in proof.verdicts] == NAMES
    assert proof.verdicts[2].holds
    episodes = [row["episodes to 0.2"] for row in proof.table]
    assert np.all(np.diff(episodes[1:5]) < 0)
