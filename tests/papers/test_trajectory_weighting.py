"""The trajectory-weighting row: its parts run, limits hold, and its verdicts are those of the tests that it states."""

import copy
import json

import numpy as np
import pytest

from headstart.data.weights import TrajectoryWeights
from headstart.papers.trajectory_weighting import ARMS, GAP, MAIN, MIXTURES, PAPER, REGULAR, _mixture, _record


@pytest.fixture(scope="module")
def sources():
    return _record(0, 100)


def results(changed=None):
    """Five seeds on which all claims hold; ``changed`` maps (dataset, method, sampler) to another mean return."""
    returns = {
        name: {method: {s: -800.0 if s == "uniform" else -300.0 for s in samplers} for method, samplers in arms.items()}
        for name, arms in ARMS.items()
    }
    returns[REGULAR] = {method: {"uniform": -300.0, "AW": -280.0} for method in returns[REGULAR]}
    for index, name in enumerate(MIXTURES):
        returns[name]["TD3+BC"]["AW"] = -700.0 + 50 * index
    for (name, method, sampler), value in (changed or {}).items():
        returns[name][method][sampler] = value
    noise, facts, seeds = np.random.default_rng(0), {"effective trajectories": 5.0, "expected return": -200.0}, []
    for _ in range(5):
        datasets = {}
        for name, arms in copy.deepcopy(returns).items():
            for found in arms.values():
                for sampler in found:
                    found[sampler] += 5 * noise.normal()
            variance = float(MIXTURES.index(name)) if name in MIXTURES else 0.0
            samplers = dict.fromkeys(next(iter(arms.values())), facts)
            datasets[name] = {"mean": -1.0, "positive-sided variance": variance, "samplers": samplers, "returns": arms}
        seeds.append({"datasets": datasets, "luck": {"AW": 50.0, "RW": 20.0}})
    return seeds


def failing(changed=None):
    return [verdict.claim for verdict in PAPER.verdicts(results(changed)) if not verdict.holds]


def test_the_smallest_run_goes_through_every_part(tmp_path):
    found = [json.loads(json.dumps(PAPER.run(0, True)))]
    assert len(PAPER.verdicts(found)) == len(PAPER.claims)
    assert {row["dataset"] for row in PAPER.table(found)} == set(ARMS)
    drawn = found[0]["datasets"][MAIN]["samplers"]
    assert drawn["uniform"]["effective trajectories"] == 100
    assert drawn["AW"]["expected return"] > drawn["uniform"]["expected return"] + 500
    PAPER.draw(found, tmp_path / "figure.svg")
    assert "positive-sided variance" in (tmp_path / "figure.svg").read_text()


def test_mixtures_hold_as_many_good_trajectories_as_their_names_say(sources):
    good = np.sort(sources["expert"].select(range(5)).returns())
    mixed = _mixture("random-expert-5%", sources, 100).returns()
    assert len(mixed) == 100
    np.testing.assert_allclose(np.sort(mixed)[-5:], good)
    assert _mixture(REGULAR, sources, 100) is sources[REGULAR]


def test_weights_are_uniform_in_the_limits(sources):
    data = _mixture(MAIN, sources, 100)
    for kind in ("advantage", "return"):
        weights = TrajectoryWeights(kind, alpha=1e13).transition_weights(data)
        np.testing.assert_allclose(weights, 1 / len(data), rtol=1e-12)
    equal = replace_rewards(data)
    np.testing.assert_allclose(TrajectoryWeights().transition_weights(equal), 1 / len(data), rtol=1e-12)


def replace_rewards(data):
    """The same data with all rewards, and so all returns, equal."""
    columns = dict(data.columns) | {"rewards": np.ones(len(data), np.float32)}
    return type(data)(data.spec, columns)


def test_all_claims_can_hold(tmp_path):
    assert failing() == []
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert len(PAPER.table(results())) == 4 + 2 + 5 * 2


@pytest.mark.parametrize(
    ("claim", "changed"),
    [
        ("advantage-weights", {(MAIN, "IQL", "AW"): -900.0, (MAIN, "CQL", "AW"): -900.0}),
        ("return-weights", {(MAIN, "IQL", "RW"): -900.0}),
        ("regular-data", {(REGULAR, "TD3+BC", "AW"): -300.0 + 0.11 * GAP}),
        ("potential", {(name, "TD3+BC", "AW"): -100.0 - 50 * index for index, name in enumerate(MIXTURES)}),
    ],
)
def test_what_breaks_each_claim(claim, changed):
    assert failing(changed) == [claim]


def test_one_of_two_methods_beside_td3_bc_is_enough():
    assert failing({(MAIN, "IQL", "AW"): -900.0}) == []
    assert "advantage-weights" in failing({(MAIN, "TD3+BC", "AW"): -900.0})


def test_luck_must_favour_advantages_in_every_seed():
    found = results()
    found[2]["luck"]["RW"] = 60.0
    assert [verdict.claim for verdict in PAPER.verdicts(found) if not verdict.holds] == ["lucky-starts"]
