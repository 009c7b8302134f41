"""The row on misspecified sparse bandits: its smallest run, and its verdicts on made-up numbers."""

import json

import numpy as np
import pytest

from headstart.papers.sparse_misspecified import (
    DIMENSIONS,
    GROWTH_DIMENSIONS,
    NEEDLE_LEARNERS,
    NET_DIMENSIONS,
    PAPER,
    SPARSITIES,
)


def results(dense=0.5, sparse=0.0, beyond=-0.1, asked=100, growth=0.0, needle=0.06):
    """Four seeds with the given rates."""
    seeds = []
    for seed in range(4):
        noise = np.random.default_rng(seed)

        def grown(scale, x, power, noise=noise):
            return float(scale * x**power * np.exp(0.02 * noise.normal()))

        misled = [
            {"least squares": grown(1, d, dense), "omp": grown(1, d, sparse), "lasso": grown(1, d, sparse)}
            for d in DIMENSIONS
        ]
        promised = {f"{name}: {part}": v for name in ("elimination", "net") for part, v in (("lost", 0.2 + beyond),)}
        promised |= {"elimination: promised": 0.2, "net: promised": 0.2}
        promised |= {"elimination: queries": asked, "net: queries": 500}
        queries = dict.fromkeys(NEEDLE_LEARNERS, 2.0)
        seeds.append(
            {
                "dimensions": list(DIMENSIONS),
                "misled": misled,
                "unit norm": misled,
                "promised": [promised] * len(NET_DIMENSIONS),
                "growth": [
                    {"sparsity": s, "dimensions": list(sizes), "queries": [grown(3, d, s + growth) for d in sizes]}
                    for s, sizes in GROWTH_DIMENSIONS.items()
                ],
                "sparsities": list(SPARSITIES),
                "needles": [{name: q * np.exp(needle * s) for name, q in queries.items()} for s in SPARSITIES],
            }
        )
    return seeds


def failing(**changed):
    return [verdict.claim for verdict in PAPER.verdicts(results(**changed)) if not verdict.holds]


def test_all_claims_can_hold(tmp_path):
    assert failing() == []
    json.dumps([verdict.__dict__ for verdict in PAPER.verdicts(results())], allow_nan=False)
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert {"d=8", "d=256"} <= PAPER.table(results())[0].keys()


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"dense": 0.2}, "dimension"),
        ({"sparse": 0.4}, "dimension"),
        ({"beyond": 0.01}, "promise"),
        ({"asked": 500}, "promise"),
        ({"growth": 0.4}, "net-growth"),
        ({"needle": -0.01}, "needle"),
    ],
)
def test_what_breaks_each_claim(changed, claim):
    assert failing(**changed) == [claim]


def test_the_smallest_run_goes_through_every_part(tmp_path):
    found = [json.loads(json.dumps(PAPER.run(0, True)))]
    verdicts = PAPER.verdicts(found)
    assert [verdict.claim for verdict in verdicts] == [claim.name for claim in PAPER.claims]
    assert verdicts[1].holds
    PAPER.draw(found, tmp_path / "figure.svg")
    assert PAPER.table(found)
