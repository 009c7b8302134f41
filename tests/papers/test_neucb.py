"""The row on neural bandits: its smallest run, and its verdicts on made-up numbers."""

import json

import numpy as np
import pytest

from headstart.bandits.classification import ClassificationBandit, standardised
from headstart.bandits.neural_baselines import NeuralEpsilonGreedy
from headstart.papers import neucb
from headstart.papers.neucb import BASELINES, LEARNERS, PAPER, STREAM, STREAM_PERTURBATIONS


def results(fast=100.0, square=200.0, slope=0.3, noisy=(5.0, 20.0, 50.0)):
    """Four seeds with the given losses and rates; baselines lose 220 and more."""
    losses = {"NeuFastCB": fast, "NeuSquareCB": square} | dict.fromkeys(BASELINES, 220.0)
    losses["NeuFastCB, not perturbed"] = fast
    seeds = []
    for seed in range(4):
        noise = np.random.default_rng(seed)
        play = {name: {"steps": [1, 2], "losses": [1.0, mean + noise.normal()]} for name, mean in losses.items()}
        regret = [float(10 * rounds**slope * np.exp(0.02 * noise.normal())) for rounds in STREAM]
        tuned = {name: {"learning_rate": 0.5, LEARNERS[name][1]: 1.0} for name in LEARNERS}
        seeds.append(
            {
                "sets": {"digits": play, "wine": play},
                "tuned": {"digits": tuned, "wine": tuned},
                "best losses": [value + 0.1 * noise.normal() for value in noisy],
                "rounds": list(STREAM),
                "streams": {f"{scale:g}": {"regret": regret, "best": regret} for scale in STREAM_PERTURBATIONS},
            }
        )
    return seeds


def failing(**changed):
    return [verdict.claim for verdict in PAPER.verdicts(results(**changed)) if not verdict.holds]


def test_all_claims_can_hold(tmp_path):
    assert failing() == []
    json.dumps([verdict.__dict__ for verdict in PAPER.verdicts(results())], allow_nan=False)
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert PAPER.table(results())[0]["learning_rate"] == "0.5, 0.5, 0.5, 0.5"


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"fast": 230.0}, "fast"),
        ({"square": 230.0}, "square"),
        ({"slope": 0.6}, "regression"),
        ({"noisy": (50.0, 50.0, 20.0)}, "small-losses"),
    ],
)
def test_what_breaks_each_claim(changed, claim):
    assert failing(**changed) == [claim]


def test_the_smallest_run_goes_through_every_part(tmp_path, monkeypatch):
    def made_up(name, noise=0.0):
        generator = np.random.default_rng(0)
        labels = np.arange(30) % 3
        return ClassificationBandit.of(standardised(np.eye(3)[labels] + generator.normal(size=(30, 3))), labels, noise)

    quick = (NeuralEpsilonGreedy(width=4), "epsilon", (0.0, 0.1, 0.2))  # one program for all baselines
    monkeypatch.setattr(neucb, "table_bandit", made_up)
    monkeypatch.setattr(neucb, "LEARNERS", LEARNERS | dict.fromkeys(BASELINES, quick))
    found = [json.loads(json.dumps(PAPER.run(0, True)))]
    assert [verdict.claim for verdict in PAPER.verdicts(found)] == [claim.name for claim in PAPER.claims]
    assert set(found[0]["sets"]["wine"]) == {*LEARNERS, "NeuFastCB, not perturbed"}
    PAPER.draw(found, tmp_path / "figure.svg")
    assert len(PAPER.table(found)) == len(LEARNERS) + 1 + 3 + 3
