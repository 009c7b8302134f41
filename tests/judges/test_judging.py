"""Rows of every kind are judged, what was answered is kept, and two systems are compared by prompt."""

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.judges.comparing import compare_rows
from headstart.judges.judge import JudgeError
from headstart.judges.judging import Judging, judge_rows, reasons_in_words
from headstart.judges.pointwise import Pointwise

QUIET = Judging(batch_size=3, attempts=2, show_progress=False)


class Long:
    """Scores by length, fails on "bad", and counts."""

    def __init__(self):
        self.asked = []

    def score(self, prompts, completions, columns=None):
        if "bad" in completions:
            raise ValueError("cannot read")
        self.asked += completions
        return [float(len(text)) for text in completions]


class Longer:
    """Prefers the longer."""

    def prefer(self, prompts, first, second, columns=None):
        return [0.5 + 0.5 * ((len(a) > len(b)) - (len(a) < len(b))) for a, b in zip(first, second)]


def completions(*texts):
    return [{"prompt": f"p{i}", "completion": text} for i, text in enumerate(texts)]


def test_completions_groups_and_pairs() -> None:
    judged = judge_rows(Long(), completions("a", "bb"), judging=QUIET)
    assert [row["reward"] for row in judged.rows] == [1, 2]
    assert (judged.answers, judged.lengths, judged.asked, judged.failures) == ([1, 2], [1, 2], 2, {})
    groups = [{"prompt": "p", "completions": ["a", "bb"]}, {"prompt": "q", "completions": ["ccc", "", "d"]}]
    assert [row["rewards"] for row in judge_rows(Long(), groups, judging=QUIET).rows] == [[1, 2], [3, 0, 1]]
    pairs = [{"prompt": "p", "chosen": "aa", "rejected": "b"}]
    row = judge_rows(Long(), pairs, judging=QUIET).rows[0]
    assert (row["chosen_reward"], row["rejected_reward"]) == (2, 1)
    assert judge_rows(Longer(), pairs, judging=QUIET).rows[0]["preference_prob"] == 1.0
    with pytest.raises(UsageError, match="compares two completions"):
        judge_rows(Longer(), completions("a"))
    with pytest.raises(DataError, match="expected prompt with completion"):
        judge_rows(Long(), [{"prompt": "p"}])


def test_failures_are_listed_and_the_rest_is_judged() -> None:
    judged = judge_rows(Long(), completions("a", "bad", "ccc", "dd", "bad"), judging=QUIET)
    assert [row["reward"] for row in judged.rows] == [1, None, 3, 2, None]
    assert judged.failures == {"ValueError: cannot read": [1, 4]}
    assert reasons_in_words(judged.failures) == ["2 not judged (rows 1, 4): ValueError: cannot read"]


def test_what_was_answered_is_not_asked_again(tmp_path) -> None:
    journal = tmp_path / "answers"
    rows = completions("a", "bb", "bad", "dddd")
    judge_rows(Long(), rows, journal, "long", QUIET)
    with journal.open("a") as file:
        file.write('{"key": "cut off by a ki')
    judge = Long()
    again = judge_rows(judge, [*rows, {"prompt": "new", "completion": "ee"}], journal, "long", QUIET)
    assert again.answers == [1, 2, 4, 2]
    assert judge.asked == ["ee"]
    assert again.failures == {"ValueError: cannot read": [2]}, "what failed is asked again"
    judge_rows(judge, rows[:1], journal, "another", QUIET)
    assert judge.asked == ["ee", "a"]


def test_answers_are_compared_by_prompt_whatever_their_order() -> None:
    first = [*completions("aaa", "b", "cc"), {"prompt": "x", "completion": "only here"}]
    second = completions("a", "bb", "dd")[::-1]
    for judge in (Long(), Longer()):
        found = compare_rows(judge, first, second, judging=QUIET)
        assert (found.wins, found.ties, found.losses) == (1, 1, 1)
        assert found.win_rate.estimate == 0.5
        assert (found.prompts, found.unmatched) == (3, (1, 0))
        assert found.lengths == (2.0, pytest.approx(5 / 3))
        assert [row["preference"] for row in found.rows] == [1.0, 0.0, 0.5]
    several = compare_rows(
        Longer(), [{"prompt": "p", "completions": ["aa", "b"]}], [{"prompt": "p", "completions": ["a", "bb", "c"]}]
    )
    assert [row["preference"] for row in several.rows] == [1.0, 0.0]
    assert several.prompts == 1


def test_comparisons_that_fail() -> None:
    found = compare_rows(Long(), completions("aaa", "bad"), completions("a", "b"), judging=QUIET)
    assert (found.wins, found.prompts, found.failures) == (1, 1, {"ValueError: cannot read": [1]})
    with pytest.raises(JudgeError, match="answered none of 1 rows: ValueError: cannot read"):
        compare_rows(Long(), completions("bad"), completions("b"), judging=QUIET)
    with pytest.raises(DataError, match="none is in both"):
        compare_rows(Long(), completions("a"), [{"prompt": "other", "completion": "b"}])


def test_a_judge_that_compares_scores_against_a_baseline() -> None:
    class Leaning:
        def prefer(self, prompts, first, second, columns=None):
            return [0.9 if one == "good" else 0.3 for one in first]

    scores = Pointwise(Leaning()).score(["p"] * 2, ["good", "bad"], {"baseline": ["plain", "plain"]})
    assert scores == pytest.approx([np.log(0.8 / 0.2), 0.0]), "averaged over both orders"
    assert Pointwise(Longer()).score(["p"], ["aa"], {"baseline": ["a"]}) == pytest.approx([13.8], abs=0.1)
