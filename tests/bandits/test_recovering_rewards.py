"""Recovering arms: their world, plans for known curves, learners of unknown ones."""

import itertools

import numpy as np
import pytest

from headstart.bandits.periodic_plan import PeriodicPlanner, pack, upper_bound
from headstart.bandits.recovering import RecoveringBandit, simulate_recovering
from headstart.bandits.recovering_ucb import (
    EpsilonPeriodic,
    GreedyRecoveringUCB,
    Myopic,
    RecoveringUCB,
    RecoveryBlindUCB,
)
from headstart.bandits.recovery_curves import (
    check_curves,
    dirichlet_curves,
    estimate_recovery_curves,
    geometric_curves,
    step_curves,
)
from headstart.core.errors import DataError, UsageError

FAMILIES = (lambda n, d, g: dirichlet_curves(n, d, 0.15, g), step_curves, geometric_curves)
PLANNERS = [("restricted", None), ("restricted", 3), ("paper", None), ("paper", 2)]


def cycle_average(world, plan):
    """Sum over arms of their mean income over whole cycles, and the most pulls in a period, after all have begun."""
    longest, generator = int(plan.periods.max()), np.random.default_rng(0)
    idle = world.play(plan.pulls(longest), world.rested, generator).after
    pulls = plan.pulls(10 * longest, longest)
    income = world.play(pulls, idle, generator).means
    whole = [10 * longest // period * period for period in np.maximum(plan.periods, 1)]
    return sum(income[:end, arm].sum() / end for arm, end in enumerate(whole)), pulls.sum(1).max()


def best_average(curves, capacity):
    """The best long-run average by value iteration over all idle times, damped so that cycles do not keep it moving."""
    arms, longest = curves.shape
    choices = [pulled for count in range(capacity + 1) for pulled in itertools.combinations(range(arms), count)]
    values = np.zeros((longest,) * arms)
    for _ in range(400):
        before, values = values, np.full_like(values, -1.0)
        for pulled in choices:
            grid = np.indices(values.shape)
            after = tuple(np.where(i in pulled, 0, np.minimum(grid[i] + 1, longest - 1)) for i in range(arms))
            now = sum((curves[i][grid[i]] for i in pulled), np.zeros_like(values))
            values = np.maximum(values, now + before[after])
        values = (values + before) / 2
    return 2 * float((values - before).max())


def test_idle_times_are_counted_across_blocks():
    world = RecoveringBandit([[0.1, 0.2, 0.3], [0.0, 0.5, 1.0]], 2, "none")
    generator = np.random.default_rng(0)
    whole = generator.random((40, 2)) < 0.4
    at_once = world.play(whole, world.rested, generator)
    first = world.play(whole[:17], world.rested, generator)
    second = world.play(whole[17:], first.after, generator)
    assert np.array_equal(at_once.means, np.vstack([first.means, second.means]))
    assert np.array_equal(at_once.after, second.after)
    small = world.play([[1, 0], [1, 0], [0, 1], [1, 0]], [3, 2], generator)
    assert small.idle.tolist() == [[3, 0], [1, 0], [0, 3], [2, 0]]
    assert small.means[:, 0].tolist() == [0.3, 0.1, 0, 0.2]
    assert small.after.tolist() == [1, 2]


@pytest.mark.parametrize(("rounding", "resolution"), PLANNERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_schedules_keep_to_the_capacity_and_earn_the_plans_value(rounding, resolution, family):
    for capacity, seed in itertools.product((2, 5, 9), range(3)):
        curves = family(4 * capacity, 12, np.random.default_rng(seed))
        plan = PeriodicPlanner(capacity, rounding, resolution).plan(curves)
        average, most = cycle_average(RecoveringBandit(curves, capacity, "none"), plan)
        assert most <= capacity
        assert average == pytest.approx(plan.value, abs=1e-9)
        assert plan.slots.max() < capacity
        a = plan.resolution
        if rounding == "paper":  # the guarantee; the fractional arm is worth at most one pull a period
            assert plan.value >= (1 - (a - 1) / capacity) * a / (a + 1) * (plan.upper_bound - 1)
        assert plan.value <= plan.upper_bound + 1e-12


def test_any_periods_are_packed_without_gaps():
    generator = np.random.default_rng(1)
    for _ in range(50):
        odd, halvings = generator.choice([1, 3, 5]), generator.integers(0, 5, 30)
        periods = odd * 2**halvings
        offsets, slots = pack(periods)
        time = np.arange(2 * periods.max())[:, None]
        pulled = time % periods == offsets
        for slot in range(slots.max() + 1):
            assert pulled[:, slots == slot].sum(1).max() == 1
        assert slots.max() + 1 == np.ceil(np.sum(1 / periods) - 1e-9)


def test_bounds_and_plans_enclose_the_optimum():
    for seed in range(4):
        curves = dirichlet_curves(4, 4, 0.3, np.random.default_rng(seed))
        best = best_average(curves, 2)
        plan = PeriodicPlanner(2).plan(curves)
        assert 0.75 * best <= plan.value <= best + 1e-6 <= plan.upper_bound + 2e-6


def test_known_answers():
    level = np.array([[0.2], [0.9], [0.5], [0.0]]) * np.ones(6)
    plan = PeriodicPlanner(2).plan(level)
    assert plan.periods.tolist() == [0, 1, 1, 0]
    assert plan.value == plan.upper_bound == pytest.approx(1.4)
    alone = PeriodicPlanner(1).plan([[0.0, 1.0]])
    assert (alone.periods.tolist(), alone.value) == ([2], 0.5)
    rising = geometric_curves(5, 8, np.random.default_rng(0))
    assert PeriodicPlanner(9).plan(rising).periods.tolist() == [1] * 5
    nothing = PeriodicPlanner(2).plan(np.zeros((3, 4)))
    assert (nothing.periods.tolist(), nothing.value, nothing.upper_bound) == ([0] * 3, 0, 0)
    assert upper_bound(np.array([[0.3]]), 1) == pytest.approx(0.3)


def test_large_capacities_waste_little_and_more_than_restricting_does():
    curves = dirichlet_curves(240, 24, 0.15, np.random.default_rng(0))
    ours, paper = (PeriodicPlanner(40, rounding).plan(curves) for rounding in ("restricted", "paper"))
    assert ours.value / ours.upper_bound > 0.97
    assert 0.9 < paper.value / paper.upper_bound < ours.value / ours.upper_bound


def test_curves_from_a_log_enclose_the_truth():
    world = RecoveringBandit(dirichlet_curves(4, 5, 0.5, np.random.default_rng(2)), 4)
    generator = np.random.default_rng(3)
    pulls = generator.random((4000, 4)) < 0.3
    rewards = world.play(pulls, world.rested, generator).rewards
    period, arm = np.nonzero(pulls)
    found = estimate_recovery_curves(arm, period, rewards[period, arm], 5)
    assert (found.low <= world.curves).all()
    assert (world.curves <= found.high).all()
    assert np.abs(found.curves - world.curves).max() < 0.1
    assert (np.diff(found.curves) >= 0).all()
    assert found.counts.sum() == pulls.sum() - 4
    few = estimate_recovery_curves([0, 0], [0, 2], [1, 0.5], 3)
    assert few.curves.tolist() == [[0, 0.5, 0.5]]
    assert few.high.tolist() == [[1, 1, 1]]


def test_planning_for_bounds_learns_what_ignoring_recovery_cannot():
    world = RecoveringBandit(dirichlet_curves(12, 8, 0.3, np.random.default_rng(0)), 4)
    value = PeriodicPlanner(4, resolution=1).plan(world.curves).value
    lost = {}
    for kind in (RecoveringUCB, EpsilonPeriodic, GreedyRecoveringUCB, RecoveryBlindUCB):
        run = simulate_recovering(kind(4, horizon=3000), world, 3000, (0, 1), points=3)
        assert run.periods.tolist() == [1000, 2000, 3000]
        lost[kind] = run.regret(value)[:, -1].mean()
    assert lost[RecoveringUCB] < 0.5 * lost[RecoveryBlindUCB]
    known = simulate_recovering(Myopic(4, world.curves), world, 1000)
    assert known.earned[0, -1] <= 1000 * upper_bound(world.curves, 4)


def test_learners_repeat_themselves_and_count_everything():
    world = RecoveringBandit(step_curves(3, 4, np.random.default_rng(0)), 1)
    once, again = (simulate_recovering(RecoveringUCB(1, horizon=500), world, 500, (7,)) for _ in range(2))
    assert np.array_equal(once.earned, again.earned)
    learner = RecoveringUCB(1, horizon=500)
    state = learner.init(3, 4)
    state = learner.observe(state, np.array([[4, 0, 0], [1, 9, 0]]), np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert state.counts.tolist() == [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert (state.totals.sum(), state.periods) == (2, 2)
    assert learner.upper(state)[2].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ([[0.2, 0.1]], "arm 0 falls from 0.2 after 1 idle periods to 0.1 after 2"),
        ([[0.1, 0.2], [0.1, 1.5]], "arm 1 after 2 idle periods is 1.5"),
        ([[-0.1]], "within"),
        ([[float("nan")]], "within"),
        ([0.1, 0.2], "shape"),
        (np.zeros((0, 3)), "empty"),
    ],
)
def test_curves_that_cannot_be(curves, message):
    with pytest.raises(DataError, match=message):
        PeriodicPlanner(1).plan(curves)


def test_falling_curves_are_repaired_on_request():
    assert check_curves([[0.1, 0.5, 0.3]], repair=True)[0] == pytest.approx([0.1, 0.4, 0.4])


def test_input_that_cannot_work():
    for arguments in ((0,), (2, "up"), (2, "paper", 3), (2, "paper", 0)):
        with pytest.raises(UsageError):
            PeriodicPlanner(*arguments)
    world = RecoveringBandit([[0.5]], 3)
    assert world.capacity == 1
    with pytest.raises(DataError, match="2 arms are pulled"):
        RecoveringBandit([[0.5], [0.5]], 1).play([[1, 1]], [1, 1], np.random.default_rng(0))
    with pytest.raises(DataError, match="at least 1"):
        world.play([[1]], [0], np.random.default_rng(0))
    with pytest.raises(UsageError, match="allows 1"):
        simulate_recovering(RecoveringUCB(2), RecoveringBandit([[0.5], [0.5]], 1), 10)
    with pytest.raises(UsageError, match="horizon"):
        simulate_recovering(RecoveringUCB(1), world, 0)
    with pytest.raises(UsageError, match="capacity"):
        RecoveringUCB(0).init(2, 2)
    with pytest.raises(DataError, match="pulled twice in period 4"):
        estimate_recovery_curves([0, 0], [4, 4], [1, 1], 3)
    with pytest.raises(UsageError, match="confidence"):
        estimate_recovery_curves([0], [4], [1], 3, confidence=1.0)
    with pytest.raises(DataError, match="equal length"):
        estimate_recovery_curves([0], [4, 5], [1], 3)
