"""Searchers as state machines, against functions whose best is known."""

import math

import numpy as np
import pytest

from headstart.core.domain import Real
from headstart.core.errors import UsageError
from headstart.tune.bgt import BayesianGenerations
from headstart.tune.dehb import DEHB
from headstart.tune.gaussian_process import TimeVaryingGP
from headstart.tune.population import PopulationSearch
from headstart.tune.sampled import SampledSearch
from headstart.tune.searcher import Task
from headstart.tune.space import Space

SPACE = Space({"x": Real(0.0, 1.0), "y": Real(1e-4, 1.0, "log")})
POINTS = tuple(range(10, 91, 10))


def task(trials, seed=0, default=None, points=POINTS):
    return Task(SPACE, 90, points, trials, default, seed)


def value(step):
    """Best, at 0, where x is 0.3 and y is 0.01."""
    x, y = step.configuration["x"], step.configuration["y"]
    return -((x - 0.3) ** 2) - ((math.log10(y) + 2) / 4) ** 2


def carry_out(searcher, score=value, budget=math.inf):
    """Everything asked for, in order, with its score; ends when nothing more is asked for that the budget can pay."""
    done, spent, at = [], 0, {}
    while True:
        step = searcher.ask(budget - spent)
        if step is None:
            return done
        begun = at.get(step.trial, step.schedule[-2][0] if step.parent is not None else 0)
        spent += step.steps - begun
        at[step.trial] = step.steps
        done.append((step, score(step)))
        searcher.tell(*done[-1])


def best(done):
    return max((score, step.configuration["x"], step.configuration["y"]) for step, score in done)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_home_in_on_the_best(sampler):
    done = carry_out(SampledSearch(task(40), sampler), budget=40 * 90)
    assert len(done) == 40
    assert best(done)[0] > -0.01
    early, late = ([score for _, score in part] for part in (done[:10], done[-10:]))
    assert np.mean(late) > 0.6 * np.mean(early)  # both below 0, the best


def test_random_draws_are_spread_evenly():
    done = carry_out(SampledSearch(task(200), "random"), budget=200 * 90)
    units = np.array([SPACE.to_unit(step.configuration) for step, _ in done])
    assert np.all(np.abs(units.mean(0) - 0.5) < 0.08)
    assert np.all(np.abs(units.std(0) - 12**-0.5) < 0.04)


def test_halving_stops_two_of_three_at_every_rung_and_saves_for_more_trials():
    done = carry_out(SampledSearch(task(20), "random", "halving"), budget=20 * 90)
    reached = [sum(step.steps >= rung for step, _ in done if step.steps == rung) for rung in (10, 30, 90)]
    assert reached[0] > 45
    assert reached[0] > 2 * reached[1] > 3 * reached[2] > 0
    finished = [score for step, score in done if step.steps == 90]
    assert np.mean(finished) > np.mean([score for step, score in done if step.steps == 10])


def test_the_default_is_tried_first_even_outside_the_space():
    outside = {"x": 2.0, "y": 0.5}
    for searcher in (SampledSearch(task(4, default=outside), "tpe"), DEHB(task(4, default=outside))):
        assert searcher.ask().configuration == outside
    first, *_ = carry_out(PopulationSearch(task(4, default=outside)))
    assert first[0].configuration == outside


def test_dehb_spends_as_hyperband_does():
    searcher = DEHB(task(9))
    first = [searcher.ask() for _ in range(9)]
    assert searcher.ask() is None  # until the rung is complete
    for step in first:
        searcher.tell(step, value(step))
    second = [searcher.ask() for _ in range(3)]
    ranked = sorted(first, key=value, reverse=True)
    assert [step.trial for step in second] == [step.trial for step in ranked[:3]]
    assert {step.steps for step in first} == {10}
    assert {step.steps for step in second} == {30}
    for step in second:
        searcher.tell(step, value(step))
    last = searcher.ask()
    assert (last.trial, last.steps) == (ranked[0].trial, 90)
    searcher.tell(last, value(last))
    # The next bracket starts one rung up, and is bred from here on: new trials, each from scratch.
    bred = [searcher.ask() for _ in range(3)]
    assert {(step.steps, step.trial > 8) for step in bred} == {(30, True)}


