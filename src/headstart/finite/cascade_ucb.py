"""CascadeUCB: in every state, the list that earns most from this session, whatever state comes next.

Kveton, Szepesvári, Wen and Ashkan 2015 (arXiv 1502.02763), CascadeUCB1, with rewards that differ between items. In a
world with states it is the myopic learner that planning is measured against.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from headstart.finite.best_permutation import best_permutation
from headstart.finite.cascading_vi import CascadingState, CascadingVI, attraction_bounds


@dataclass(frozen=True)
class CascadeUCB(CascadingVI):
    """Optimism about attraction alone: a list is worth what its click is expected to earn at once."""

    def begin(self, state: CascadingState) -> CascadingState:
        """Take the list of the largest upper bound in every state. ``upper`` and ``lower`` stay as they were."""
        horizon, states, list_size = state.lists.shape
        items = state.reward.shape[1]
        sure = self.bonus_scale * jnp.log(states * items * horizon * (state.episode + 1) / self.delta)
        _, most_click = attraction_bounds(state.counts, sure, self.bonus)
        best = best_permutation(most_click, state.reward, jnp.zeros(states), list_size)
        return state._replace(episode=state.episode + 1, lists=jnp.broadcast_to(best.items, state.lists.shape))
