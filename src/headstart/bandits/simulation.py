"""Learners and worlds run against each other, hundreds of seeds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.bandits.bandit import Bandit, Learner
from headstart.core.errors import UsageError


class Curves(NamedTuple):
    """What came of a simulation, at evenly spaced steps.

    Attributes:
        steps: how many steps had been taken, the horizon last.
        regret: sum, up to there, of the best mean reward less the mean reward of what was pulled (pseudo-regret).
        reward: sum of the rewards received up to there.
    """

    steps: Int[np.ndarray, " points"]
    regret: Float[np.ndarray, "seeds points"]
    reward: Float[np.ndarray, "seeds points"]


def simulate(
    learner: Learner, world: Bandit, horizon: int, seeds: int | Sequence[int] = 1, points: int = 100
) -> Curves:
    """Let a learner act in a world for ``horizon`` steps, once for each seed, all seeds in one compiled loop.

    Contexts and the noise of rewards depend on the seed and the step only, so that learners run with equal seeds meet
    equal luck and can be compared in pairs.

    Args:
        learner: what chooses. The same fields, world shapes and number of seeds are compiled once.
        world: where.
        horizon: number of steps.
        seeds: how many, or which.
        points: how many points of the curves to keep, at most the horizon.

    Raises:
        UsageError: no steps, seeds or points, or a learner that cannot work with this world.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if horizon < 1 or points < 1 or not chosen:
        raise UsageError(
            f"horizon, points and the number of seeds must be 1 or more; given {horizon}, {points} and {len(chosen)}"
        )
    steps = np.unique(np.round(np.linspace(0, horizon, min(points, horizon) + 1)).astype(np.int32))[1:]
    starts = np.concatenate([[0], steps[:-1]]).astype(np.int32)
    keys = jax.vmap(jax.random.key)(jnp.asarray(chosen, jnp.uint32))
    regret, reward = _run(learner, world, keys, jnp.asarray(starts), jnp.asarray(steps))
    # Sums over the short stretches are exact enough in 32 bits; sums over the whole horizon would not be.
    return Curves(steps, *(np.cumsum(np.asarray(part, np.float64), axis=1) for part in (regret, reward)))


@eqx.filter_jit
def _run(
    learner: Learner,
    world: Bandit,
    keys: PRNGKeyArray,
    starts: Int[Array, " points"],
    ends: Int[Array, " points"],
) -> tuple[Float[Array, "seeds points"], Float[Array, "seeds points"]]:
    """Regret and reward of each stretch between two points, for each seed."""

    def one_seed(key):
        def step(number, carry):
            state, regret, reward = carry
            shown, chosen, noise = jax.random.split(jax.random.fold_in(key, number), 3)
            context = world.context(number, shown)
            choice = learner.choose(state, context, chosen)
            received = world.reward(context, choice.action, noise)
            means = world.means(context)
            state = learner.observe(state, context, choice.action, received, choice.propensity)
            return state, regret + jnp.max(means) - means[choice.action], reward + received

        def stretch(state, bounds):
            start, end = bounds
            state, regret, reward = jax.lax.fori_loop(start, end, step, (state, jnp.zeros(()), jnp.zeros(())))
            return state, (regret, reward)

        state = learner.init(world.spec, jax.random.fold_in(key, 2**31 - 1))
        return jax.lax.scan(stretch, state, (starts, ends))[1]

    return jax.vmap(one_seed)(keys)
