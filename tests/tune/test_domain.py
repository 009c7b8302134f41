"""Domains and the unit interval."""

import numpy as np
import pytest

from headstart.core.domain import Choice, Integer, Real, domain_from_json, domain_to_json
from headstart.core.errors import UsageError

DOMAINS = [
    Real(-1.0, 3.0),
    Real(1e-6, 1e-2, "log"),
    Real(0.8, 0.999, "log-complement"),
    Integer(3, 20),
    Integer(1, 1000, "log"),
    Choice(("a", True, 3, (64, 64))),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_every_value_has_its_place(domain):
    for unit in np.linspace(0, 1, 41):
        value = domain.from_unit(unit)
        assert domain.contains(value)
        assert domain.from_unit(domain.to_unit(value)) == pytest.approx(value) if isinstance(domain, Real) else True
    assert domain_from_json(domain_to_json(domain)) == domain


def test_scales_cover_what_they_say():
    assert Real(1e-6, 1e-2, "log").from_unit(0.5) == pytest.approx(1e-4)
    assert 1 - Real(0.9, 0.999, "log-complement").from_unit(0.5) == pytest.approx(1e-2)
    assert [Real(1e-6, 1e-2, "log").from_unit(end) for end in (0.0, 1.0)] == pytest.approx([1e-6, 1e-2])


def test_whole_numbers_and_choices_are_equally_likely():
    units = (np.arange(1200) + 0.5) / 1200
    assert np.unique([Integer(2, 5).from_unit(u) for u in units], return_counts=True)[1].tolist() == [300] * 4
    drawn = [Choice(("a", "b", "c")).from_unit(u) for u in units]
    assert [drawn.count(value) for value in "abc"] == [400] * 3


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Real(1.0, 1.0), "low end is not below"),
        (lambda: Real(2.0, 1.0), "low end is not below"),
        (lambda: Real(0.0, 1.0, "log"), "no logarithm"),
        (lambda: Real(0.5, 1.0, "log-complement"), "below 1"),
        (lambda: Real(0.0, float("inf")), "not finite"),
        (lambda: Real(0.0, 1.0, "cubic"), "expected linear"),
        (lambda: Integer(0, 5, "log"), "no logarithm"),
        (lambda: Choice(("a",)), "two or more"),
        (lambda: Choice(("a", "b", "a")), "each once"),
    ],
)
def test_impossible_ranges_are_refused(make, why):
    with pytest.raises(UsageError, match=why):
        make()
