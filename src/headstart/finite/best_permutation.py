"""The best ordered short list to show a user who clicks the first item that attracts, found without trying every list.

The user looks at the items one by one. Item ``a`` is clicked with probability ``attraction[a]``, which is worth
``weight[a]``; otherwise the user looks on. A user who has clicked nothing is worth ``weight_none``:

    value(a_1 … a_l) = sum_i prod_{j<i} (1 - attraction[a_j]) attraction[a_i] weight[a_i]
                       + prod_j (1 - attraction[a_j]) weight_none

For any set of items the best order is by falling weight, and items that weigh no more than ``weight_none`` never help
(Du, Srikant and Chen 2024, arXiv 2401.08961, section 4). All functions take NumPy arrays, and JAX arrays inside
``jax.jit``; leading axes are independent problems.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import UsageError
from headstart.finite.mdp import Numbers

NOTHING = -1
"""Fills a list that is shorter than it might be."""


class Permutation(NamedTuple):
    """A list of items, and what it is worth."""

    value: Any
    """``[...]``."""
    items: Any
    """``[..., list_size]`` integers: items in the order shown, then ``NOTHING``."""


def best_permutation(
    attraction: Float[Numbers, "... items"],
    weight: Float[Numbers, "... items"],
    weight_none: Float[Numbers, "..."],
    list_size: int,
) -> Permutation:
    """The ordered list of one to ``list_size`` distinct items with the largest value (the paper's BestPerm).

    Takes ``O(items log items + items list_size)`` operations. With items sorted by falling weight, ``best[k][i]``, the
    value of at most ``k`` of the items ``i, i + 1, …``, is the larger of two: leaving out item ``i``, which is worth
    ``best[k][i + 1]``, and showing it, ``attraction weight + (1 - attraction) best[k - 1][i + 1]``. For one ``k`` after
    another that is a running maximum from the right.

    Args:
        attraction: probability of a click on an item that is looked at.
        weight: what a click on it is worth.
        weight_none: what no click at all is worth.
        list_size: most items in a list; of fewer items, all may be shown.

    Returns:
        The best list, of one item at least, and of as many as are worth more than no click; of equal items the earlier.

    Raises:
        UsageError: there are no items, or lists are to be empty.
    """
    _check(attraction, list_size)
    xp = _namespace(attraction, weight)
    count = attraction.shape[-1]
    none = xp.asarray(weight_none)[..., None]
    order = xp.argsort(-weight, axis=-1, stable=True)
    click = xp.take_along_axis(attraction, order, axis=-1)
    worth = xp.take_along_axis(weight, order, axis=-1)
    helps = worth > none

    best = none + xp.zeros_like(worth)  # of the items to the right of each one
    showing = []
    for _ in range(min(list_size, count)):
        showing.insert(0, xp.where(helps, click * worth + (1 - click) * best, -xp.inf))
        from_here = xp.maximum(none, _maximum_from_the_right(showing[0]))
        best = xp.concatenate([from_here[..., 1:], none + xp.zeros_like(none)], axis=-1)

    positions, first, places = xp.arange(count), xp.zeros_like(order[..., :1]), []
    for value in showing:
        ahead = xp.where(positions >= first, value, -xp.inf)
        place = ahead.argmax(-1)[..., None]
        gains = xp.take_along_axis(ahead, place, axis=-1) > none
        places.append(xp.where(gains, place, count))
        first = places[-1] + 1

    alone = click * worth + (1 - click) * none  # where nothing helps, the item that does least harm
    least_harm = alone.argmax(-1)[..., None]
    nothing_helps = places[0] == count
    places[0] = xp.where(nothing_helps, least_harm, places[0])
    value = xp.where(nothing_helps, alone.max(-1, keepdims=True), showing[0].max(-1, keepdims=True))[..., 0]

    places = xp.concatenate(places, axis=-1)
    items = xp.take_along_axis(order, xp.minimum(places, count - 1), axis=-1)
    items = xp.where(places < count, items, NOTHING)
    short = xp.full((*items.shape[:-1], list_size - items.shape[-1]), NOTHING, items.dtype)
    return Permutation(value, xp.concatenate([items, short], axis=-1))


def exhaustive_search(
    attraction: Float[Numbers, "... items"],
    weight: Float[Numbers, "... items"],
    weight_none: Float[Numbers, "..."],
    list_size: int,
) -> Permutation:
    """What ``best_permutation`` returns, by trying every list; of equal lists the first of ``every_list``."""
    _check(attraction, list_size)
    xp = _namespace(attraction, weight)
    lists = every_list(attraction.shape[-1], list_size)
    shown = np.maximum(lists, 0)
    click = xp.where(lists == NOTHING, 0.0, attraction[..., shown])
    values = list_value(click, weight[..., shown], xp.asarray(weight_none)[..., None])
    return Permutation(values.max(-1), xp.asarray(lists)[values.argmax(-1)])


def list_value(
    attraction: Float[Numbers, "... list"], weight: Float[Numbers, "... list"], weight_none: Float[Numbers, "..."]
) -> Float[Numbers, "..."]:
    """The value of lists, given the attraction and weight at each place of them; an empty place has attraction 0."""
    value = weight_none
    for place in reversed(range(attraction.shape[-1])):
        click = attraction[..., place]
        value = click * weight[..., place] + (1 - click) * value
    return value


@lru_cache(maxsize=16)
def every_list(items: int, list_size: int) -> Int[np.ndarray, "lists list_size"]:
    """All ordered lists of one to ``list_size`` distinct items, longer ones first, filled up with ``NOTHING``."""
    lists = [
        shown + (NOTHING,) * (list_size - length)
        for length in range(min(items, list_size), 0, -1)
        for shown in itertools.permutations(range(items), length)
    ]
    return np.array(lists)


def _check(attraction: Numbers, list_size: int) -> None:
    if list_size < 1 or not attraction.shape[-1]:
        raise UsageError(f"a list of {list_size} of {attraction.shape[-1]} items: both need to be at least 1")


def _maximum_from_the_right(values: Numbers) -> Numbers:
    if isinstance(values, jax.Array):
        return jax.lax.cummax(values, axis=values.ndim - 1, reverse=True)
    return np.maximum.accumulate(values[..., ::-1], axis=-1)[..., ::-1]


def _namespace(*arrays: Any) -> ModuleType:
    """jax.numpy if one of the arrays is JAX's, else numpy."""
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np
