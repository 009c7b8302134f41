"""Problems in data are found, named, and refused where nothing can be learned."""

import logging

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.check import check, check_for_training
from headstart.data.experience import Experience
from headstart.data.importing import import_columns

SPEC = Spec(Box.uniform((2,), -np.inf, np.inf), Box.uniform((1,), -2.0, 2.0))


def clean(rows: int = 20, **changes) -> Experience:
    generator = np.random.default_rng(0)
    chain = generator.normal(size=(rows + 1, 2))
    columns = {
        "observations": chain[:-1],
        "actions": generator.uniform(-1.9, 1.9, (rows, 1)),
        "rewards": generator.normal(size=rows),
        "next_observations": chain[1:],
        "terminations": np.arange(rows) == rows // 2,
        "truncations": np.arange(rows) == rows - 1,
    }
    return Experience(SPEC, columns | changes)


def found(data: Experience, spec: Spec | None = None, **method) -> list[str]:
    return [f"{problem.severity} {problem}" for problem in check(data, spec, **method)]


def with_value(name: str, row: int, value: float) -> Experience:
    column = clean().columns[name].copy()
    column[row] = value
    return clean(**{name: column})


def test_clean_data_has_no_problems():
    assert found(clean(), SPEC) == []
    assert check_for_training(clean(), SPEC) == []


@pytest.mark.parametrize("name", ["observations", "actions", "rewards", "next_observations"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(name, value):
    data = with_value(name, 7, value)
    count = data.columns[name][7].size
    assert f"fatal {name}: {count} numbers are NaN or infinite, first in rows 7" in found(data)
    with pytest.raises(DataError, match=rf"{name}: {count} numbers"):
        check_for_training(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (clean(rewards=np.ones(20)), "warning rewards: all 20 are 1: only when episodes end"),
        (clean(rewards=np.ones(20), terminations=np.zeros(20)), "nothing terminates: only imitation"),
        (clean(terminations=np.arange(20) % 10 < 2), "warning 3 of 5 episodes have a single step"),
        (clean(truncations=np.zeros(20)), "warning the last episode is cut after 9 steps"),
        (clean(truncations=np.zeros(20), terminations=np.zeros(20)), "warning truncations: no episode ends"),
        (clean(next_observations=np.zeros((20, 2))), "18 rows within episodes are not followed"),
        (with_value("actions", 3, 2.0), "warning actions: 1 numbers lie at (or just beyond) the bounds"),
        (with_value("actions", 3, 2.01), "warning actions: 1 numbers lie at (or just beyond) the bounds"),
        (with_value("actions", 3, 2.5), "fatal actions: 1 numbers lie outside the stated bounds, the worst at 1.25"),
    ],
)
def test_doubtful_data(data, message):
    assert any(message in problem for problem in found(data)), found(data)


def test_data_that_do_not_fit_the_world():
    wide = Spec(Box.uniform((3,), -1, 1), SPEC.action)
    assert "fatal observations: of shape [2], but the world's are [3]" in found(clean(), wide)
    two = Spec(SPEC.observation, Box.uniform((2,), -2, 2))
    assert "fatal actions: of shape [1], but the world's are [2]" in found(clean(), two)
    choices = Spec(SPEC.observation, Discrete(3))
    assert "fatal actions: continuous, but the world's are discrete" in found(clean(), choices)
    narrow = Spec(SPEC.observation, Box.uniform((1,), -1, 1))
    assert any("outside the world's bounds" in problem for problem in found(clean(), narrow))


def test_data_that_do_not_fit_the_method():
    data = Experience(Spec(SPEC.observation, Discrete(3)), {**clean().columns, "actions": np.arange(20) % 3})
    assert found(data) == []
    assert any("fatal actions: 3 discrete choices" in problem for problem in found(data, discrete=False))
    assert any("fatal actions: continuous" in problem for problem in found(clean(), continuous=False))
    fewer = Spec(SPEC.observation, Discrete(2))
    assert "fatal actions: 6 choices are not among 0 to 1" in found(data, fewer)
    with pytest.raises(DataError, match="discrete choices"):
        check_for_training(data, discrete=False)


def test_nothing_at_all_is_fatal():
    with pytest.raises(DataError, match="no transitions"):
        check_for_training(Experience.empty(SPEC, 4))


def test_warnings_are_logged_once_training_may_start(caplog):
    with caplog.at_level(logging.WARNING, "headstart"):
        problems = check_for_training(clean(rewards=np.ones(20)))
    assert [problem.column for problem in problems] == ["rewards"]
    assert "data: rewards: all 20 are 1" in caplog.text


def test_conversions_of_imported_columns_are_told():
    columns = {**clean().columns, "rewards": np.arange(20.0)[:, None], "observations": np.zeros((20, 2), np.float64)}
    problems = found(import_columns(columns))
    assert any("rewards of shape [rows, 1] flattened" in problem for problem in problems)
    assert any("observations converted from float64 to float32" in problem for problem in problems)
    assert any("taken from the data: actions within" in problem for problem in problems)
    with pytest.raises(DataError, match="observations or actions are missing"):
        import_columns({"actions": np.zeros(3)})


def test_a_large_dataset_is_checked_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.data.check._BLOCK_BYTES", 24)
    data = with_value("observations", 13, np.nan)
    data.save(tmp_path / "data")
    for subject in (data, Experience.load(tmp_path / "data")):
        problems = found(subject)
        assert "fatal observations: 2 numbers are NaN or infinite, first in rows 13" in problems
        assert any("1 rows within episodes are not followed" in problem for problem in problems)
