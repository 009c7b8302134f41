"""Functions of many shapes are judges; verifiers find the answer that is meant."""

import sys

import pytest

from headstart.core.errors import UsageError
from headstart.judges.functions import FunctionJudge, as_judge, function_judge
from headstart.judges.judge import checked_scores
from headstart.judges.registry import make_judge
from headstart.judges.verifiers import Exact, Numeric, Regex, last_number, marked_answer

COLUMNS = {"answer": ["1", "2"], "topic": ["a", "b"]}


def lengths(completions, **columns):
    assert list(columns) in (["prompts"], ["prompts", "answer", "topic"])
    return [len(text) for text in completions]


def one_row(prompt, completion, answer):
    return float(completion == prompt + answer)


def with_columns(completion, columns, scale=2.0):
    return scale * float(completion == columns["answer"])


class Own:
    def prefer(self, prompts, first, second, columns=None):
        return [0.5] * len(first)


def test_parameters_are_filled_by_name() -> None:
    prompts, completions = ["p", "q"], ["p1", "2"]
    assert FunctionJudge(lengths).score(prompts, completions, COLUMNS) == [2, 1]
    assert FunctionJudge(one_row).score(prompts, completions, COLUMNS) == [1.0, 0.0]
    assert FunctionJudge(with_columns).score(prompts, completions, COLUMNS) == [0.0, 2.0]


def test_functions_that_are_no_judges_and_missing_columns() -> None:
    with pytest.raises(UsageError, match="takes prompt; a judge takes either completions"):
        FunctionJudge(lambda prompt: 1.0)
    with pytest.raises(UsageError, match="unknown column 'answer'; did you mean answers"):
        checked_scores(FunctionJudge(one_row), ["p"], ["c"], {"answers": ["1"]})


def test_judges_by_module_and_name() -> None:
    assert function_judge("tests.judges.test_functions:lengths").score(["p"], ["abc"]) == [3]
    assert function_judge("tests.judges.test_functions:Own").prefer(["p"], ["a"], ["b"]) == [0.5]
    with pytest.raises(UsageError, match="is a dict; expected a function"):
        function_judge("tests.judges.test_functions:COLUMNS")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("no digits", None),
        ("it is 42.", 42.0),
        ("1,234,567 km", 1234567.0),
        ("10-3", 3.0),
        ("x = -5", -5.0),
        ("−7", -7.0),
        ("3/4", 0.75),
        ("\\frac{3}{4}", 0.75),
        ("1/0", None),
        ("$.50 or 1e3", 1000.0),
        ("of 1, 2, 3", 3.0),
    ],
)
def test_the_last_number(text, number) -> None:
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("first \\boxed{1}, then \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
        ("48 / 2 = 24\n#### 18\n", "18"),
        ("The answer is **7**. It took 3 days.", "7"),
        ("Answer: Paris.", "Paris"),
        ("<answer>\n5\n</answer>", "5"),
        ("The answer is 3. No: #### 4", "4"),
        ("nothing is marked", None),
    ],
)
def test_the_marked_answer(text, answer) -> None:
    assert marked_answer(text) == answer


def test_verifiers() -> None:
    prompts = ["p"] * 3
    columns = {"answer": ["Paris", "rome", "#### 5"]}
    assert Exact("answer").score(prompts, ["Answer: Paris.", " Rome ", "5"], columns) == [1.0, 0.0, 1.0]
    assert Exact("answer", ignore_case=True).score(prompts, ["paris", " Rome ", "6"], columns) == [1.0, 1.0, 0.0]
    said = [{"role": "assistant", "content": "so #### 1,000"}]
    numbers = {"answer": [1000, 0.5, "x #### 3"]}
    assert Numeric("answer").score(prompts, [said, "it is 1/2", "4 then 2"], numbers) == [1.0, 1.0, 0.0]
    assert Numeric("answer", relative=0.1).score(["p"], ["1050"], {"answer": [1000]}) == [1.0]
    assert Regex(r"^yes\b").score(prompts, ["yes", "no yes", "yes!"]) == [1.0, 0.0, 1.0]
    with pytest.raises(UsageError, match="not a regular expression"):
        Regex("(")
    with pytest.raises(UsageError, match="holds 'none', in which there is no number"):
        Numeric("answer").score(["p"], ["1"], {"answer": ["none"]})
    with pytest.raises(UsageError, match="unknown column 'answr'; did you mean answer"):
        Exact("answr").score(["p"], ["1"], {"answer": ["1"]})


def test_an_object_or_a_function_is_a_judge_and_anything_else_is_refused() -> None:
    own = Own()
    assert as_judge(own) is own
    assert as_judge(lengths).score(["p"], ["abc"]) == [3]
    for wrong, told in ((7, "judge is a int; expected a function, or an object with score"), (Own, "give an object")):
        with pytest.raises(UsageError, match=told):
            as_judge(wrong)


def test_a_module_in_the_working_directory_is_found(tmp_path, monkeypatch) -> None:
    (tmp_path / "judge_beside_me.py").write_text("def ln(completion):\n    return len(completion)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [place for place in sys.path if place])
    assert make_judge("judge_beside_me:ln").score(["p"], ["abc"]) == [3]
