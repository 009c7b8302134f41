"""A budget of questions made into a threshold."""

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.mdp import FiniteMDP
from headstart.finite.preference_learning import ReturnsAnnotator
from headstart.finite.preference_posterior_sampling import PreferencePosteriorSampling
from headstart.finite.preferences import Logistic
from headstart.finite.question_budget import threshold_for_budget

LINK = Logistic(4.0)
WORLD = FiniteMDP.of(np.full((2, 2, 2), 0.5), np.array([[0.0, 1.0], [1.0, 0.0]]), 2)


def found(budget: float, steps: int = 5):
    learner, annotator = PreferencePosteriorSampling(link=LINK), ReturnsAnnotator(WORLD, LINK)
    return threshold_for_budget(learner, WORLD, annotator, 60, budget, seeds=1, steps=steps)


def test_thresholds_keep_to_their_budgets_and_small_ones_are_higher():
    small, large = found(8), found(30)
    assert small.questions <= 8
    assert small.questions < large.questions <= 30
    assert small.rule.threshold > large.rule.threshold


def test_budgets_below_zero_are_refused():
    with pytest.raises(UsageError, match="budget is -1"):
        found(-1)
