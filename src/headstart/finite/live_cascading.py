"""A learner of short lists at work on a system of the user's own: one session at a time, every report checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.finite.best_permutation import NOTHING
from headstart.finite.cascading import CascadingSpec
from headstart.finite.cascading_counts import Counts, counts_of_log
from headstart.finite.cascading_sessions import whole
from headstart.finite.cascading_vi import CascadingLearner


class LiveCascading:
    """Recommends lists, and learns from what was clicked; a new plan begins with each episode.

    Args:
        learner: such as ``CascadingVI``.
        spec: sizes of the world.
        reward: what a click earns, ``[states, items]``, in [0, 1].
        counts: what earlier sessions have shown (``cascading_counts.counts_of_log``); nothing when None.

    Raises:
        DataError: the rewards have another shape, or lie outside [0, 1].
    """

    def __init__(self, learner: CascadingLearner, spec: CascadingSpec, reward: ArrayLike, counts: Counts | None = None):
        earned = np.asarray(reward, np.float64)
        if earned.shape != (spec.states, spec.items) or not ((earned >= 0) & (earned <= 1)).all():
            raise DataError(
                f"rewards have the shape {list(earned.shape)}; expected [{spec.states}, {spec.items}] (states, items), "
                "all within [0, 1]"
            )
        self.spec, self.learner = spec, learner
        self._observe, self._begin = jax.jit(learner.observe), jax.jit(learner.begin)
        self.state: Any = learner.init(spec, earned)
        if counts is not None:
            self.state = self.state._replace(counts=counts)
        self.begin()

    def begin(self) -> None:
        """A new episode: plan again with what is known."""
        self.state = self._begin(self.state)

    def recommend(self, state: int, step: int) -> list[int]:
        """The items to show now, in order.

        Args:
            state: of the user.
            step: of the episode, from 0.

        Raises:
            UsageError: no such state or step.
        """
        if not (0 <= state < self.spec.states and 0 <= step < self.spec.horizon):
            raise UsageError(
                f"state is {state} and step {step}; there are {self.spec.states} states and {self.spec.horizon} steps"
            )
        shown = np.asarray(self.state.lists)[step, state]
        return [int(item) for item in shown if item != NOTHING]

    def update(self, state: int, shown: Sequence[int], clicked: int | None, next_state: int) -> None:
        """Learn from a session.

        Args:
            state: of the user when the list was shown.
            shown: the items, in order; need not be what was recommended.
            clicked: the place in the list of the click, from 0; None if there was none. A user who clicks is gone:
                reports of several clicks do not follow this model.
            next_state: of the user afterwards.

        Raises:
            DataError: the list is empty, too long or repeats an item; or a state, item or click does not exist or is no
                whole number.
        """
        state, next_state = whole(state, "state"), whole(next_state, "next_state")
        if isinstance(clicked, Sequence | np.ndarray):
            raise DataError(
                f"the session has several clicks ({list(clicked)}); in the cascade model a user is gone after the "
                "first: report that one"
            )
        clicked = None if clicked is None else whole(clicked, "clicked")
        place = NOTHING if clicked is None else clicked
        counts_of_log(self.spec, [state], [list(shown)], [place], [next_state])
        filled = np.full(self.spec.list_size, NOTHING, np.int32)
        filled[: len(shown)] = shown
        self.state = self._observe(self.state, np.int32(state), filled, np.int32(place), np.int32(next_state))

    def counts(self) -> Int[np.ndarray, "states items"]:
        """How often each item was looked at in each state."""
        return np.asarray(self.state.counts.examined).astype(int)
