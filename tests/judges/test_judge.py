"""One bad batch, or a judge that raises, hangs or answers too little, never ends a run."""

import time

from headstart.judges.judge import Forgiving, Judge, PairJudge, checked_preferences, checked_scores


class Scripted:
    """Scores by length; does what ``fault`` says first."""

    def __init__(self, fault=lambda calls, completions: None):
        self.fault, self.calls = fault, 0

    def score(self, prompts, completions, columns=None):
        self.calls += 1
        replaced = self.fault(self.calls, completions)
        return [float(len(text)) for text in completions] if replaced is None else replaced


PROMPTS, COMPLETIONS = ["p"] * 4, ["a", "bb", "ccc", "dddd"]


def test_what_is_a_judge() -> None:
    assert isinstance(Scripted(), Judge)
    assert not isinstance(Scripted(), PairJudge)


def test_a_batch_that_fails_once_is_asked_again() -> None:
    judge = Scripted(lambda calls, completions: 1 / 0 if calls == 1 else None)
    assert checked_scores(judge, PROMPTS, COMPLETIONS) == [1, 2, 3, 4]
    assert judge.calls == 2


def test_only_the_rows_that_fail_are_set_aside_with_their_reasons() -> None:
    def fault(calls, completions):
        if "bb" in completions:
            raise ValueError("no b")

    found = checked_scores(Scripted(fault), PROMPTS, COMPLETIONS)
    assert found == [1, None, 3, 4]
    assert found.reasons == {1: "ValueError: no b"}


def test_wrong_lengths_and_numbers_that_are_none() -> None:
    found = checked_scores(Scripted(lambda calls, completions: [1.0]), PROMPTS, COMPLETIONS)
    assert found == [1.0] * 4, "one answer is right for one row"
    found = checked_scores(Scripted(lambda calls, completions: []), PROMPTS, COMPLETIONS)
    assert found == [None] * 4
    assert found.reasons[0] == "the judge gave 0 answers for 1 rows"
    found = checked_scores(Scripted(lambda c, t: [1.0, float("nan"), None, float("inf")]), PROMPTS, COMPLETIONS)
    assert found == [1.0, None, None, None]
    assert "nan" in found.reasons[1]
    assert "inf" in found.reasons[3]


def test_a_judge_that_hangs_is_given_up() -> None:
    judge = Scripted(lambda calls, completions: time.sleep(5))
    found = checked_scores(judge, PROMPTS, COMPLETIONS, attempts=2, timeout=0.02)
    assert found == [None] * 4
    assert "took over 0.02 s" in found.reasons[0]
    assert "not asked" in found.reasons[3]
    assert judge.calls == 4, "two batches, then two rows"


def test_columns_follow_their_rows() -> None:
    class Answers:
        def score(self, prompts, completions, columns=None):
            if len(completions) > 1:
                raise RuntimeError
            return [float(columns["answer"][0])]

    assert checked_scores(Answers(), PROMPTS, COMPLETIONS, {"answer": [5, 6, 7, 8]}) == [5, 6, 7, 8]


def test_preferences_are_probabilities() -> None:
    class Pairs:
        def prefer(self, prompts, first, second, columns=None):
            return [0.25, 1.5]

    assert checked_preferences(Pairs(), ["p"] * 2, ["a"] * 2, ["b"] * 2) == [0.25, None]


def test_failures_of_a_pairwise_judge_need_not_be_errors() -> None:
    class Pairs:
        def prefer(self, prompts, first, second, columns=None):
            if "x" in first:
                raise RuntimeError("cannot")
            return [1.0] * len(first)

    found = Forgiving(Pairs()).prefer(["p"] * 2, ["x", "a"], ["b", "b"])
    assert str(found[0]) == "nan"
    assert found[1] == 1.0
    assert found.reasons == {0: "RuntimeError: cannot"}
