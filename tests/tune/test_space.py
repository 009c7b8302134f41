"""Search spaces from the fields of methods."""

from dataclasses import dataclass, field

import pytest

from headstart.control.iql import IQL
from headstart.control.ppo import PPO
from headstart.core.domain import Choice, Integer, Real
from headstart.core.errors import UsageError
from headstart.tune.space import Space, space_of
from headstart.tune.standard_ranges import STANDARD_RANGES


@dataclass(frozen=True, kw_only=True)
class Own(IQL):
    """A method of a user's, whose fields say what they are searched over."""

    temperature: float = field(default=3.0, metadata={"search": Real(1.0, 5.0)})
    learning_rate: float = field(default=3e-4, metadata={"search": None})
    depth: int = field(default=2, metadata={"search": Integer(1, 4)})


def test_fields_say_their_ranges_and_a_table_says_the_rest():
    domains = space_of(Own()).domains
    assert domains["temperature"] == Real(1.0, 5.0)
    assert domains["depth"] == Integer(1, 4)
    assert "learning_rate" not in domains
    assert domains["discount"] == STANDARD_RANGES["discount"]
    assert "batch_size" in domains
    assert "batch_size" not in space_of(PPO()).domains


def test_asked_fields_alone_are_searched():
    asked = [
        "expectile",
        "learning-rate=1e-5:1e-3:log",
        "critics=2,5,10",
        "hidden=64x64,256x256",
        "layer_norm=true,false",
    ]
    assert space_of(IQL, asked).domains == {
        "expectile": STANDARD_RANGES["expectile"],
        "learning_rate": Real(1e-5, 1e-3, "log"),
        "critics": Choice((2, 5, 10)),
        "hidden": Choice(((64, 64), (256, 256))),
        "layer_norm": Choice((True, False)),
    }


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("expectil", "did you mean expectile"),
        ("critics", "no range is known"),
        ("expectile=0.9:0.5", "low end is not below"),
        ("learning_rate=0:1e-2:log", "no logarithm"),
        ("learning_rate=0.1:0.2:log:log", "LOW:HIGH"),
        ("expectile=a:b", "not a value"),
        ("critics=1.5:3", "not a value"),
        ("layer_norm=0:1", "list its values"),
        ("expectile=0.5", "two or more"),
    ],
)
def test_entries_that_cannot_work_are_refused(entry, why):
    with pytest.raises(UsageError, match=why):
        space_of(IQL(), [entry])


def test_a_space_goes_through_json_and_needs_something_to_search():
    space = space_of(IQL(), ["hidden=64x64,256x256", "expectile"])
    assert Space.from_json(space.to_json()) == space
    with pytest.raises(UsageError, match="empty"):
        Space({})


def test_values_outside_are_moved_in():
    space = Space({"x": Real(0.1, 1.0), "kind": Choice(("a", "b"))})
    assert space.clipped({"x": 0, "kind": "c"}) == {"x": 0.1, "kind": "a"}
