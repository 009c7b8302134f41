from __future__ import annotations

import numpy as np
import pytest

from headstart.envs.text.chain import ChainProblem
from headstart.envs.text.skills import HELD_OUT_CONSTRAINTS, HELD_OUT_PAIRS, Constraint, SkillProblem, Skills

WORLD = Skills()


@pytest.mark.parametrize("part", ["training", "development", "unseen"])
def test_problems_have_prompts_demonstrations_and_verifiers(part):
    rng = np.random.default_rng(0)
    right = []
    for _ in range(300):
        problem = WORLD.sample_problem(rng, part)
        perfect = WORLD.demo(problem, rng, 0.0)
        assert {*WORLD.prompt(problem).split(), *perfect.split()} <= set(WORLD.vocabulary)
        assert WORLD.verify(problem, perfect) == 1
        assert WORLD.verify(problem, perfect, ended=False) == 0
        right.append(WORLD.verify(problem, WORLD.demo(problem, rng)))
        response = ""
        while step := WORLD.oracle_step(problem, response):
            response = f"{response} {step}".strip()
        assert WORLD.verify(problem, response) == 1
    assert 0.7 < np.mean(right) < 0.95


def test_what_is_unseen_is_never_trained_on():
    rng = np.random.default_rng(1)
    trained = [WORLD.sample_problem(rng) for _ in range(500)]
    unseen = [WORLD.sample_problem(rng, "unseen") for _ in range(500)]
    names = [tuple(c.name for c in problem.constraints) for problem in trained]
    assert not any(name in HELD_OUT_CONSTRAINTS for held in names for name in held)
    assert not set(names) & set(HELD_OUT_PAIRS)
    assert {len(p.task.operands) for p in trained if p.skill == "MATH"} == {3}
    assert {len(p.task.operands) for p in unseen if p.skill == "MATH"} == {5}
    assert {len(p.task[1]) for p in trained if p.skill == "COPY"} == {3, 4, 5, 6}
    assert {len(p.task[1]) for p in unseen if p.skill == "COPY"} == {7, 8}
    held_out = {tuple(c.name for c in p.constraints) for p in unseen if p.skill == "IF"}
    assert held_out == {("MOST",), ("REVERSED",), *HELD_OUT_PAIRS}


@pytest.mark.parametrize(
    ("problem", "prompt", "response"),
    [
        (SkillProblem("COPY", ("sort", (3, 1, 2))), "COPY sort s3 s1 s2", "s1 s2 s3"),
        (
            SkillProblem("IF", ("COPY", ("copy", (3, 1, 2))), (Constraint("TWICE"), Constraint("END", "s9"))),
            "IF TWICE END s9 COPY copy s3 s1 s2",
            "s3 s1 s2 s3 s1 s2 s9",
        ),
        (
            SkillProblem("IF", ("COPY", ("reverse", (3, 1, 2))), (Constraint("MOST", "2"),)),
            "IF MOST 2 COPY reverse s3 s1 s2",
            "s2 s1",
        ),
        (
            SkillProblem("IF", ("MATH", ChainProblem(3, ("+",), (9,))), (Constraint("BEGIN", "s4"),)),
            "IF BEGIN s4 MATH 3 + 9 =",
            "3 + 9 > 1 ; # s4 1",
        ),
    ],
)
def test_answers(problem, prompt, response):
    assert WORLD.prompt(problem) == prompt
    assert WORLD.verify(problem, response) == 1
    assert WORLD.verify(problem, f"{response} s0") == 0


def test_contamination_is_planted_as_said():
    rng = np.random.default_rng(2)
    evaluation = [WORLD.sample_problem(rng, "development") for _ in range(50)]
    rows = WORLD.scrape(rng, 400, evaluation)
    prompts = {WORLD.prompt(problem) for problem in evaluation}
    kinds = [row.contamination for row in rows]
    assert (kinds.count("verbatim"), kinds.count("changed")) == (10, 10)
    for row in rows:
        if row.contamination == "verbatim":
            assert row.prompt in prompts
        if row.contamination == "changed":
            words = row.prompt.split()
            near = [p.split() for p in prompts if len(p.split()) == len(words)]
            assert min(sum(a != b for a, b in zip(words, other)) for other in near) <= 1
