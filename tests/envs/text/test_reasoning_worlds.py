from __future__ import annotations

import numpy as np
import pytest

from headstart.envs.text.chain import Chain, ChainProblem
from headstart.envs.text.planted import Planted, PlantedByContext
from headstart.envs.text.probe import Probe, ProbeProblem


def finished(world, problem) -> str:
    """A response made of the oracle's steps alone."""
    response = ""
    for _ in range(30):
        step = world.oracle_step(problem, response)
        response = f"{response} {step}".strip()
        if not step or "#" in step:
            break
    return response


@pytest.mark.parametrize(
    "world", [Chain(), Chain(reflect=0.5, two_part=True), Planted(), PlantedByContext(), Probe()], ids=repr
)
def test_what_every_world_offers(world):
    rng = np.random.default_rng(0)
    for _ in range(20):
        problem = world.sample_problem(rng)
        response = world.demo(problem, rng, None)
        words = [*world.prompt(problem).split(), *response.split()]
        assert set(words) <= set(world.vocabulary)
        steps = world.segment(response)
        assert [step for start, end in steps for step in range(start, end)] == list(range(len(response.split())))
        best = finished(world, problem)
        assert world.verify(problem, best) >= max(0.5, world.verify(problem, response))
        half = " ".join(response.split()[: steps[len(steps) // 2][0]]) if steps else ""
        assert world.oracle_step(problem, half) or world.verify(problem, half)


def test_chains_are_right_only_if_they_end_so():
    world, problem = Chain(), ChainProblem(3, ("+", "*"), (9, 5))
    assert world.prompt(problem) == "3 + 9 * 5 ="
    assert world.values(problem) == [1, 5]
    assert world.verify(problem, "3 + 9 > 1 ; 1 * 5 > 5 ; # 5") == 1
    assert world.verify(problem, "3 + 9 > 1 ; 1 * 5 > 5 ; # 5", ended=False) == 0
    assert world.verify(problem, "# 5 ;") == 0
    assert Chain(two_part=True).verify(problem, "# 1 5") == 1
    assert Chain(two_part=True).verify(problem, "# 5") == 0
    assert world.oracle_step(problem, "3 + 9 > 4 ; ? 3 + 9 > 1 ! 1 ;") == "1 * 5 > 5 ;"


def test_demonstrations_err_as_often_as_the_table_of_facts_says():
    rng = np.random.default_rng(0)
    world = Chain()
    rates = {}
    for style, step in [("direct", 0.6 * 0.99 + 0.4 * 0.35), ("careful", 0.99)]:
        problems = [world.sample_problem(rng) for _ in range(1500)]
        rates[style] = np.mean([world.verify(problem, world.demo(problem, rng, style)) for problem in problems])
        assert rates[style] == pytest.approx(step**4 + (1 - step**4) / 11, abs=0.06)
    problem = ChainProblem(3, ("+", "*", "+", "*"), (9, 5, 2, 7))
    # a fact that is remembered wrongly is always wrong in the same way
    steps = {" ".join(world.demo(problem, rng, "direct").split()[:5]) for _ in range(60)}
    assert 1 <= len(steps) <= 3


def test_planted_values_are_exact():
    world = Planted()
    strengths = (5, 8, 10, 15, 30, 100, 1000)
    values = [world.values(strength)[-1, 0] for strength in strengths]
    np.testing.assert_allclose(values, [0.0054, 0.0245, 0.0455, 0.1181, 0.3626, 0.8151, 0.9926], atol=5e-5)
    rng = np.random.default_rng(0)
    wins = np.mean([world.verify((), world.demo((), rng, 30.0)) for _ in range(2000)])
    assert wins == pytest.approx(0.3626, abs=0.035)
    advantages = world.advantages(15.0)
    np.testing.assert_allclose((advantages * world.policy(15.0)).sum(-1), 0, atol=1e-12)
    assert advantages[5, 0].argmax() == 3
    assert advantages[5, 3].argmax() == 3
    assert world.verify((), "1 3 6 0 3 6 0 3 5") == 1
    assert world.verify((), "1 1 1 1 1 1 3 6 0 3 5") == 0  # too late


def test_the_reward_by_context_begins_where_the_sequence_is_complete():
    world = PlantedByContext(length=8)
    problem = world.sample_problem(np.random.default_rng(1))
    other = next(word for word in range(12) if word not in world.sequence(problem))
    response = " ".join(map(str, [other, *world.sequence(problem), *[other] * 4]))
    assert world.rewards(problem, response).tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert world.rewards(problem, response).sum() == 8 - 3
    assert world.verify(problem, str(other)) == 0
    rng = np.random.default_rng(2)
    returns = [np.mean([world.verify(problem, world.demo(problem, rng, s)) for _ in range(200)]) for s in (1.0, 50.0)]
    assert returns[1] > 0.4 > 0.1 > returns[0]


@pytest.mark.parametrize(
    ("candidates", "leave", "right", "episodes"),
    [(8, 0.5, 0.33, 2.0), (8, 0.15, 0.60, 4.3), (16, 0.5, 0.17, None), (16, 0.7, 0.14, None)],
)
def test_probing_demonstrations_have_their_habits(candidates, leave, right, episodes):
    rng = np.random.default_rng(3)
    world = Probe(candidates=candidates, quit=leave)
    rows = [(problem := world.sample_problem(rng), world.demo(problem, rng)) for _ in range(8000)]
    assert np.mean([world.verify(*row) for row in rows]) == pytest.approx(right, abs=0.035)
    if episodes is not None:
        assert np.mean([response.count("@") for _, response in rows]) == pytest.approx(episodes, abs=0.2)


def test_probing_has_one_right_candidate():
    world = Probe()
    problem = world.sample_problem(np.random.default_rng(0))
    assert [world.permutation[c] == problem.target for c in problem.candidates].count(True) == 1
    assert isinstance(problem, ProbeProblem)
    assert world.verify(problem, f"# {world.right(problem)}") == 1
    assert world.verify(problem, f"# {world.right(problem)}", ended=False) == 0
