"""CascadingBPI: play until a policy is known to be good enough, then stop (arXiv 2401.08961, algorithm 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Bool, Float

from headstart.finite.cascading_vi import CascadingLearner, CascadingVI
from headstart.finite.list_action_vi import ListActionVI


@dataclass(frozen=True)
class StopsWhenSure(CascadingLearner):
    """A learner that bounds what its policy lacks: the optimal value is at most ``state.upper``, its own at least
    ``state.lower``, so that lists whose bounds are within ``epsilon`` are that close to optimal.
    """

    epsilon: float = 0.3
    """How far from optimal, in units of an episode's reward, the policy may be."""

    def sure(self, state: Any, initial: Float[Array, " states"]) -> Bool[Array, ""]:
        """Whether ``state.lists`` are good enough for episodes that start as ``initial`` says; ask after ``begin``."""
        return initial @ (state.upper - state.lower) <= self.epsilon


@dataclass(frozen=True)
class CascadingBPI(StopsWhenSure, CascadingVI):
    """Best-policy identification in a cascading world; constants as ``CascadingVI``'s."""


@dataclass(frozen=True)
class ListActionBPI(StopsWhenSure, ListActionVI):
    """Best-policy identification with every list an action (BPI-UCBVI, Ménard et al. 2021, arXiv 2007.13442)."""
