from headstart.envs.text.sums import Sums


def test_answers_are_right_and_no_question_comes_twice():
    rows = Sums().rows(361, seed=4)
    assert len({row["prompt"] for row in rows}) == 361
    for row in rows:
        first, second = row["prompt"].splitlines()[-1].removesuffix(" =").split(" + ")
        assert int(first) + int(second) == int(row["answer"])
        assert row["prompt"].splitlines()[:2] == ["22 + 5 = 27", "31 + 9 = 40"]
    assert Sums().rows(100, seed=4) == rows[:100]
