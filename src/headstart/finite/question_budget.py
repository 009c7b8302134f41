"""The threshold of disagreement that spends a budget of questions, found by playing a world like the one to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteMDP
from headstart.finite.preference_learning import Annotator, PreferenceLearner, simulate_preferences
from headstart.finite.preference_queries import AskWhenUnsure


class Threshold(NamedTuple):
    """What was found."""

    rule: AskWhenUnsure
    questions: float
    """That it asked, on average over seeds."""


def threshold_for_budget(
    learner: PreferenceLearner,
    world: FiniteMDP,
    annotator: Annotator,
    rounds: int,
    budget: float,
    seeds: int | Sequence[int] = 2,
    steps: int = 8,
) -> Threshold:
    """The least threshold, to within a factor that halves with each step, at which no more than ``budget`` is asked.

    Questions are the fewer the higher the threshold, but for noise; bisection on its logarithm, between a thousandth of
    the horizon and twice the horizon.

    Args:
        learner: whose query rule is replaced.
        world: a model, or a stand-in, of the world it will learn in.
        annotator: answers there.
        rounds: how long it will learn.
        budget: questions in all those rounds.
        seeds: over which questions are averaged.
        steps: bisections; each plays all rounds once a seed.

    Raises:
        UsageError: the budget is negative, or there are no rounds, seeds or steps.
    """
    if not budget >= 0 or steps < 1:
        raise UsageError(f"budget is {budget} and steps {steps}; expected at least 0 and at least 1")
    low, high = 1e-3 * world.horizon, 2.0 * world.horizon
    found = Threshold(AskWhenUnsure(high), 0.0)  # no two rewards in [0, 1] disagree by more
    for _ in range(steps):
        rule = AskWhenUnsure((low * high) ** 0.5)
        curves = simulate_preferences(replace(learner, query=rule), world, annotator, rounds, seeds)
        asked = float(curves.asked.sum(1).mean())
        if asked <= budget:
            found, high = Threshold(rule, asked), rule.threshold
        else:
            low = rule.threshold
    return found