def test_dehb_finds_the_best_and_keeps_to_its_budget():
    done = carry_out(DEHB(task(20)), budget=20 * 90)
    assert best(done)[0] > -0.005
    costs, at = 0, {}
    for step, _ in done:
        costs += step.steps - at.get(step.trial, 0)
        at[step.trial] = step.steps
    assert 18 * 90 < costs <= 20 * 90


class Race:
    """How far trials have come, at a speed that is 1 where x is 0.7; copies start where their parents are."""

    def __init__(self):
        self.places = {}

    def __call__(self, step):
        begun, place = 0, 0.0
        for steps, configuration in step.schedule:
            place += (steps - begun) * (1 - abs(configuration["x"] - 0.7))
            begun = steps
        if step.parent is not None:
            assert place > self.places[step.parent] > 0
        self.places[step.trial] = place
        return place


@pytest.mark.parametrize("kind", [PopulationSearch, BayesianGenerations])
def test_populations_train_better_than_any_configuration_they_began_with(kind):
    done = carry_out(kind(task(8)), Race())
    began = [step.configuration["x"] for step, _ in done if step.steps == 10]
    fastest = max(1 - abs(x - 0.7) for x in began)
    scores = [score for step, score in done if step.steps == 90]
    assert max(scores) > 0.99 * 90 * fastest
    assert np.mean(scores) > 0.9 * 90 * fastest
    at = {}
    for step, _ in done:
        begun = step.schedule[-2][0] if step.parent is not None else at.get(step.trial, 0)
        at["spent"] = at.get("spent", 0) + step.steps - begun
        at[step.trial] = step.steps
    assert 7 * 90 < at["spent"] <= 8 * 90


def test_copies_have_the_parents_past_and_another_future():
    done = carry_out(PopulationSearch(task(8)), Race())
    steps = {step.trial: step for step, _ in done}
    copies = [step for step, _ in done if step.parent is not None]
    assert len(copies) == 2 * (len(POINTS) - 1)  # a quarter of eight, after every generation but the last
    for copy in copies:
        past = steps[copy.parent].schedule
        assert copy.schedule[: len(past) - 1] == past[:-1]
        assert copy.configuration != past[-1][1]


def test_a_population_of_one_is_plain_training():
    default = {"x": 0.2, "y": 0.1}
    done = carry_out(PopulationSearch(task(1, default=default)), Race())
    assert [step.schedule for step, _ in done] == [((end, default),) for end in POINTS]


def test_populations_replace_members_that_fail():
    done = carry_out(PopulationSearch(task(4)), lambda step: None if step.trial == 0 else value(step))
    assert [step.steps for step, _ in done if step.trial == 0] == [10]
    assert len({step.trial for step, _ in done if step.steps == 90}) == 4


def test_what_cannot_be_looked_at_on_the_way_cannot_be_stopped_early():
    for make in (PopulationSearch, BayesianGenerations, lambda task: SampledSearch(task, "tpe", "halving")):
        with pytest.raises(UsageError, match="smaller evaluate_every"):
            make(task(4, points=(90,)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SampledSearch(task(12, seed=3), "tpe"),
        lambda: SampledSearch(task(12, seed=3), "cmaes"),
        lambda: SampledSearch(task(12, seed=3), "random", "median"),
        lambda: DEHB(task(6, seed=3)),
        lambda: BayesianGenerations(task(6, seed=3)),
    ],
)
def test_equal_questions_and_answers_make_equal_searches(make):
    first, second = (carry_out(make(), budget=12 * 90) for _ in range(2))
    assert first == second


def test_the_process_knows_what_it_saw_and_forgets_it_over_time():
    generator = np.random.default_rng(0)
    inputs = generator.uniform(size=(40, 2))
    outputs = 5 + np.sin(6 * inputs[:, 0])
    process = TimeVaryingGP.fit(inputs, np.zeros(40), outputs)
    near, deviation = process.predict(inputs, 0.0)
    assert np.abs(near - outputs).max() < 0.15
    unsure = process.predict(inputs, 30.0)[1]
    assert unsure.mean() > deviation.mean()
    believing = process.believing(np.array([0.5, 0.5]), 0.0)
    assert believing.predict(np.array([[0.5, 0.5]]), 0.0)[1] <= process.predict(np.array([[0.5, 0.5]]), 0.0)[1]
