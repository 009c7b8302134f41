"""CascadingVI: optimism about items, not about lists (Du, Srikant and Chen 2024, arXiv 2401.08961, algorithm 2)."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from headstart.finite.best_permutation import NOTHING, Permutation, best_permutation
from headstart.finite.cascading import CascadingSpec
from headstart.finite.cascading_counts import Counts, count, no_counts

Bonus = Literal["bernstein", "hoeffding"]


@dataclass(frozen=True)
class CascadingLearner(abc.ABC):
    """Learns which lists to show. Its fields are its constants; its methods are pure and jittable."""

    @abc.abstractmethod
    def init(self, spec: CascadingSpec, reward: ArrayLike) -> Any:
        """What is known before the first session: the sizes, and what a click earns, ``[states, items]``."""

    @abc.abstractmethod
    def begin(self, state: Any) -> Any:
        """Plan for the coming episode; afterwards ``state.lists`` ``[horizon, states, list_size]`` is what to show."""

    @abc.abstractmethod
    def observe(
        self,
        state: Any,
        observation: Int[Array, ""],
        shown: Int[Array, " list_size"],
        clicked: Int[Array, ""],
        next_observation: Int[Array, ""],
    ) -> Any:
        """What is known after a session; ``clicked`` is a place in the list, or ``NOTHING``."""

    def recommend(self, state: Any, step: Int[Array, ""], observation: Int[Array, ""]) -> Int[Array, " list_size"]:
        """The list to show at a step (from 0) of the episode, filled up with ``NOTHING``."""
        return state.lists[step, observation]


class CascadingState(NamedTuple):
    """What is known, and planned from it."""

    counts: Counts
    reward: Float[Array, "states items"]
    episode: Int[Array, ""]
    """Episodes begun."""
    lists: Int[Array, "horizon states list_size"]
    upper: Float[Array, " states"]
    """Bound from above on the optimal value at the first step."""
    lower: Float[Array, " states"]
    """Bound from below on the value of ``lists`` at the first step."""


@dataclass(frozen=True)
class CascadingVI(CascadingLearner):
    """Value iteration with upper bounds on every item's attraction and future, the best list found exactly.

    Regret grows as the square root of states, items and episodes, whatever the number of lists.
    """

    delta: float = 0.005
    """Probability with which the bounds may fail; 0.005 in the paper's experiments."""
    bonus_scale: float = 0.05
    """Multiplies the logarithm in every bonus. Theory's 1 shows no learning within some 100 000 episodes."""
    bonus: Bonus = "bernstein"
    """``bernstein`` knows the estimated variance; ``hoeffding`` assumes the largest one possible."""
    oracle: Callable[..., Permutation] = best_permutation
    """Finds the best list; ``exhaustive_search`` finds the same ones by trying all."""

    def init(self, spec: CascadingSpec, reward: ArrayLike, counts: Counts | None = None) -> CascadingState:
        """What is known before the first session.

        Args:
            spec: sizes of the world.
            reward: what a click earns, ``[states, items]``.
            counts: what earlier sessions have shown (``counts_of_log``); nothing when None.
        """
        lists = jnp.full((spec.horizon, spec.states, spec.list_size), NOTHING)
        zeros = jnp.zeros(spec.states)
        known = no_counts(spec) if counts is None else Counts(*map(jnp.asarray, counts))
        state = CascadingState(known, jnp.asarray(reward, jnp.float32), jnp.asarray(0), lists, zeros, zeros)
        return state._replace(upper=zeros + spec.horizon)

    def begin(self, state: CascadingState) -> CascadingState:
        """Plan optimistically, and bound from below what the plan is worth."""
        horizon, states, list_size = state.lists.shape
        items = state.reward.shape[1]
        sure = self.bonus_scale * jnp.log(states * items * horizon * (state.episode + 1) / self.delta)
        least_click, most_click = attraction_bounds(state.counts, sure, self.bonus)
        visits = state.counts.moves.sum(-1)
        following = jnp.asarray(state.counts.moves) / jnp.maximum(visits, 1)[..., None]

        def one_step(bounds: tuple[Array, Array], remaining: Array) -> Any:
            upper, lower = bounds
            bonus = jnp.where(visits > 0, self._future_bonus(following, upper, lower, sure, visits, remaining), jnp.inf)
            most = jnp.clip(following @ upper + bonus, 0, remaining)
            least = jnp.clip(following @ lower - bonus, 0, remaining)
            best = self.oracle(most_click, state.reward + most[:, :items], most[:, items], list_size)
            weight, weight_none = state.reward + least[:, :items], least[:, items]
            return (best.value, least_value(best.items, least_click, most_click, weight, weight_none)), best.items

        nothing = (jnp.zeros(states), jnp.zeros(states))
        (upper, lower), lists = jax.lax.scan(one_step, nothing, jnp.arange(horizon))
        return state._replace(episode=state.episode + 1, lists=lists[::-1], upper=upper, lower=lower)

    def observe(
        self,
        state: CascadingState,
        observation: Int[Array, ""],
        shown: Int[Array, " list_size"],
        clicked: Int[Array, ""],
        next_observation: Int[Array, ""],
    ) -> CascadingState:
        """Count the session; plans change at the next ``begin``."""
        return state._replace(counts=count(state.counts, observation, shown, clicked, next_observation))

    def _future_bonus(self, following: Array, upper: Array, lower: Array, sure: Array, visits: Array, remaining: Array):
        """How far ``following @ upper`` may be from its mean, for values in [0, remaining]; ``[states, outcomes]``."""
        visits = jnp.maximum(visits, 1)
        if self.bonus == "hoeffding":
            return remaining * jnp.sqrt(sure / visits)
        variance = jnp.maximum(following @ upper**2 - (following @ upper) ** 2, 0)
        width = following @ (upper - lower) ** 2
        return (
            2 * jnp.sqrt(variance * sure / visits)
            + 2 * jnp.sqrt(width * sure / visits)
            + 5 * remaining * (sure / visits)
        )


