"""The row on tracked runs: its made-up store, its verdicts on made-up numbers, its smallest run."""

import copy
import json

import numpy as np
import pytest

from headstart.papers import made_up_runs, open_rl_benchmark
from headstart.papers.open_rl_benchmark import DECAYS, PAPER, REFERENCES, RUN_AGAIN
from headstart.papers.plain_statistics import deviations
from headstart.runs.index import tag

CLAIMS = [claim.name for claim in PAPER.claims]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    curves = made_up_runs.write_store(folder / "made-up", np.random.default_rng(0))
    with open_rl_benchmark.own_cache(folder / "cache"):
        yield folder, curves


def test_tables_and_aggregates_are_those_of_plain_numpy(store):
    folder, curves = store
    found = deviations(folder / "made-up", curves, resamples=500)
    assert found["exact"] <= 1e-9
    assert found["bounds"] <= 0.01
    assert found["compared"] > 50
    changed = curves | {7: curves[7] + 1e-6}
    assert deviations(folder / "made-up", changed, resamples=10)["exact"] > 1e-9


def test_every_question_is_answered_rightly_and_a_wrong_answer_is_noticed(store):
    folder, _ = store
    answers = made_up_runs.ask(folder)
    assert answers["questions"] >= 30
    assert answers["wrong"] == {"made-up": [], "copy": []}
    assert (answers["runs"], answers["repeated"]) == (81, 0)
    tag(folder / "copy" / "alpha-000", remove=["v1"])
    wrong = [text for text, found, expected in made_up_runs.questions(folder / "copy") if found != expected]
    assert wrong == ["alpha: ppo?tag=v1"]


def test_the_number_that_is_altered_is_told(store, tmp_path):
    folder, curves = store
    run = folder / "made-up" / "beta" / "beta-041"
    name, value = open_rl_benchmark.alter_one_number(run, 1)
    assert (name, value) == (made_up_runs.METRIC, curves[41][-1] + 1)


def results():
    generator = np.random.default_rng(0)
    seeds = []
    for _ in range(10):
        curves = {
            label: {world: {"steps": [1, 2, 3], "scores": generator.normal(50, 5, 3).tolist()} for world in REFERENCES}
            for label in DECAYS
        }
        once = {name: {"same": True, "rows": 10, "changed": ["jax"] if name == "sac" else []} for name in RUN_AGAIN}
        seeds.append(
            {
                "filters": {"questions": 40, "runs": 81, "wrong": {"made-up": [], "copy": []}, "repeated": 0},
                "statistics": {"exact": 1e-13, "bounds": 0.003, "compared": 79},
                "coverage": {"studies": 50, "covered": {"5": 45, "10": 47, "20": 47}},
                "reproduction": once | {"altered": True},
                "overhead": 0.01,
                "targets": curves,
            }
        )
    return seeds


def failing(change=lambda seed: None):
    found = copy.deepcopy(results())
    change(found[3])
    return [verdict.claim for verdict in PAPER.verdicts(found) if not verdict.holds]


def test_all_claims_can_hold(tmp_path):
    assert failing() == []
    PAPER.draw(results(), tmp_path / "figure.svg")
    assert len(PAPER.table(results())) == 3 + 3
    json.dumps(PAPER.table(results()), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "claims"),
    [
        (lambda seed: seed["filters"]["wrong"]["copy"].append("ppo"), ["filters"]),
        (lambda seed: seed["filters"].update(repeated=1), ["filters"]),
        (lambda seed: seed["filters"].update(questions=20), ["filters"]),
        (lambda seed: seed["statistics"].update(exact=1e-6), ["statistics"]),
        (lambda seed: seed["statistics"].update(bounds=0.02), ["statistics"]),
        (lambda seed: seed["coverage"]["covered"].update({"10": 20}), ["coverage"]),
        (lambda seed: seed["reproduction"]["dqn"].update(same=False), ["reproduction"]),
        (lambda seed: seed["reproduction"]["sac"].update(changed=[]), ["reproduction"]),
        (lambda seed: seed["reproduction"].update(altered=False), ["reproduction"]),
        (lambda seed: seed["reproduction"]["ppo-Pendulum"].update(same=False), ["reproduction", "value-targets"]),
        (lambda seed: seed.update(overhead=0.3), ["overhead"]),
    ],
)
def test_what_breaks_each_claim(change, claims):
    assert failing(change) == claims


@pytest.mark.slow
def test_the_smallest_run_goes_through_every_part(tmp_path):
    found = [json.loads(json.dumps(PAPER.run(seed, True))) for seed in (0, 1)]
    verdicts = {verdict.claim: verdict.holds for verdict in PAPER.verdicts(found)}
    assert list(verdicts) == CLAIMS
    assert {name for name, holds in verdicts.items() if not holds} <= {"coverage", "overhead"}  # too few to tell
    PAPER.draw(found, tmp_path / "figure.svg")
