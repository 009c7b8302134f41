"""Recorded sessions of short lists, as systems log them: checked, and thinned to what the cascade model can be."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.core.errors import DataError
from headstart.finite.best_permutation import NOTHING
from headstart.finite.cascading import CascadingSpec
from headstart.finite.cascading_counts import Counts, counts_of_log

Clicks = int | None | Sequence[int]
"""The place in its list of a session's click, from 0; None or ``NOTHING`` without one; several places where the user
clicked on."""


def counts_of_sessions(
    spec: CascadingSpec,
    observations: Sequence[int],
    lists: Sequence[Sequence[int]],
    clicks: Sequence[Clicks],
    next_observations: Sequence[int],
    allow_multi_click: bool = False,
) -> Counts:
    """The counts of recorded sessions, as ``cascading_counts.counts_of_log`` takes them up.

    In the cascade model a user is gone after the first click. Sessions with several do not follow it: what stands below
    the first click was looked at too, and is more attractive than the model will believe.

    Args:
        spec: sizes of the world.
        observations: the state of each session.
        lists: the items shown in it, in order.
        clicks: what was clicked in it.
        next_observations: the state after it.
        allow_multi_click: take the first of several clicks and warn of how many sessions had them; they are refused
            otherwise.

    Raises:
        DataError: a session has several clicks and that is not allowed; or a number is no whole one; or as for
            ``counts_of_log``. The message names the first such session.
    """
    places = [_places(session, given) for session, given in enumerate(clicks)]
    several = [session for session, given in enumerate(places) if len(given) > 1]
    if several and not allow_multi_click:
        raise DataError(
            f"session {several[0]} has {len(places[several[0]])} clicks, at the places {places[several[0]]} "
            f"({len(several)} of {len(places)} sessions have several); in the cascade model a user is gone after the "
            "first. allow_multi_click=True takes the first of each and leaves the rest out"
        )
    if several:
        warnings.warn(
            f"{len(several)} of {len(places)} sessions have several clicks; the first of each is taken. Items that "
            "stand low in lists are then underrated, and regret bounds of the cascade model do not apply",
            stacklevel=2,
        )
    states = [whole(value, f"session {session}: the state") for session, value in enumerate(observations)]
    following = [whole(value, f"session {session}: the next state") for session, value in enumerate(next_observations)]
    shown = [[whole(item, f"session {session}: an item") for item in listed] for session, listed in enumerate(lists)]
    return counts_of_log(spec, states, shown, [min(given, default=NOTHING) for given in places], following)


def whole(value: Any, name: str) -> int:
    """A whole number as it is.

    Raises:
        DataError: it is none.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise DataError(f"{name} is {value!r}; expected one whole number, counted from 0") from error


def _places(session: int, given: Clicks) -> list[int]:
    if given is None:
        return []
    if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str):
        return [whole(place, f"session {session}: a click") for place in given]
    place = whole(given, f"session {session}: the click")
    return [] if place == NOTHING else [place]