def attraction_bounds(counts: Counts, sure: Array, bonus: Bonus) -> tuple[Array, Array]:
    """Bounds from below and above on the probability of a click, ``[states, items]``; 0 and 1 where nothing is known.

    Args:
        counts: of all sessions.
        sure: logarithm of how sure the bounds are to be.
        bonus: ``bernstein``, ``2 sqrt(q (1 - q) sure / n) + 5 sure / n``; or ``hoeffding``, ``sqrt(sure / n)``, which
            is the former's first term at the largest variance.
    """
    n = jnp.maximum(counts.examined, 1)
    rate = counts.clicked / n
    widths = {"bernstein": 2 * jnp.sqrt(rate * (1 - rate) * sure / n) + 5 * sure / n, "hoeffding": jnp.sqrt(sure / n)}
    width = jnp.where(counts.examined > 0, widths[bonus], jnp.inf)
    return jnp.maximum(rate - width, 0), jnp.minimum(rate + width, 1)


def least_value(
    lists: Int[Array, "states list_size"],
    least_click: Float[Array, "states items"],
    most_click: Float[Array, "states items"],
    weight: Float[Array, "states items"],
    weight_none: Float[Array, " states"],
) -> Float[Array, " states"]:
    """The least that lists can be worth while attraction lies within bounds and weights are at least these.

    From the end of a list to its front: a click is as rare as it can be where it is worth more than looking on.
    """
    here = jnp.arange(len(lists))
    value = weight_none
    for place in reversed(range(lists.shape[1])):
        item = lists[:, place]
        worth = weight[here, item]
        click = jnp.where(worth >= value, least_click[here, item], most_click[here, item])
        value = jnp.where(item == NOTHING, value, click * worth + (1 - click) * value)
    return value
