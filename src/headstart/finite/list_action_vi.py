"""Every list an action of its own: what a learner that knows nothing of lists has to do in a cascading world.

UCBVI (Azar, Osband and Munos 2017, arXiv 1703.05449) with Bernstein bonuses, the reward of a list estimated too; the
baseline AdaptVI of Du, Srikant and Chen 2024 (arXiv 2401.08961, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from headstart.finite.best_permutation import NOTHING, every_list
from headstart.finite.cascading import CascadingSpec
from headstart.finite.cascading_vi import Bonus, CascadingLearner


class ListActionState(NamedTuple):
    """What is known of every list, and planned from it."""

    moves: Float[Array, "states actions next"]
    """Times each state followed a list."""
    earned: Float[Array, "states actions"]
    """Sum of what a list has earned."""
    squares: Float[Array, "states actions"]
    """Sum of the squares of it."""
    reward: Float[Array, "states items"]
    episode: Int[Array, ""]
    lists: Int[Array, "horizon states list_size"]
    upper: Float[Array, " states"]
    lower: Float[Array, " states"]


@dataclass(frozen=True)
class ListActionVI(CascadingLearner):
    """UCBVI over lists. Its regret grows with the square root of their number. Fields as ``CascadingVI``'s."""

    delta: float = 0.005
    bonus_scale: float = 0.05
    bonus: Bonus = "bernstein"

    def init(self, spec: CascadingSpec, reward: ArrayLike) -> ListActionState:
        """What is known before the first session; ``reward`` only says what a click that was seen has earned."""
        actions = len(every_list(spec.items, spec.list_size))
        tables = jnp.zeros((spec.states, actions))
        return ListActionState(
            moves=jnp.zeros((spec.states, actions, spec.states)),
            earned=tables,
            squares=tables,
            reward=jnp.asarray(reward, jnp.float32),
            episode=jnp.asarray(0),
            lists=jnp.full((spec.horizon, spec.states, spec.list_size), NOTHING),
            upper=jnp.full(spec.states, float(spec.horizon)),
            lower=jnp.zeros(spec.states),
        )

    def begin(self, state: ListActionState) -> ListActionState:
        """Plan optimistically, and bound from below what the plan is worth."""
        horizon, states, list_size = state.lists.shape
        actions = jnp.asarray(every_list(state.reward.shape[1], list_size))
        sure = self.bonus_scale * jnp.log(states * len(actions) * horizon * (state.episode + 1) / self.delta)
        visits = state.moves.sum(-1)
        n = jnp.maximum(visits, 1)
        following, mean = state.moves / n[..., None], state.earned / n
        spread = self._bonus(jnp.maximum(state.squares / n - mean**2, 0), 0.0, sure, n, 1)

        here = jnp.arange(states)

        def one_step(bounds: tuple[Array, Array], remaining: Array) -> Any:
            upper, lower = bounds
            variance = jnp.maximum(following @ upper**2 - (following @ upper) ** 2, 0)
            width = following @ (upper - lower) ** 2
            bonus = jnp.where(visits > 0, spread + self._bonus(variance, width, sure, n, remaining), jnp.inf)
            most = jnp.clip(mean + following @ upper + bonus, 0, remaining + 1)
            least = jnp.clip(mean + following @ lower - bonus, 0, remaining + 1)
            best = most.argmax(-1)
            return (most[here, best], least[here, best]), actions[best]

        nothing = (jnp.zeros(states), jnp.zeros(states))
        (upper, lower), lists = jax.lax.scan(one_step, nothing, jnp.arange(horizon))
        return state._replace(episode=state.episode + 1, lists=lists[::-1], upper=upper, lower=lower)

    def observe(
        self,
        state: ListActionState,
        observation: Int[Array, ""],
        shown: Int[Array, " list_size"],
        clicked: Int[Array, ""],
        next_observation: Int[Array, ""],
    ) -> ListActionState:
        """Count what the list has earned and where it has led."""
        actions = jnp.asarray(every_list(state.reward.shape[1], len(shown)))
        action = (actions == shown).all(-1).argmax()
        earned = jnp.where(clicked == NOTHING, 0.0, state.reward[observation, shown[clicked]])
        return state._replace(
            moves=state.moves.at[observation, action, next_observation].add(1.0),
            earned=state.earned.at[observation, action].add(earned),
            squares=state.squares.at[observation, action].add(earned**2),
        )

    def _bonus(self, variance: Any, width: Any, sure: Array, n: Array, most: int | Array) -> Array:
        """As ``CascadingVI``'s, for values in [0, most]."""
        if self.bonus == "hoeffding":
            return most * jnp.sqrt(sure / n)
        return 2 * jnp.sqrt(variance * sure / n) + 2 * jnp.sqrt(width * sure / n) + 5 * most * sure / n
