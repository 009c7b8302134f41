"""The best list is what exhaustive search finds, on every instance; limiting cases; compiled and batched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.finite.best_permutation import (
    NOTHING,
    best_permutation,
    every_list,
    exhaustive_search,
    list_value,
)


def random_instances(generator, count, items):
    """Instances with ties, certain and impossible clicks, and items that are worth less than no click."""
    attraction = generator.random((count, items))
    weight, none = generator.uniform(0, 2, (count, items)), generator.uniform(0, 2, count)
    coarse = generator.random(count) < 0.5
    attraction[coarse] = generator.choice([0.0, 0.25, 0.5, 1.0], (coarse.sum(), items))
    weight[coarse] = generator.choice([0.0, 0.5, 1.0, 2.0], (coarse.sum(), items))
    none[coarse] = generator.choice([0.0, 0.5, 1.0], coarse.sum())
    return attraction, weight, none


def value_of(items, attraction, weight, none):
    shown = np.maximum(items, 0)
    click = np.where(items == NOTHING, 0, np.take_along_axis(attraction, shown, -1))
    return list_value(click, np.take_along_axis(weight, shown, -1), none)


def test_equals_exhaustive_search_on_ten_thousand_instances():
    generator, tried = np.random.default_rng(0), 0
    for items in range(1, 7):
        for list_size in range(1, items + 1):
            instance = random_instances(generator, 480, items)
            ours, theirs = best_permutation(*instance, list_size), exhaustive_search(*instance, list_size)
            np.testing.assert_allclose(ours.value, theirs.value, rtol=0, atol=1e-12)
            np.testing.assert_allclose(value_of(ours.items, *instance), theirs.value, rtol=0, atol=1e-12)
            for shown in ours.items:
                real = shown[shown != NOTHING]
                assert len(real) == len(set(real)) >= 1
                assert (shown[len(real) :] == NOTHING).all()
            tried += len(ours.value)
    assert tried >= 10_000


def test_list_value_is_the_expectation_over_clicks():
    generator = np.random.default_rng(1)
    attraction, weight, none = np.array([0.3, 0.0, 0.7]), np.array([1.0, 5.0, 0.4]), 0.2
    clicks = generator.random((400_000, 3)) < attraction
    first = np.where(clicks.any(1), clicks.argmax(1), 3)
    assert list_value(attraction, weight, none) == pytest.approx(np.append(weight, none)[first].mean(), abs=3e-3)


def test_equal_weights_put_the_most_attractive_items_on_the_list():
    best = best_permutation(np.array([0.2, 0.9, 0.1, 0.5]), np.ones(4), np.array(0.0), 2)
    assert set(best.items) == {1, 3}
    assert best.value == pytest.approx(1 - 0.1 * 0.5)


def test_certain_clicks_leave_only_the_first_item_to_matter():
    best = best_permutation(np.ones(4), np.array([0.3, 0.8, 0.5, 0.1]), np.array(0.0), 3)
    assert best.items[0] == 1
    assert best.value == pytest.approx(0.8)


def test_one_item_is_shown_even_if_all_do_harm():
    best = best_permutation(np.array([0.9, 0.1]), np.array([0.2, 0.1]), np.array(0.5), 2)
    assert best.items.tolist() == [1, NOTHING]
    assert best.value == pytest.approx(0.1 * 0.1 + 0.9 * 0.5)


def test_lists_longer_than_the_items_are_filled_up():
    best = best_permutation(np.array([0.5, 0.5]), np.array([1.0, 2.0]), np.array(0.0), 4)
    assert best.items.tolist() == [1, 0, NOTHING, NOTHING]


def test_compiled_it_finds_the_same_lists():
    attraction, weight, none = (a.astype(np.float32) for a in random_instances(np.random.default_rng(2), 200, 6))
    plain = best_permutation(attraction, weight, none, 3)
    compiled = jax.jit(best_permutation, static_argnums=3)(*map(jnp.asarray, (attraction, weight, none)), 3)
    np.testing.assert_allclose(plain.value, compiled.value, atol=1e-6)
    np.testing.assert_allclose(value_of(np.asarray(compiled.items), attraction, weight, none), plain.value, atol=1e-6)
    searched = jax.jit(exhaustive_search, static_argnums=3)(*map(jnp.asarray, (attraction, weight, none)), 3)
    np.testing.assert_allclose(searched.value, plain.value, atol=1e-6)


def test_every_list_is_counted_once():
    lists = every_list(5, 3)
    assert len(lists) == 5 + 5 * 4 + 5 * 4 * 3 == len({tuple(shown) for shown in lists})


@pytest.mark.parametrize(("items", "list_size"), [(3, 0), (0, 2)])
def test_empty_problems_are_refused(items, list_size):
    with pytest.raises(UsageError, match="at least 1"):
        best_permutation(np.zeros(items), np.zeros(items), np.array(0.0), list_size)
