"""Scores by the other completions of a prompt: comparisons with them, and agreement among them."""

import math

import pytest

from headstart.core.errors import UsageError
from headstart.judges.group_judges import AgainstOthers, Majority
from headstart.judges.judge import Judge, checked_scores
from headstart.judges.registry import make_judge

PROMPTS = ["p", "q", "p", "p", "q", "r"]
TEXTS = ["a", "bb", "ccc", "dd", "b", "alone"]


class Longer:
    """Prefers the longer one, and whatever is shown first."""

    asked = 0

    def prefer(self, prompts, first, second, columns=None):
        Longer.asked += len(first)
        return [0.1 + 0.8 / (1 + math.exp(len(b) - len(a))) for a, b in zip(first, second, strict=True)]


class Silent(Longer):
    def prefer(self, prompts, first, second, columns=None):
        return [math.nan if "q" in prompts else 0.5 for _ in first]


def test_wins_are_mean_preferences_over_the_prompts_other_completions():
    Longer.asked = 0
    scores = AgainstOthers(Longer()).score(PROMPTS, TEXTS)
    assert Longer.asked == 2 * (3 + 1)  # each pair once, in both orders
    assert scores[2] > scores[3] > scores[0]
    assert scores[0] + scores[2] + scores[3] == pytest.approx(1.5)
    assert scores[1] + scores[4] == pytest.approx(1.0)
    assert math.isnan(scores[5])
    assert "no other completion" in scores.reasons[5]


def test_odds_are_against_the_first_completion_or_a_baseline_of_the_rows():
    scores = AgainstOthers(Longer(), "odds").score(PROMPTS, TEXTS)
    assert scores[0] == scores[1] == 0.0
    p = 0.1 + 0.8 / (1 + math.exp(-2))
    backward = 0.1 + 0.8 / (1 + math.exp(2))
    mean = (p + 1 - backward) / 2
    assert scores[2] == pytest.approx(math.log(mean / (1 - mean)))
    given = AgainstOthers(Longer(), "odds").score(PROMPTS, TEXTS, {"baseline": ["xx"] * 6})
    assert given[1] == given[3] == 0.0
    assert given[5] > 0 > given[0]


def test_a_judge_without_answers_sets_its_rows_aside():
    found = checked_scores(AgainstOthers(Silent()), ["p", "p"], ["a", "b"])
    assert found == [0.5, 0.5]
    mute = checked_scores(AgainstOthers(Silent()), ["q", "q"], ["a", "b"])
    assert mute == [None, None]
    assert "no comparison" in mute.reasons[0]


def test_a_majority_counts_equal_answers_and_those_without_one_stand_alone():
    texts = ["so 3", "it is 3", "4", "none", "none", "answer: 3 no, 4"]
    assert Majority(r"\d").score(["p"] * 6, texts) == [2, 2, 2, 1, 1, 2]
    assert Majority(r"(\d)$").score(["p"] * 6, texts) == [2, 2, 2, 1, 1, 2]
    assert Majority().score(["p", "p", "q"], ["x ", "x", "x"]) == [2, 2, 1]
    with pytest.raises(UsageError, match="regular expression"):
        Majority("(")


def test_they_are_made_from_text():
    assert isinstance(make_judge("majority"), Majority)
    assert vars(make_judge(r"majority:\d"))["pattern"].pattern == r"\d"
    made = make_judge("odds:tests.judges.test_group_judges:Longer")
    assert isinstance(made, Judge)
    assert vars(made)["kind"] == "odds"
    with pytest.raises(UsageError, match="needs a judge that compares"):
        make_judge("wins:exact:answer")


@pytest.mark.parametrize(
    ("text", "says"), [("exakt", "did you mean exact"), ("exacto:1", "exact:COLUMN"), ("numeric", "numeric:COLUMN")]
)
def test_a_judge_that_nothing_is_called_is_told_the_forms_there_are(text, says):
    with pytest.raises(UsageError, match=says):
        make_judge(text)
